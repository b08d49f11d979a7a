"""Each "cannot" of the threat model names a test, and the test exists."""

import re

from fraudlab.settings import REPOSITORY

PAGE = REPOSITORY / "docs" / "threat-model.md"
SOURCES = [*REPOSITORY.glob("tests/**/*.py"), *REPOSITORY.glob("data-generator/tests/*.py")]


def test_each_test_that_the_threat_model_names_exists() -> None:
    named = set(re.findall(r"`(test_\w+)`", PAGE.read_text(encoding="utf-8")))
    there = {name for path in SOURCES for name in re.findall(r"def (test_\w+)", path.read_text(encoding="utf-8"))}
    assert len(named) > 20
    assert named - there == set()


def test_each_cannot_names_a_test() -> None:
    rows = re.findall(r"^\| (.+?) \| (.+) \|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    told = [row for row in rows if "cannot" not in row[0]]
    assert len(told) > 15
    assert not [what for what, proof in told if "`test_" not in proof]
