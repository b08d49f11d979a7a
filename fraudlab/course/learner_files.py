"""Small JSON files in a learner's folder: several notebooks, and a class's instructor, read and write them at the same time."""

import json
import os
from datetime import datetime
from pathlib import Path
from typing import Any

LARGEST = 2**20
"""Characters. A learner writes these files, and others read them."""


def read(path: Path, empty: Any) -> Any:
    """What is in a file; `empty` where there is none, or one that cannot be read: what these files hold is a comfort."""
    if not path.is_file():
        return empty
    try:
        with path.open(encoding="utf-8") as file:
            return json.loads(file.read(LARGEST))
    except (OSError, ValueError):
        return empty


def is_time(text: str) -> bool:
    """Whether a text is a time as we write it: in ISO 8601, with its distance from UTC."""
    try:
        return datetime.fromisoformat(text).tzinfo is not None
    except ValueError:
        return False


def write(path: Path, content: Any) -> None:
    """Replaces a file in one step, so that nobody reads half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(f".{os.getpid()}")
    unfinished.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    unfinished.replace(path)
