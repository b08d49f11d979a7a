"""Whether there is room for what will be installed."""

from __future__ import annotations

import shutil
from pathlib import Path

from fraudlab.stack.errors import StackError

NEEDED_MIB = 3_000
"""For the Python environment, the jars and what the data grows by."""


def free_mib(home: Path) -> int:
    """How much is free where a home is or will be."""
    folder = next(one for one in (home, *home.parents) if one.exists())
    return round(shutil.disk_usage(folder).free / 2**20)


def require_room(home: Path, needed_mib: int) -> None:
    """Raise StackError if less is free."""
    free = free_mib(home)
    if free < needed_mib:
        raise StackError(
            f"Only {free} MiB are free for {home}; {needed_mib} MiB are needed.",
            "Free some, or point FRAUDLAB_HOME to a larger disk. Then run the command again.",
        )
