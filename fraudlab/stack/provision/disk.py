"""Whether there is room for what will be installed."""

from __future__ import annotations

from pathlib import Path

from fraudlab.errors import UserError
from fraudlab.stack import space

NEEDED_MIB = 3_000
"""For the Python environment, the jars and what the data grows by."""


def free_mib(home: Path) -> int:
    """How much is free where a home is or will be."""
    return space.measure(home).free_mib


def require_room(home: Path, needed_mib: int) -> None:
    """Raise UserError if less is free."""
    free = free_mib(home)
    if free < needed_mib:
        raise UserError(
            f"Only {free} MiB are free for {home}; {needed_mib} MiB are needed.",
            "Free some, or point FRAUDLAB_HOME to a larger disk. Then run the command again.",
        )
