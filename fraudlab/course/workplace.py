"""The folder in which a learner works: copies of the labs that are theirs. What they changed is never overwritten."""

import hashlib
import json
from pathlib import Path

from fraudlab.course.notebooks import LABS

MANIFEST = ".course.json"


def lay_out(work: Path, course: Path = LABS) -> list[str]:
    """Brings the course into the folder, and returns what a learner should know, a sentence for each file.

    A file that is missing is copied. One that the learner has not touched follows the course. Beside one that they changed, the
    course's new version is put as `name.new.ipynb`, once for each version.
    """
    work.mkdir(parents=True, exist_ok=True)
    manifest = work / MANIFEST
    given: dict[str, str] = json.loads(manifest.read_text(encoding="utf-8")) if manifest.exists() else {}
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
    _write(manifest, (json.dumps(given, indent=2, sort_keys=True) + "\n").encode())
    return said


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
