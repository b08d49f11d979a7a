"""What the contracts in pyproject.toml (`[tool.importlinter]`) cannot say: who may need something, instead of who may not."""

import ast
from collections.abc import Iterator
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]


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


def test_the_rule_needs_nothing_but_the_standard_library() -> None:
    files = (REPOSITORY / "fraudlab/pipeline" / name for name in ("rule.py", "history.py", "history_layout.py"))
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
    assert users <= jobs | checks_of_jobs | {"course/jobs.py"}, "the jobs of notebooks, too"


def test_only_the_strict_check_of_the_course_loads_answers() -> None:
    users = {
        str(path.relative_to(REPOSITORY / "fraudlab"))
        for path in modules("fraudlab")
        for _, name in imported(path)
        if "answers" in name.split(".")
    }
    assert {one for one in users if not one.endswith("/answers.py")} == {"course/mutants.py", "course/review.py"}
