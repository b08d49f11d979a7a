"""The folder in which a learner works: copies of the labs that are theirs. What they changed is never overwritten."""

import hashlib
import json
from datetime import datetime
from itertools import count
from pathlib import Path

from fraudlab.course.notebooks import LABS
from fraudlab.stack.layout import private_folder

MANIFEST = ".course.json"


def lay_out(work: Path, course: Path = LABS) -> list[str]:
    """Brings the course into the folder, and returns what a learner should know, a sentence for each file.

    A file that is missing is copied. One that the learner has not touched follows the course. Beside one that they changed, the
    course's new version is put as `name.new.ipynb`, once for each version. A folder that is made here is for its owner alone.
    """
    if not work.exists():
        private_folder(work)  # a notebook keeps what its cells printed, such as the key to Flink's page
    given = _given(work)
    said = []
    for source in sorted(
        path for path in course.rglob("*") if path.is_file() and ".ipynb_checkpoints" not in path.parts
    ):
        name = str(source.relative_to(course))
        content = source.read_bytes()
        target = work / name
        if not target.exists() or (target.read_bytes() != content and _digest(target.read_bytes()) == given.get(name)):
            if target.exists():
                said.append(f"{name}: you had not changed it, and it has been updated.")
            _write(target, content)
        elif target.read_bytes() != content and given.get(name) != _digest(content):
            beside = target.with_suffix(f".new{target.suffix}")
            _write(beside, content)
            said.append(
                f"{name}: the course has a new version; yours is kept, the new one is beside it: {beside.name}."
            )
        given[name] = _digest(content)
    _remember(work, given)
    return said


def fresh(work: Path, name: str, now: datetime, course: Path = LABS) -> str:
    """Puts a notebook into the folder as the course has it, and says in a sentence what became of the learner's own.

    One that differs is kept beside it, under a name with the date and time: `name.2026-03-01-1430.ipynb`.
    """
    target, content = work / name, (course / name).read_bytes()
    if not target.exists():
        said = f"{name}: there was none; it is there now."
    elif target.read_bytes() == content:
        said = f"{name}: it is as the course has it already."
    else:
        kept = _unused(target, f"{now:%Y-%m-%d-%H%M}")
        target.rename(kept)
        said = f"{name}: it is fresh; your own is kept beside it: {kept.name}."
    _write(target, content)
    given = _given(work)
    given[name] = _digest(content)
    _remember(work, given)
    return said


def _unused(path: Path, mark: str) -> Path:
    """A file's name with a mark before its ending, and a number where that is taken."""
    names = (f".{mark}{path.suffix}" if number == 1 else f".{mark}-{number}{path.suffix}" for number in count(1))
    return next(free for name in names if not (free := path.with_suffix(name)).exists())


def _given(work: Path) -> dict[str, str]:
    """What the course last put into the folder: file name to digest."""
    manifest = work / MANIFEST
    given: dict[str, str] = json.loads(manifest.read_text(encoding="utf-8")) if manifest.exists() else {}
    return given


def _remember(work: Path, given: dict[str, str]) -> None:
    _write(work / MANIFEST, (json.dumps(given, indent=2, sort_keys=True) + "\n").encode())


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
