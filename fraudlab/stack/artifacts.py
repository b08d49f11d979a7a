"""Fetches the jars that `pom.xml` names. Standard library only: `bootstrap.py` uses it."""

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

from fraudlab.stack.errors import StackError

REPOSITORY = Path(__file__).resolve().parent.parent.parent
POM = REPOSITORY / "pom.xml"
NEEDED_DISK_MIB = 3_000
"""For the Python environment, the jars and what the data grows by."""


def stamp(home: Path) -> Path:
    """The file that says for which `pom.xml` the jars are complete."""
    return home / "jars" / "complete-for"


def are_complete(home: Path) -> bool:
    """Whether the jars in `<home>/jars` are those of today's `pom.xml`."""
    return stamp(home).exists() and stamp(home).read_text(encoding="utf-8") == _digest()


def free_disk_mib(home: Path) -> int:
    """How much is free where a home lies or will lie."""
    folder = next(one for one in (home, *home.parents) if one.exists())
    return round(shutil.disk_usage(folder).free / 2**20)


def fetch(home: Path) -> None:
    """Fetch the jars with Maven into `<home>/jars`. Interrupted, it is just run again. Raises StackError."""
    maven = shutil.which("mvn")
    if maven is None:
        raise StackError(
            "Maven (`mvn`), which fetches Kafka, MySQL and Flink's connectors, was not found.",
            "Install it (Debian and Ubuntu: `sudo apt-get install maven`; macOS: `brew install maven`), "
            "then run the command again.",
        )
    jars = home.resolve() / "jars"
    if jars.exists():
        shutil.rmtree(jars)
    command = [maven, "-B", "-ntp", "-q", f"-Djars={jars}", "-f", str(POM), "validate"]
    done = subprocess.run(
        command,
        env={**os.environ, "MAVEN_OPTS": f"-XX:TieredStopAtLevel=1 {os.environ.get('MAVEN_OPTS', '')}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        errors = [line for line in done.stdout.splitlines() if "ERROR" in line][:5]
        raise StackError(
            "Maven could not fetch the jars:\n" + "\n".join(errors or done.stdout.splitlines()[-5:]),
            "Where the network or a proxy is the cause, put that right (Maven reads ~/.m2/settings.xml). Then run the "
            "command again: what has arrived is kept.",
        )
    stamp(home).write_text(_digest(), encoding="utf-8")


def _digest() -> str:
    return hashlib.sha256(POM.read_bytes()).hexdigest()
