"""Runs the dashboard until it is told to end."""

import asyncio
import gc
import logging
import os
from importlib import resources

from fraudlab.settings import Settings
from fraudlab.stack.layout import Layout
from fraudlab.stack.supervisor import Stack

log = logging.getLogger("fraudlab.analytics")


def main() -> None:
    """Serves the page and reads for it. Kafka and MySQL are waited for, as long as it takes."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    for noisy in ("kafka", "httpx"):  # who does not answer is told by the readers, once
        logging.getLogger(noisy).setLevel(logging.CRITICAL)
    settings = Settings()
    layout, secrets = Layout(settings.home), Stack(settings).secrets
    # Read while NiceGUI is imported, hence the imports below it.
    os.environ.setdefault("NICEGUI_STORAGE_PATH", str(layout.dashboard))

    from nicegui import app, ui
    from starlette.responses import Response

    from fraudlab.services import serving
    from fraudlab.services.analytics import access, geography, page
    from fraudlab.services.analytics.commit_fraud import FraudStage
    from fraudlab.services.analytics.database_reader import DatabaseReader
    from fraudlab.services.analytics.job_reader import JobReader
    from fraudlab.services.analytics.kafka_reader import ProgressReader, RecordReader
    from fraudlab.services.analytics.model import Model
    from fraudlab.services.analytics.reader import feed_of

    model = Model()

    serving.limit()
    access.guard(settings.bind_address(settings.dashboard_host), secrets.secret("dashboard_password"))
    ui.add_css(resources.files(__package__).joinpath("dashboard.css").read_text(encoding="utf-8"), shared=True)

    @app.get("/land.svg")
    def land() -> Response:
        return Response(geography.land(), media_type="image/svg+xml", headers={"Cache-Control": "max-age=86400"})

    stages: list[FraudStage] = []

    @ui.page("/", title="Fraud, live")
    async def dashboard() -> None:
        await page.build(settings, model, stages[0])

    def start() -> None:
        gc.freeze()  # what the libraries brought need not be looked through again and again
        feed = feed_of(model, asyncio.get_running_loop())
        progress = ProgressReader(settings, feed)
        database = DatabaseReader(settings, feed, lambda: progress.captured_id)
        readers = (RecordReader(settings, feed), progress, database, JobReader(settings, feed))
        stages.append(FraudStage(settings, model, feed, database))
        for reader in readers:
            reader.start()
            app.on_shutdown(reader.stop)
        password = "; the password is DASHBOARD_PASSWORD in .env" if settings.in_container else ""
        log.info("the dashboard: open %s%s", settings.dashboard_url, password)

    app.on_startup(start)
    serving.run(
        settings.bind_address(settings.dashboard_host),
        settings.dashboard_port,
        "🛡️",
        storage_secret=secrets.secret("dashboard_sessions"),
    )


if __name__ == "__main__":
    main()
