"""Code in a notebook that the pipeline has, too: whether it is the same there. Comments, docstrings and layout do not count."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from fraudlab.settings import REPOSITORY

_FROM = re.compile(r"^# From (?P<file>\S+): (?P<what>.+)$", re.MULTILINE)


class SourceError(ValueError):
    """A `# From file: what` line leads nowhere; the text says why."""


def differences(cell: str, repository: Path = REPOSITORY) -> Iterator[str]:
    """What a cell's code has different from where its `# From file: what` lines say it comes from, a sentence each.

    `what` names a function, a class or a `Class.method` of a Python file, or the beginning of a statement in an .sql file; that
    statement stands in the cell as a string.

    Raises:
        SourceError: A line leads nowhere.
    """
    for found in _FROM.finditer(cell):
        path, what = repository / found["file"], found["what"].strip()
        if not path.is_file():
            raise SourceError(f"`{found[0]}` leads nowhere: there is no such file.")
        text = path.read_text(encoding="utf-8")
        same = _same_statement if path.suffix == ".sql" else _same_definition
        if not same(cell, text, what):
            yield f"`{what}` is not as in {found['file']}: the pipeline is right, change the notebook."


def _same_definition(cell: str, module: str, what: str) -> bool:
    original = _definition(ast.parse(module), what)
    if original is None:
        raise SourceError(f"`{what}` is not defined there.")
    copy = _definition(ast.parse(cell), what)
    return copy is not None and ast.dump(_bare(original)) == ast.dump(_bare(copy))


def _definition(tree: ast.AST, what: str) -> ast.AST | None:
    """A function or class by its name, a method by `Class.method`."""
    first, _, rest = what.partition(".")
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name == first:
            return _definition(ast.Module(node.body, []), rest) if rest else node
    return None


def _bare(tree: ast.AST) -> ast.AST:
    """Without docstrings."""
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.FunctionDef | ast.ClassDef)
            and len(node.body) > 1
            and ast.get_docstring(node) is not None
        ):
            node.body = node.body[1:]
    return tree


def _same_statement(cell: str, file: str, what: str) -> bool:
    wanted = [one for one in map(_normal, file.split("\n//")) if one.startswith(_normal(what))]
    if len(wanted) != 1:
        raise SourceError(f"{len(wanted)} statements there begin with `{what}`; it must be one.")
    strings = [node.value for node in ast.walk(ast.parse(cell)) if isinstance(node, ast.Constant)]
    return any(isinstance(string, str) and _normal(string) == wanted[0] for string in strings)


def _normal(statement: str) -> str:
    """SQL without comments, and with single spaces."""
    return " ".join(re.sub(r"--[^\n]*", "", statement).split()).rstrip(";")
