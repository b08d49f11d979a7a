"""Each job and service has a page of one shape, and each setting stands on one."""

import re

import pytest

from fraudlab import system
from fraudlab.settings import REPOSITORY, Settings
from fraudlab.verification import report
from fraudlab.verification.judge import Findings
from tests.support.documents import DOCS, tables, text

HEADINGS = ["What it is for", "Input", "Output", "Guarantees", "Settings"]
JOBS = sorted(
    name
    for module in (REPOSITORY / "fraudlab/pipeline").glob("*.py")
    for name in re.findall(r'^JOB = "(.+)"$', text(module), re.MULTILINE)
)
SERVICES = sorted(program.name.replace("analytics", "dashboard") for program in system.services(Settings()))
PAGES = [f"jobs/{job}.md" for job in JOBS] + [f"services/{service}.md" for service in [*SERVICES, "data-generator"]]


def test_each_job_and_service_has_its_page_and_nothing_else_has_one() -> None:
    there = {str(path.relative_to(DOCS)) for folder in ("jobs", "services") for path in (DOCS / folder).glob("*")}
    assert len(JOBS) == 3
    assert there == set(PAGES)


@pytest.mark.parametrize("page", PAGES)
def test_a_page_says_what_it_is_for_and_then_input_output_guarantees_and_settings(page: str) -> None:
    parts = re.split(r"^## (.+)$", text(DOCS / page), flags=re.MULTILINE)
    assert parts[1::2][: len(HEADINGS)] == HEADINGS
    assert all(len(part.strip()) > 40 for part in parts[2::2])


def test_each_setting_stands_on_the_page_of_what_reads_it() -> None:
    told = {name for names in tables.SETTINGS.values() for name in names}
    assert told == set(Settings.model_fields)
    for page, names in tables.SETTINGS.items():
        settings = text(DOCS / page).partition("<!-- begin settings -->")[2].partition("<!-- end settings -->")[0]
        assert re.findall(r"^\| `FRAUDLAB_(\w+)`", settings, re.MULTILINE) == [name.upper() for name in names]


def test_every_kind_of_finding_is_explained_under_the_title_that_people_see() -> None:
    rows = re.findall(r"^\| ([a-z ]+) \| ([A-Z][^|]+) \| [^|]{20,} \|$", text(DOCS / "operations.md"), re.MULTILINE)
    assert report.TITLES.keys() == Findings.__dataclass_fields__.keys()
    assert dict(rows) == {kind.replace("_", " "): title for kind, title in report.TITLES.items()}
