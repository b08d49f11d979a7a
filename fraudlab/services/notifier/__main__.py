"""The notification service: claims a message per episode and channel for each activity, and sends what is claimed."""

import logging
import os
import signal
import sys

from fraudlab import system
from fraudlab.services.consumer import DeadLetters, Received, consume
from fraudlab.services.mysql_retry import ending_in_one_line, patiently
from fraudlab.services.notifier.activity import parse
from fraudlab.services.notifier.channel import Channel
from fraudlab.services.notifier.ledger import Ledger
from fraudlab.settings import Settings

log = logging.getLogger("fraudlab.notifier")

SERVICE = "notifier"
STOP_PATIENCE_S = 15


class Notifier:
    """Takes in activities and claims their notifications; the channels send them."""

    def __init__(self, settings: Settings, channels: list[Channel]) -> None:
        self._ledger = Ledger(settings)
        self._channels = channels
        self._received: list[Received] = []

    def handle(self, received: Received) -> None:
        """Takes in one activity. Raises MalformedRecordError for what is none."""
        parse(received.content)
        self._received.append(received)

    def complete(self) -> list[Received]:
        """Claims what was taken in. Returns when the database has it; one that is away is waited for.

        Gives those activities whose claims another session keeps locked, to be taken in again.
        """
        if not self._received:
            return []
        made, locked = self._claim()
        if made:
            for channel in self._channels:
                channel.announce()
        self._received.clear()
        return locked

    @patiently(log)
    def _claim(self) -> tuple[int, list[Received]]:
        return self._ledger.claim(self._received)


def main() -> int:
    """Runs the service until it is told to end; gives 1 where it had to."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    for noisy in ("kafka", "httpx", "apprise"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    settings = Settings()
    names = settings.names
    failures: list[bool] = []

    def failed() -> None:
        failures.append(True)
        os.kill(os.getpid(), signal.SIGTERM)

    dead_letters = DeadLetters(system.kafka(settings, SERVICE), names)
    channels = []
    for name, url, setting in (
        ("email", settings.email_url, "FRAUDLAB_NOTIFY_EMAIL_URL"),
        ("push", settings.push_url, "FRAUDLAB_NOTIFY_PUSH_URL"),
    ):
        try:
            channels.append(Channel(name, settings, url, dead_letters, failed))
        except ValueError as error:
            sys.exit(f"{setting} cannot be used: {error}. See docs/services/notifier.md; then run `fraudlab up` again.")
    notifier = Notifier(settings, channels)
    try:
        for channel in channels:
            channel.start()
        ending_in_one_line(
            lambda: consume(
                system.kafka(settings, SERVICE),
                names,
                service=SERVICE,
                topic=names.suspicious_activities,
                handle=notifier.handle,
                complete=notifier.complete,
            ),
            log,
        )
    finally:
        for channel in channels:
            channel.stop(STOP_PATIENCE_S)
        dead_letters.close()
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
