"""Runs the inbox until it is told to end: SMTP on one port; page, push server and JSON on the other."""

import logging
import os
import sys

from fraudlab.same_origin import LOOPBACK_NAMES, SameOrigin
from fraudlab.services.inbox import api, ntfy, smtp
from fraudlab.services.inbox.store import MIB, Store
from fraudlab.settings import Settings
from fraudlab.stack.layout import Layout

log = logging.getLogger("fraudlab.inbox")


def main() -> int:
    """Starts both servers. Gives 1 where the mail server's port is taken."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    settings = Settings()
    address = settings.bind_address(settings.inbox_host)
    folder = Layout(settings.home).inbox
    os.environ["NICEGUI_STORAGE_PATH"] = str(folder)  # else it would make a folder wherever it is started
    from nicegui import app

    from fraudlab.services import serving
    from fraudlab.services.inbox.page import add_page

    store = Store(folder / "messages.sqlite", kept_bytes=settings.inbox_store_mib * MIB)
    failures: list[OSError] = []

    async def serve_mail() -> None:
        try:
            await smtp.serve(store, address, settings.inbox_smtp_port)
            log.info("takes mail at %s:%d; the page is %s", address, settings.inbox_smtp_port, settings.inbox_page)
        except OSError as error:
            log.error("no mail can be taken: %s. Another port: FRAUDLAB_INBOX_SMTP_PORT", error)
            failures.append(error)
            app.shutdown()

    serving.limit()
    app.add_middleware(SameOrigin, names=LOOPBACK_NAMES | {settings.inbox_host})
    app.on_startup(serve_mail)
    app.include_router(api.router(store))
    app.include_router(ntfy.router(store))
    add_page(store)
    serving.run(address, settings.inbox_http_port, "📬", title="Inbox")
    store.close()
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
