"""Troubleshooting covers every message that people see, and quotes none that the code does not print."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from fraudlab.settings import REPOSITORY, Settings
from fraudlab.stack import doctor, flink_jobs

PAGE = REPOSITORY / "docs" / "troubleshooting.md"
SOURCES = [
    path
    for place in ("fraudlab/**/*", "data-generator/src/**/*", "bootstrap.py")
    for path in sorted(REPOSITORY.glob(place))
    if path.suffix in (".py", ".sql")
]
ELLIPSIS = "…"
RAISERS = ("StackError", "refuse")
"""What shows a message to people: the first argument says what happened."""


def normal(text: str) -> str:
    """A message as one line, markup and the full stop at its end left out."""
    text = re.sub(r"\[/?[a-z ]*\]", "", text)
    return re.sub(r"\s+", " ", text.partition("\n")[0]).strip().rstrip(".:" + ELLIPSIS + " ")


def rendered(node: ast.expr) -> str | None:
    """A text in the code as people see it, what is filled in as an ellipsis; None where it is none."""
    if isinstance(node, ast.Constant):
        return node.value.replace("{}", ELLIPSIS) if isinstance(node.value, str) else None
    if isinstance(node, ast.JoinedStr):
        return "".join(str(part.value) if isinstance(part, ast.Constant) else ELLIPSIS for part in node.values)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return rendered(node.left)  # the rest is the output of another program
    return None


@cache
def trees() -> list[tuple[Path, ast.Module]]:
    return [(path, ast.parse(path.read_text(encoding="utf-8"))) for path in SOURCES if path.suffix == ".py"]


@cache
def raised() -> dict[str, str]:
    """Every message that a StackError or the bootstrap shows, and where it stands."""
    found = {}
    for path, tree in trees():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in RAISERS and node.args:
                message = rendered(node.args[0])
                if message:
                    found[normal(message)] = f"{path.relative_to(REPOSITORY)}:{node.lineno}"
    return found


@cache
def written() -> set[str]:
    """Every text in the code, one string for each."""
    texts = {normal(path.read_text(encoding="utf-8").replace("\n", " ")) for path in SOURCES if path.suffix == ".sql"}
    for _, tree in trees():
        docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        for node in ast.walk(tree):
            if isinstance(node, ast.expr) and id(node) not in docstrings:
                text = rendered(node)
                if text:
                    texts.add(normal(text))
    return texts


def quoted() -> list[str]:
    """Every message that the page quotes: in bold and in quotation marks."""
    return [
        re.sub(r"\s+", " ", quote)
        for quote in re.findall(r'\*\*"(.+?)"\*\*', PAGE.read_text(encoding="utf-8"), re.DOTALL)
    ]


def test_there_is_something_to_compare() -> None:
    assert len(raised()) > 25
    assert len(quoted()) > 25


@pytest.mark.parametrize("quote", quoted())
def test_a_message_that_is_quoted_exists_in_the_code(quote: str) -> None:
    wanted = normal(quote)
    assert len(wanted) > 8
    assert any(wanted in text for text in written()), f"nothing prints “{quote}”"


def test_every_message_is_in_troubleshooting() -> None:
    known = {normal(quote) for quote in quoted()}
    missing = {message: where for message, where in raised().items() if message.strip("`' ") and message not in known}
    assert not missing, "\n".join(f"{where}: {message}" for message, where in missing.items())


def test_every_known_cause_of_a_failing_job_is_in_troubleshooting() -> None:
    first_cells = re.findall(r"^\| ([^|]+) \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    causes = {re.sub(r"(\\\d)+", ELLIPSIS, what) for _, what, _ in flink_jobs.KNOWN}
    assert len(causes) > 3
    assert causes <= set(first_cells)


def test_every_check_of_the_doctor_is_in_troubleshooting(tmp_path: Path) -> None:
    first_cells = re.findall(r"^\| (`[^|]+) \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    rows = {name for cell in first_cells for name in re.findall(r"`([^`]+)`", cell)}
    checks = doctor.examine(Settings(home=tmp_path))
    checks.append(doctor.port_check("kafka", 1, "FRAUDLAB_KAFKA_PORT", None, set()))
    assert len(checks) > 5
    assert {re.sub(r"^port \d+ \(.*", "port", check.name) for check in checks} <= rows
