"""Dependencies point one way; see docs/architecture.md."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
ALL = {
    "fraudlab.pipeline",
    "fraudlab.stack",
    "fraudlab.services",
    "fraudlab.verification",
    "fraudlab.course",
    "fraudlab.settings",
    "fraudlab.system",
    "fraudlab.demo",
    "fraudlab.demo_fraud",
    "fraudlab.cli",
}
FORBIDDEN = {
    "fraudlab/pipeline": ALL - {"fraudlab.pipeline"},
    "fraudlab/stack": ALL - {"fraudlab.stack", "fraudlab.settings"},
    # The judge shares names, rates and tolerances with the judged, but no code that decides.
    "fraudlab/verification": ALL
    - {"fraudlab.verification", "fraudlab.pipeline", "fraudlab.settings", "fraudlab.system", "fraudlab.stack"}
    | {f"fraudlab.pipeline.{name}" for name in ("rule", "transaction", "detector", "join", "cdc", "flink")},
    # The dashboard shows the scores as the verification computes them.
    "fraudlab/services": {"fraudlab.course", "fraudlab.cli", "fraudlab.demo", "fraudlab.demo_fraud"}
    | {f"fraudlab.verification.{name}" for name in ("judge", "records", "report", "topic_reader", "truth", "verify")},
    "fraudlab/system.py": {
        "fraudlab.course",
        "fraudlab.cli",
        "fraudlab.demo",
        "fraudlab.demo_fraud",
        "fraudlab.verification",
    },
    "fraudlab/course": {"fraudlab.cli", "fraudlab.demo", "fraudlab.demo_fraud"},
    "fraudlab/settings.py": ALL - {"fraudlab.pipeline", "fraudlab.settings"} | {"fraudlab.pipeline.detector"},
    "fraudlab/kafka_access.py": ALL,
    "data-generator/src": {"fraudlab"},
}


def modules(place: str) -> list[Path]:
    path = REPOSITORY / place
    return [path] if path.suffix else sorted(path.rglob("*.py"))


def imported(path: Path) -> Iterator[tuple[int, str]]:
    """Line and full name of everything that a module imports, also inside functions; `from a import b` gives `a.b`."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: a relative import hides where it leads"
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


@pytest.mark.parametrize("place", FORBIDDEN)
def test_dependencies_point_one_way(place: str) -> None:
    assert modules(place), f"{place} has no modules: has it moved?"
    wrong = [
        f"{path.relative_to(REPOSITORY)}:{line} imports {name}"
        for path in modules(place)
        for line, name in imported(path)
        for layer in FORBIDDEN[place]
        if name == layer or name.startswith(f"{layer}.")
    ]
    assert wrong == []


def test_the_rule_needs_nothing_but_the_standard_library() -> None:
    files = (REPOSITORY / "fraudlab/pipeline" / name for name in ("rule.py", "history.py"))
    names = {name for file in files for _, name in imported(file) if not name.startswith("fraudlab.pipeline.history")}
    assert {name.partition(".")[0] for name in names} <= {
        "bisect",
        "collections",
        "dataclasses",
        "enum",
        "struct",
        "typing",
    }


def test_only_the_jobs_need_flink() -> None:
    users = {
        str(path.relative_to(REPOSITORY / "fraudlab"))
        for path in modules("fraudlab")
        if any(name.startswith("pyflink") for _, name in imported(path))
    }
    jobs = {
        f"pipeline/{name}.py" for name in ("cdc", "join", "detector", "envelopes", "flink", "java_operators", "state")
    }
    checks_of_jobs = {one for one in users if one.startswith("course/labs/")}
    assert users <= jobs | checks_of_jobs


def test_only_the_strict_check_of_the_course_loads_answers() -> None:
    users = {
        str(path.relative_to(REPOSITORY / "fraudlab"))
        for path in modules("fraudlab")
        for _, name in imported(path)
        if "answers" in name.split(".")
    }
    assert {one for one in users if not one.endswith("/answers.py")} == {"course/review.py"}
