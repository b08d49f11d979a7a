"""Small disks for the tests of full ones: a file system of a few MB, mounted from a file."""

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
    """A mounted file system of its own."""

    folder: Path

    @contextlib.contextmanager
    def full(self, leave_mib: int = 0) -> Iterator[None]:
        """Leaves nothing, or so much, until the end of the block."""
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
    """An ext4 of so many MiB, mounted at `folder`. Skips the test where nothing can be mounted."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount a disk of its own")
    folder.mkdir()
    image = folder.with_suffix(".image")
    with image.open("wb") as file:
        file.truncate(mib * 2**20)
    for command in (["mkfs.ext4", "-q", "-m", "0", str(image)], ["mount", "-o", "loop", str(image), str(folder)]):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            pytest.skip(f"no disk of its own can be mounted here: {done.stderr.strip()}")
    try:
        yield Disk(folder)
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=False)
        image.unlink()
