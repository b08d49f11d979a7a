"""Small disks for tests of a full disk: a file system of some hundred MB, mounted from a file."""

import contextlib
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

BLOCK = b"\0" * 4096


@dataclass(frozen=True)
class Disk:
    """A mounted file system."""

    folder: Path

    @contextlib.contextmanager
    def full(self, leave_mib: int = 0) -> Iterator[None]:
        """Fills the disk, except for `leave_mib`, until the end of the block."""
        ballast = self.folder / "ballast"
        try:
            about = os.statvfs(self.folder)
            size = about.f_bavail * about.f_frsize - leave_mib * 2**20
            with ballast.open("wb", buffering=0) as file:
                with contextlib.suppress(OSError):
                    os.posix_fallocate(file.fileno(), 0, size)
                file.seek(0, os.SEEK_END)
                with contextlib.suppress(OSError):  # up to the last block
                    while not leave_mib:
                        file.write(BLOCK)
            yield
        finally:
            ballast.unlink(missing_ok=True)


@contextlib.contextmanager
def small_disk(folder: Path, mib: int) -> Iterator[Disk]:
    """An ext4 file system of this size, mounted at `folder`. Skips the test if nothing can be mounted."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount a disk")
    folder.mkdir()
    image = folder.with_suffix(".image")
    with image.open("wb") as file:
        file.truncate(mib * 2**20)
    for command in (["mkfs.ext4", "-q", "-m", "0", str(image)], ["mount", "-o", "loop", str(image), str(folder)]):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            pytest.skip(f"no disk can be mounted here: {done.stderr.strip()}")
    try:
        yield Disk(folder)
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=False)
        image.unlink()
