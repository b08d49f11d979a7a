"""A thread that reads a source for the model, as long as the service runs, however often the source goes away."""

import asyncio
import logging
import os
import signal
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable

from fraudlab.services.analytics.model import Model

log = logging.getLogger("fraudlab.analytics")

FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 5.0
FEED_PATIENCE_S = 30

Feed = Callable[[Callable[[Model], None]], None]
"""Has something done with the model where the model lives, and returns when it is done: a fast reader waits there."""


def feed_of(model: Model, loop: asyncio.AbstractEventLoop) -> Feed:
    """A feed for a model that lives in an event loop."""

    def feed(change: Callable[[Model], None]) -> None:
        async def apply() -> None:
            change(model)

        asyncio.run_coroutine_threadsafe(apply(), loop).result(FEED_PATIENCE_S)

    return feed


class Reader(ABC):
    """Reads `source` (a name in `model.SOURCES`) in a thread of its own."""

    source: str
    errors: tuple[type[Exception], ...]
    """What a source that is away raises."""

    def __init__(self, feed: Feed) -> None:
        self.feed = feed
        self.stopped = threading.Event()

    @abstractmethod
    def read(self) -> None:
        """Opens the connection and reads until `stopped` is set. Raises one of `errors` when the source goes away."""

    def start(self) -> threading.Thread:
        """Begins to read; gives the thread that does."""
        thread = threading.Thread(target=self._run, name=type(self).__name__, daemon=True)
        thread.start()
        return thread

    def stop(self) -> None:
        """Ends the reading soon."""
        self.stopped.set()

    def answers(self) -> None:
        """To be called when the source has answered."""
        self._pause_s = FIRST_PAUSE_S
        self.feed(lambda model: model.answers(self.source))

    def _run(self) -> None:
        try:
            self._read_again_and_again()
        except Exception:
            if not self.stopped.is_set():
                log.exception(
                    "the reader of %s failed: the service stops, and its supervisor restarts it", self.source
                )
                os.kill(os.getpid(), signal.SIGTERM)

    def _read_again_and_again(self) -> None:
        self._pause_s = FIRST_PAUSE_S
        while not self.stopped.is_set():
            try:
                self.read()
            except self.errors as error:
                if self.stopped.is_set():
                    return
                why = str(error) or type(error).__name__
                log.warning("%s does not answer, trying again: %s", self.source, why)
                self.feed(lambda model, why=why: model.does_not_answer(self.source, why))  # type: ignore[misc]
            self.stopped.wait(self._pause_s)
            self._pause_s = min(2 * self._pause_s, LONGEST_PAUSE_S)
