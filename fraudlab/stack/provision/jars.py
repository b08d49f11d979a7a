"""Fetches the jars that `requirements/jars.lock` names, each checked by its SHA-256; `make lock` writes that lock.

Only what runs in the environment (`fetch_here`, `write_lock`) needs jgo, which knows Maven's repositories.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fraudlab.errors import UserError
from fraudlab.stack.provision import bundle, network
from fraudlab.stack.provision.paths import REPOSITORY, REQUIREMENTS, lock

REPOSITORY_URL = "FRAUDLAB_MAVEN_REPOSITORY"
"""In the environment: another Maven repository than Maven Central, such as a company's mirror."""

PARALLEL = 6


@dataclass(frozen=True)
class Jar:
    """A line of the lock: the folder it goes to, its coordinates `group:artifact:version`, its size in bytes and its SHA-256."""

    folder: str
    coordinates: str
    size: int
    sha256: str

    @property
    def name(self) -> str:
        """The file's name."""
        _, artifact, version = self.coordinates.split(":")
        return f"{artifact}-{version}.jar"

    def place(self, home: Path) -> Path:
        """Where it is in a home."""
        return home / "jars" / self.folder / self.name


def locked() -> list[Jar]:
    """The jars of the lock."""
    lines = [line.split() for line in lock("jars").read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    return [Jar(folder, coordinates, int(size), sha256) for folder, coordinates, size, sha256 in lines]


def stamp(home: Path) -> Path:
    """The file that says for which lock the jars are complete."""
    return home / "jars" / "complete-for"


def are_complete(home: Path) -> bool:
    """Whether the jars in `<home>/jars` are those of today's lock."""
    return stamp(home).exists() and stamp(home).read_text(encoding="utf-8") == digest()


def digest() -> str:
    """Of the lock."""
    return hashlib.sha256(lock("jars").read_bytes()).hexdigest()


def total_mb() -> int:
    """The size of all jars."""
    return sum(jar.size for jar in locked()) // 1_000_000


def start_fetching(home: Path, python: Path, environment: dict[str, str]) -> subprocess.Popen[str]:
    """Start `fetch_here` with the environment's Python. `finish_fetching` waits for it."""
    return subprocess.Popen(
        [str(python), "-m", __name__, str(home)],
        cwd=REPOSITORY,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        errors="replace",
    )


def finish_fetching(process: subprocess.Popen[str]) -> None:
    """Wait for `start_fetching`. Raises UserError."""
    _, complaint = process.communicate()
    if process.returncode != 0:
        last = "\n".join(complaint.rstrip().splitlines()[-5:])
        raise UserError(
            f"The jars could not be fetched:\n{last}",
            network.advice(f"For a mirror of Maven Central set {REPOSITORY_URL}. "),
        )


def fetched_mb(home: Path) -> int:
    """How much has arrived."""
    sizes = []
    for jar in locked():
        with contextlib.suppress(OSError):
            sizes.append(jar.place(home).stat().st_size)
    return sum(sizes) // 1_000_000


def fetch_here(home: Path) -> None:
    """Fetch what is missing or does not have its SHA-256, and remove what the lock does not name. Raises UserError."""
    wanted = locked()
    stamp(home).unlink(missing_ok=True)
    for file in home.glob("jars/*/*"):
        if file not in {jar.place(home) for jar in wanted}:
            file.unlink()
    with ThreadPoolExecutor(PARALLEL) as pool:
        # the largest first: one of them is a fifth of it all
        for work in [pool.submit(_fetch_one, jar, home) for jar in sorted(wanted, key=lambda jar: -jar.size)]:
            work.result()
    stamp(home).write_text(digest(), encoding="utf-8")


def _fetch_one(jar: Jar, home: Path) -> None:
    place = jar.place(home)
    if place.exists() and sha256(place) == jar.sha256:
        return
    place.parent.mkdir(parents=True, exist_ok=True)
    arrived = jar.place(bundle.FOLDER)
    if not arrived.exists():
        context = _context(home)
        arrived = _resolve(context, jar.coordinates)
        if sha256(arrived) != jar.sha256:
            arrived.unlink()  # an interrupted download, or not what was locked
            arrived = _resolve(context, jar.coordinates)
    found = sha256(arrived)
    if found != jar.sha256:
        raise UserError(
            f"{jar.coordinates} is not the file that was locked: its SHA-256 is {found}, expected {jar.sha256}.",
            f"The repository that it came from (see {REPOSITORY_URL}) has another file. Do not use it; report it.",
        )
    unfinished = place.with_suffix(".unfinished")
    shutil.copyfile(arrived, unfinished)
    unfinished.rename(place)


def sha256(file: Path) -> str:
    """Of a file's content."""
    sum_ = hashlib.sha256()
    with file.open("rb") as content:
        for block in iter(lambda: content.read(1 << 20), b""):
            sum_.update(block)
    return sum_.hexdigest()


def _resolve(context: Any, coordinates: str) -> Path:
    """The file of coordinates: from Maven's local cache, or downloaded into it."""
    file: Path = context.create_dependency(coordinates).artifact.resolve()
    return file


def _context(home: Path) -> Any:
    from jgo.maven import MavenContext

    repository = os.environ.get(REPOSITORY_URL)
    try:
        cache = Path(os.environ["M2_REPO"]) if os.environ.get("M2_REPO") else Path.home() / ".m2" / "repository"
        cache.mkdir(parents=True, exist_ok=True)
        usable = os.access(cache, os.W_OK)
    except (OSError, RuntimeError):  # no home, or one that cannot be written to
        usable = False
    return MavenContext(
        repo_cache=cache if usable else home / "maven",
        remote_repos={"given": repository} if repository else None,
        timeout=60,
    )


def write_lock(home: Path) -> None:
    """Resolve `requirements/jars.toml` into `requirements/jars.lock`. Run by `make lock`, in the environment."""
    import tomllib

    declared = tomllib.loads((REQUIREMENTS / "jars.toml").read_text(encoding="utf-8"))
    context = _context(home)
    lines = []
    for folder, group in declared.items():
        dependencies = [context.create_dependency(jar) for jar in group["jars"]]
        artifacts = [dependency.artifact for dependency in dependencies]
        if group["transitive"]:
            _, needed = context.resolver.get_dependency_list(dependencies)
            artifacts += [node.dep.artifact for node in needed if node.dep.scope in ("compile", "runtime")]
        for artifact in artifacts:
            file = artifact.resolve()
            coordinates = f"{artifact.groupId}:{artifact.artifactId}:{artifact.version}"
            lines.append(f"{folder} {coordinates} {file.stat().st_size} {sha256(file)}")
    text = "# Written by make lock, from requirements/jars.toml. Do not edit.\n" + "\n".join(sorted(set(lines))) + "\n"
    lock("jars").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    if sys.argv[1] == "--lock":
        write_lock(Path(sys.argv[2]))
    else:
        fetch_here(Path(sys.argv[1]))
