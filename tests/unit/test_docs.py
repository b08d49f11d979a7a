"""The documentation names only what exists: commands, options, make targets, settings, files."""

import re
import subprocess
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import typer
from data_generator.cli import app as data_generator
from typer.core import TyperGroup

from fraudlab.classroom import room
from fraudlab.cli import app
from fraudlab.pipeline import database, kafka_accounts
from fraudlab.settings import REPOSITORY, Settings
from fraudlab.stack import doctor, secret_store
from fraudlab.stack.provision import jars
from tests.support.documents import FENCE, PAGES, called, tables, text, without_code

SWITCHES = {f"FRAUDLAB_TEST_{name}" for name in ("KEEP", "MINUTES", "PATIENCE", "TWICE", "UNTIL")}
"""Variables that are no settings of the system: the tests read them."""
COMMANDS = typer.main.get_group(app).commands


def options(command: Any) -> set[str]:
    return {"--help"} | {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}


@pytest.fixture(params=PAGES, ids=lambda page: str(page.relative_to(REPOSITORY)))
def page(request: pytest.FixtureRequest) -> Path:
    path = request.param
    assert isinstance(path, Path)
    return path


def test_the_readme_is_there() -> None:
    assert REPOSITORY / "README.md" in PAGES


def test_every_make_target_exists(page: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):.*?## ", (REPOSITORY / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    named = {word for words in called(page, "make") for word in words if "=" not in word}
    assert named <= targets


def test_every_fraudlab_command_and_option_exists(page: Path) -> None:
    for words in called(page, "fraudlab"):
        name = words[0]
        if name == "--help":
            continue
        assert name in COMMANDS, f"there is no command `fraudlab {name}`"
        command = COMMANDS[name]
        if isinstance(command, TyperGroup) and len(words) > 1:
            assert words[1] in command.commands, f"there is no command `fraudlab {name} {words[1]}`"
            command = command.commands[words[1]]
        known = options(command)
        if name in ("sql", "kafka", "flink"):
            continue  # the options are those of other people's programs; tests/integration/test_tools.py runs some
        if name == "generate":  # passes its options on
            known |= options(typer.main.get_command(data_generator))
        unknown = {word.partition("=")[0] for word in words if word.startswith("-")} - known
        assert not unknown, f"`fraudlab {name}` has no {unknown}"


def test_every_command_is_documented() -> None:
    documented = {words[0] for page in PAGES for words in called(page, "fraudlab")}
    assert set(COMMANDS) <= documented


def test_every_make_target_is_documented() -> None:
    done = subprocess.run(["make", "-s", "help"], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    targets = set(re.findall(r"^ +make ([a-z-]+)", done.stdout, re.MULTILINE))
    documented = {word for page in PAGES for words in called(page, "make") for word in words}
    assert targets
    assert targets - {"help"} <= documented


def test_every_variable_is_a_setting(page: Path) -> None:
    fields = {f"FRAUDLAB_{name.upper()}" for name in Settings.model_fields}
    secrets = {secret_store.variable(f"mysql_{role}") for role in database.ROLES}
    secrets |= {secret_store.variable(f"kafka_{account}") for account in (*kafka_accounts.ROLES, "owner")}
    secrets.add(secret_store.variable(room.CODE))
    assert set(re.findall(r"\bFRAUDLAB_[A-Z_]+\b", text(page))) <= fields | SWITCHES | secrets | {jars.REPOSITORY_URL}


def test_every_switch_of_the_tests_is_one() -> None:
    code = "".join(path.read_text(encoding="utf-8") for path in (REPOSITORY / "tests" / "support").glob("*.py"))
    assert {name for name in SWITCHES if f'"{name}"' in code} == SWITCHES


def test_every_setting_says_what_it_is() -> None:
    assert not [name for name, field in Settings.model_fields.items() if not field.description]


def test_every_setting_is_in_the_table_and_every_table_is_up_to_date() -> None:
    assert not [path.name for path, _ in tables.differing()], "run `python docs/tables.py`"


def test_every_link_resolves(page: Path) -> None:
    links = re.findall(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)", without_code(page))
    for link in links:
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = page if not path else page.parent / path
        assert target.exists(), f"{link} leads nowhere"
        if anchor:
            assert anchor in anchors(target), f"{link}: {target.name} has no such heading"


def anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", FENCE.sub("", text(page)), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_file_that_is_named_exists(page: Path) -> None:
    folders = {path.name for path in REPOSITORY.iterdir() if path.is_dir()} - {".git", ".fraudlab", "my-labs"}
    for span in re.findall(r"`([\w.-]+(?:/[\w.-]+)+/?)`", text(page)):
        if span.partition("/")[0] in folders:
            assert (REPOSITORY / span).exists(), f"there is no {span}"


def test_every_picture_has_a_text_in_its_place(page: Path) -> None:
    for alternative, source in re.findall(r"!\[([^\]]*)\]\(([^)]*)\)", without_code(page)):
        assert len(alternative) > 10, f"{source} has no alt text"
        picture = page.parent / source
        assert picture.is_file(), f"{source} is not there"
        if picture.suffix == ".svg":
            title = ElementTree.parse(picture).getroot().find("{http://www.w3.org/2000/svg}title")  # noqa: S314 - our own
            assert title is not None, f"{source} has no title"
            assert title.text
    assert "<img" not in text(page), "a picture in HTML is not checked: write ![what it shows](file)"
    for fence in FENCE.finditer(text(page)):
        if fence[1] == "mermaid" or "──▶" in fence[2]:
            caption = text(page)[fence.end() :].lstrip()
            assert re.match(r"\*[^*]{40,}\*", caption), "a diagram is followed by what it shows, in italics"


def test_every_page_is_reached_from_the_first(page: Path) -> None:
    documents = REPOSITORY / "docs"
    if page.is_relative_to(documents) and page.name != "index.md":
        assert f"({page.relative_to(documents)})" in text(documents / "index.md")


def test_every_check_of_the_doctor_is_in_troubleshooting(tmp_path: Path) -> None:
    first_cells = re.findall(r"^\| (`[^|]+) \|", text(REPOSITORY / "docs" / "troubleshooting.md"), re.MULTILINE)
    rows = {name for cell in first_cells for name in re.findall(r"`([^`]+)`", cell)}
    checks = doctor.examine(Settings(home=tmp_path))
    checks.append(doctor.port_check("kafka", 1, "FRAUDLAB_KAFKA_PORT", None, set()))
    assert len(checks) > 5
    assert {re.sub(r"^port \d+ \(.*", "port", check.name) for check in checks} <= rows
