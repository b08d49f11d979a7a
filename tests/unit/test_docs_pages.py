"""Each job and service has a page of one shape, and each setting stands on one."""

import re

import pytest

from fraudlab import system
from fraudlab.course import glossary
from fraudlab.pipeline.contracts import JOBS
from fraudlab.settings import Settings
from fraudlab.verification.judge import Findings
from tests.support.documents import DOCS, tables, text

HEADINGS = ["What it is for", "Input", "Output", "Guarantees", "Settings"]
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


def test_every_kind_of_finding_is_explained() -> None:
    rows = re.findall(r"^\| ([a-z ]+) \| [A-Z][^|]+ \| [^|]{20,} \|$", text(DOCS / "operations.md"), re.MULTILINE)
    assert sorted(rows) == sorted(kind.replace("_", " ") for kind in Findings.__dataclass_fields__)


def test_every_term_of_the_concepts_is_in_the_glossary() -> None:
    bold = re.findall(r"\*\*([^*\n]+)\*\*", text(DOCS / "concepts.md"))
    terms = {term.lower() for term in bold if not term.endswith(".")} - {
        "bold"
    }  # with a full stop it opens an entry of a list
    documents = re.findall(r"^- \*\*([^*]+)\*\*: .", text(DOCS / "glossary.md"), re.MULTILINE)
    known = {name for one in documents for name in (one, f"{one}s")}
    assert len(terms) > 15
    assert {term for term in terms if glossary.find(term) is None} <= known
    assert not [one for one in documents if glossary.find(one) is not None], "is among the labs' terms already"
