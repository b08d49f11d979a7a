"""Class data sharing: a JVM writes down what it has loaded when it ends for the first time, and the next one of its kind maps that."""

import hashlib
import os
import subprocess
import threading
from dataclasses import dataclass
from pathlib import Path

from fraudlab.stack import java

FRESH = ".fresh"
"""What an archive's name ends with until all JVMs have ended and it is known to be whole: a JVM crashes on half of one."""
QUIET = "-Xlog:cds=off,cds+dynamic=off"
"""Some classes cannot be written down, generated ones for instance: a page of warnings about nothing."""

WRITING_S = 50
"""So long a JVM may take to write its archive when it ends; on two idle cores it takes a few seconds."""

_one_at_a_time = threading.Lock()


@dataclass(frozen=True)
class SharedClasses:
    """The archive of one kind of JVM.

    It is for exactly this Java and these jars: its name has a digest of both, so that a stale one is never read.

    Args:
        folder: Where archives are kept.
        name: What kind of JVM it is.
        class_path: Its jars.
        enabled: Whether to use archives at all.
    """

    folder: Path
    name: str
    class_path: str
    enabled: bool = True

    @property
    def options(self) -> list[str]:
        """What makes a JVM use its archive, or write one when it ends where there is none."""
        if not self.enabled:
            return []
        base = [] if self._has_default else [str(self._base)]
        if self.is_there:
            return ["-Xshare:auto", f"-XX:SharedArchiveFile={os.pathsep.join([*base, str(self._archive)])}"]
        fresh = self._archive.with_suffix(FRESH)
        return [*(f"-XX:SharedArchiveFile={one}" for one in base), f"-XX:ArchiveClassesAtExit={fresh}", QUIET]

    @property
    def is_there(self) -> bool:
        """Whether there is an archive."""
        return self._archive.exists()

    def stop_wait_s(self, usual_s: int) -> int:
        """How long the JVM may take to end: it takes longer when it writes its archive."""
        return usual_s if not self.enabled or self.is_there else WRITING_S

    def prepare(self) -> None:
        """Makes the folder, removes archives of another Java or other jars, and makes what this one is an addition to."""
        if not self.enabled:
            return
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for old in self.folder.glob(f"{self.name}-*.jsa"):
            if old != self._archive:
                old.unlink()
        if not self._has_default and not self._base.exists():
            # Where that fails, Java starts as it would have started without.
            unfinished = self._base.with_suffix(f".{os.getpid()}")
            command = [
                str(java.find().executable),
                "-Xshare:dump",
                f"-XX:SharedArchiveFile={unfinished}",
                "-Xlog:disable",
            ]
            if subprocess.run(command, capture_output=True, check=False).returncode == 0:
                unfinished.replace(self._base)

    @property
    def _archive(self) -> Path:
        jars = [Path(jar) for jar in self.class_path.split(os.pathsep)]
        parts = [str(part) for part in (_stamp(self._runtime), *map(_stamp, jars))]
        return self.folder / f"{self.name}-{hashlib.sha256(os.fsencode(os.pathsep.join(parts))).hexdigest()[:16]}.jsa"

    @property
    def _runtime(self) -> Path:
        return java.find().home / "lib" / "server" / "libjvm.so"

    @property
    def _has_default(self) -> bool:
        """Whether this Java came with an archive of its own classes. One that was made with jlink did not."""
        return (java.find().home / "lib" / "server" / "classes.jsa").exists()

    @property
    def _base(self) -> Path:
        return self.folder / f"java-{hashlib.sha256(os.fsencode(str(_stamp(self._runtime)))).hexdigest()[:16]}.jsa"


def adopt(folder: Path) -> None:
    """Gives the archives that JVMs have written their names, for the next start. To be called when no JVM runs any more."""
    for fresh in folder.glob(f"*{FRESH}"):
        with fresh.open("rb") as file:
            is_whole = any(file.read(4))  # the JVM writes the head of the file last
            os.fsync(file.fileno())
        if is_whole:
            fresh.replace(fresh.with_suffix(".jsa"))
        else:
            fresh.unlink()


def _stamp(file: Path) -> tuple[str, int, int]:
    """What changes with a file."""
    try:
        about = file.stat()
    except OSError:
        return str(file), 0, 0
    return str(file), about.st_size, about.st_mtime_ns
