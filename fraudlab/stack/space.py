"""How much space the disk of a home has: measured here and nowhere else.

Run as a script, `space.py <home> <reserve in MiB>`, it returns when there is free space: every launcher does this before it starts
its program. Standard library only, and none of our modules: it must start at once.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

LEAST_INODES = 1_000
"""With fewer left a disk is full, however many bytes are free. Some file systems do not count inodes, and say 0 of 0."""
WARN_SHARE = 0.1
START_FACTOR = 2
"""A program is started when this many times the reserve is free: what it repairs on startup takes space, too."""
POLL_S = 1.0
SAY_EVERY_S = 30.0


class Space(NamedTuple):
    """The free and the total space of a file system."""

    free_bytes: int
    total_bytes: int
    free_inodes: int
    total_inodes: int

    @property
    def free_mib(self) -> int:
        """Rounded down, so that it is never less than promised."""
        return self.free_bytes // 2**20

    @property
    def out_of_inodes(self) -> bool:
        """Whether soon no more files can be created."""
        return bool(self.total_inodes) and self.free_inodes < LEAST_INODES

    @property
    def free_share(self) -> float:
        """The smaller one of the shares of bytes and inodes that are free, 0 to 1."""
        inodes = self.free_inodes / self.total_inodes if self.total_inodes else 1.0
        return min(self.free_bytes / self.total_bytes if self.total_bytes else 1.0, inodes)

    @property
    def warning(self) -> str | None:
        """What to say when less than a tenth is free; None otherwise."""
        return None if self.free_share >= WARN_SHARE else f"the disk is almost full: {self.words}"

    @property
    def words(self) -> str:
        """`12,345 MiB of 46,000 MiB free (27 %)`, with the inodes where they are scarcer than the bytes."""
        share = self.free_bytes / self.total_bytes if self.total_bytes else 1.0
        inodes = f", {self.free_inodes:,} of {self.total_inodes:,} inodes free" if self.free_share < share else ""
        return f"{self.free_mib:,} MiB of {self.total_bytes // 2**20:,} MiB free ({100 * share:.0f} %){inodes}"

    def lacks(self, needed_mib: int) -> str | None:
        """What is missing until this much is free; None if nothing is."""
        if self.out_of_inodes:
            return f"{self.free_inodes:,} inodes are free, {LEAST_INODES:,} are needed"
        if self.free_mib < needed_mib:
            return f"{self.free_mib:,} MiB are free, {needed_mib:,} are needed"
        return None


def measure(home: Path) -> Space:
    """The space where a home is or will be. Raises OSError if it cannot be measured."""
    found = os.statvfs(next(one for one in (home, *home.parents) if one.exists()))
    return Space(found.f_bavail * found.f_frsize, found.f_blocks * found.f_frsize, found.f_favail, found.f_files)


def keeps_from_starting(home: Path, reserve_mib: int) -> str | None:
    """Why nothing is started in a home now; None if there is enough space."""
    lack = measure(home).lacks(START_FACTOR * reserve_mib)
    return None if lack is None else f"waits for free space on the disk of {home}: {lack}"


def wait_for_room(home: Path, reserve_mib: int, say: Callable[[str], None]) -> None:
    """Return when there is enough space for a program to start; says what it waits for, and when the wait is over."""
    said_at = None
    while (lack := keeps_from_starting(home, reserve_mib)) is not None:
        if said_at is None or time.monotonic() > said_at + SAY_EVERY_S:
            said_at = time.monotonic()
            say(lack)
        time.sleep(POLL_S)
    if said_at is not None:
        say(f"there is free space on the disk of {home} again")


def _say(line: str) -> None:
    print(f"{time.strftime('%Y-%m-%d %H:%M:%S')} fraudlab: {line}", flush=True)


if __name__ == "__main__":
    sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]  # a path may hold any character
    wait_for_room(Path(sys.argv[1]), int(sys.argv[2]), _say)
