"""What requests bring to the class server, while they bring it. Anyone in the network may send some, so all of it has a limit."""

from typing import Protocol

AT_ONCE = 256 * 2**20
"""Bytes of all requests together. A notebook with pictures has a few MiB."""
OUTSIDE_OF_JUPYTERLABS = 2**20
"""Bytes of a request that no learner's JupyterLab gets: a log-in is the largest."""


class Bringer(Protocol):
    """A request whose body is on its way."""

    def refuse(self) -> None:
        """Ends it."""


class Bodies:
    """How much each request has brought, the one that has been at it longest first. Where it is too much together, that one is refused."""

    def __init__(self, most: int = AT_ONCE) -> None:
        self._most = most
        self._brought: dict[Bringer, int] = {}
        self.bytes = 0

    def more(self, bringer: Bringer, length: int) -> None:
        """A request has brought so much more."""
        self._brought[bringer] = self._brought.get(bringer, 0) + length
        self.bytes += length
        while self.bytes > self._most:
            oldest = next(iter(self._brought))
            self.done(oldest)
            oldest.refuse()

    def done(self, bringer: Bringer) -> None:
        """A request is answered, or has ended; harmless where it brought nothing."""
        self.bytes -= self._brought.pop(bringer, 0)
