"""Runs the watcher until SIGTERM: `python -m fraudlab.stack.watcher`."""

import logging
import signal
import threading

from fraudlab.settings import Settings
from fraudlab.stack.supervisor import Stack
from fraudlab.stack.watch import Watcher


def main() -> None:
    """Watches the stack whose settings are in the environment."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    for noisy in ("kafka", "mysql.connector"):  # the problem of a service that is away says the same
        logging.getLogger(noisy).setLevel(logging.CRITICAL)
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    stack = Stack(Settings())
    Watcher(stack.settings, stack.services, stack.processes).run(ended)


if __name__ == "__main__":
    main()
