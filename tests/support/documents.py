"""Reading the documents: text, code, headings."""

import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

from fraudlab.settings import REPOSITORY

DOCS = REPOSITORY / "docs"
PAGES = sorted(
    path
    for pattern in ("*.md", "docs/**/*.md", "data-generator/*.md")
    for path in REPOSITORY.glob(pattern)
    if ".fraudlab" not in path.parts
)
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def text(page: Path) -> str:
    """What is in a file."""
    return page.read_text(encoding="utf-8")


def without_code(page: Path) -> str:
    """The prose of a page: no fences, nothing between backticks."""
    return re.sub(r"`[^`\n]*`", "", FENCE.sub("", text(page)))


def code(page: Path) -> Iterator[str]:
    """Every line of code: in fences, indented by four or more, and between backticks."""
    prose = text(page)
    for fence in FENCE.finditer(prose):
        yield from fence[2].splitlines()
    prose = FENCE.sub("", prose)
    yield from re.findall(r"^ {4,}(\S.*)$", prose, re.MULTILINE)
    yield from (re.sub(r"\s+", " ", span) for span in re.findall(r"`([^`]+)`", prose))


def called(page: Path, program: str) -> Iterator[list[str]]:
    """The words after each call of a program, up to a comment or the next command; placeholders are `<one>`."""
    for line in code(page):
        for call in re.finditer(rf"(?:^|[\s;&]|bin/){program} ([^#;&|]*)", re.sub(r"<[^>]*>", "ONE", line)):
            yield call[1].split()


def _tables() -> ModuleType:
    specification = importlib.util.spec_from_file_location("docs_tables", DOCS / "tables.py")
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


tables = _tables()
"""The module docs/tables.py, which is in no package."""
