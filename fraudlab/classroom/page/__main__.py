"""Serves the instructor's page until it is told to end: `python -m fraudlab.classroom.page`."""

import logging
import os
from importlib import resources

from fraudlab.classroom import inside
from fraudlab.classroom.room import SESSIONS, Room
from fraudlab.settings import LOOPBACK, Settings


def main() -> None:
    """Reads the class and serves the page, on loopback: the class server's proxy leads here."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    for noisy in ("kafka", "httpx"):  # the page itself says who does not answer
        logging.getLogger(noisy).setLevel(logging.CRITICAL)
    settings = Settings()
    room = Room(settings)
    # Read while NiceGUI is imported, hence the imports below it.
    os.environ.setdefault("NICEGUI_STORAGE_PATH", str(room.folder / "page"))

    from nicegui import app, ui

    from fraudlab.classroom.caretaking import Caretaker
    from fraudlab.classroom.page.page import Page
    from fraudlab.classroom.page.prefix import Prefix
    from fraudlab.classroom.reading import Reader
    from fraudlab.course import review
    from fraudlab.same_origin import SameOrigin
    from fraudlab.services import serving
    from fraudlab.services.login import Login, Wording, login_page

    reader = Reader(room, then=Caretaker(room).look)
    stated = {lab.number: review.lab_minutes(notebook) for lab, notebook in review.present().pairs()}

    serving.limit()
    app.add_middleware(Login)
    app.add_middleware(SameOrigin, names=None)
    app.add_middleware(Prefix, prefix=room.page_path)
    where = "`fraudlab class page` shows the password, on the machine that the class server runs on."
    login_page(room.page_password(), Wording("The class", "This page is for the instructor.", where))
    styles = (("fraudlab.services.analytics", "dashboard.css"), (__package__, "class.css"))
    for package, name in styles:
        ui.add_css(resources.files(package).joinpath(name).read_text(encoding="utf-8"), shared=True)

    @ui.page("/", title="The class")
    def page() -> None:
        Page(room, reader, stated)

    app.on_startup(reader.start)
    app.on_shutdown(reader.stop)
    serving.run(
        LOOPBACK,
        settings.class_page_port,
        "🎓",
        storage_secret=room.secrets.secret(SESSIONS),
        # the cookie is for this page alone: learners' JupyterLabs answer at the same address
        session_middleware_kwargs={
            "session_cookie": "class-page",
            "path": room.page_path,
            "same_site": "strict",
            "https_only": True,
        },
        **inside.pages_files(room),
    )


if __name__ == "__main__":
    main()
