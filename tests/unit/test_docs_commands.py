"""What documents name beside make and fraudlab: calls of Compose, tests, scripts, helpers of notebooks, addresses, configuration keys."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import typer
import yaml  # type: ignore[import-untyped]
from data_generator.cli import app as data_generator
from data_generator.connection import Connection

from fraudlab.course import lab
from fraudlab.settings import REPOSITORY, Settings
from tests.support.documents import PAGES, called, code, text

COMPOSE: dict[str, Any] = yaml.safe_load((REPOSITORY / "docker-compose.yml").read_text(encoding="utf-8"))
SERVICES: dict[str, Any] = COMPOSE["services"]
PROFILES = {profile for service in SERVICES.values() for profile in service.get("profiles", ())}
USUAL_PROFILES = {"lab"}
"""What `.env` sets."""

OPTIONS = {
    "up": {"--build", "--detach", "-d", "--no-build", "--no-deps"},
    "down": {"--volumes"},
    "ps": {"--all"},
    "logs": {"-f", "--follow", "--tail"},
    "run": {"--rm", "-T", "--no-deps"},
    "exec": {"-T"},
    "restart": set(),
    "stop": set(),
    "start": set(),
    "cp": set(),
    "build": set(),
    "version": set(),
}
"""The commands of `docker compose` that documents use, and the options of each that they may."""
FIRST_ONLY = {"run", "exec", "cp"}
"""After these comes one service, and then something that is none."""

KEY_SOURCES = (
    "fraudlab/stack/templates/*",
    "fraudlab/pipeline/*.py",
    "fraudlab/pipeline/sql/*",
    "deploy/*",
    "docker-compose.yml",
)
ADVISED = {
    *("min.insync.replicas", "execution.checkpointing.incremental", "log_bin_trust_function_creators"),
}
"""Keys of Kafka, Flink and MySQL that documents advise and that nothing here sets."""


@pytest.fixture(params=PAGES, ids=lambda page: str(page.relative_to(REPOSITORY)))
def page(request: pytest.FixtureRequest) -> Path:
    path = request.param
    assert isinstance(path, Path)
    return path


class ComposeCall(NamedTuple):
    """A call of `docker compose`: the profiles that are on, the command, and what follows it."""

    profiles: set[str]
    command: str
    words: list[str]


def compose_calls(page: Path) -> Iterator[ComposeCall]:
    for line in code(page):
        for call in re.finditer(r"(?:COMPOSE_PROFILES=(\S+) )?docker compose ([a-z]+)([^#;&|…]*)", line):
            profiles = set(call[1].split(",")) if call[1] else USUAL_PROFILES
            yield ComposeCall(profiles, call[2], call[3].split())


def test_every_call_of_compose_is_one_that_the_file_knows(page: Path) -> None:
    for profiles, command, words in compose_calls(page):
        assert profiles <= PROFILES
        assert command in OPTIONS, f"is there `docker compose {command}`? then add it to OPTIONS"
        if command in FIRST_ONLY:
            words = list(_until_the_first_name(words))
        options = [word for word in words if word.startswith("-")]
        named = [word.partition(":")[0] for word in words if not word.startswith(("-", "<"))]
        assert {option.partition("=")[0] for option in options} <= OPTIONS[command], (
            f"`docker compose {command}` with {options}"
        )
        for name in named:
            assert name in SERVICES, f"there is no container {name}"
            assert profiles & set(SERVICES[name].get("profiles", profiles)), (
                f"{name} needs another COMPOSE_PROFILES before the command"
            )


def _until_the_first_name(words: list[str]) -> Iterator[str]:
    for word in words:
        yield word
        if not word.startswith("-"):
            return


def test_there_are_calls_of_compose_to_look_at() -> None:
    assert len([call for page in PAGES for call in compose_calls(page)]) > 10


def test_images_are_those_of_compose(page: Path) -> None:
    images = {service["image"] for service in SERVICES.values()}
    saved = {word for words in called(page, "docker") if words[0] == "save" for word in words if ":" in word}
    assert not saved or saved == images


def test_every_test_and_script_that_is_named_exists(page: Path) -> None:
    for program in ("pytest", "python", "sh", "kubectl apply -f", "docker build -f"):
        for words in called(page, program):
            path = next((word for word in words if "/" in word and not word.startswith("-")), None)
            assert path is None or (REPOSITORY / path).exists(), f"there is no {path}"


def test_every_option_of_the_data_generator_exists(page: Path) -> None:
    known = {"--help"} | {
        name
        for option in typer.main.get_command(data_generator).params
        for name in (*option.opts, *option.secondary_opts)
    }
    for words in called(page, "data-generator"):
        assert {word for word in words if re.fullmatch(r"--?[a-z][a-z-]*", word)} <= known


def test_every_helper_of_notebooks_exists(page: Path) -> None:
    named = set(re.findall(r"(?<![\w/.])lab\.([a-z_]+)(?![\w-])", text(page))) - {"py", "md"}
    assert {name for name in named if not hasattr(lab, name)} == set()


def test_every_address_is_a_default(page: Path) -> None:
    defaults = Settings.model_construct()
    ports = {str(getattr(defaults, name)) for name in Settings.model_fields if name.endswith("_port")}
    assert set(re.findall(r"(?:127\.0\.0\.1|localhost):(\d+)", text(page))) <= ports


def test_every_configuration_key_is_one_that_something_here_sets(page: Path) -> None:
    endings = {
        "py",
        "md",
        "json",
        "toml",
        "yml",
        "yaml",
        "xml",
        "txt",
        "so",
        "tar",
        "sh",
        "svg",
        "lock",
        "sql",
        "csv",
        "sqlite",
        "log",
    }
    sources = "".join(
        path.read_text(encoding="utf-8") for place in KEY_SOURCES for path in REPOSITORY.glob(place) if path.is_file()
    )
    spans = re.findall(
        r"`([a-z][a-z-]*(?:\.[a-z][a-z-]*)+|binlog_\w+|log_bin_\w+)`|^'([a-z.-]+)' = ", text(page), re.MULTILINE
    )
    for key in filter(None, (one for span in spans for one in span)):
        if key.rpartition(".")[2] in endings or key.startswith(("lab.", "fraudlab.", "anna.")):
            continue
        written = {key, key.replace("_", "-")}
        assert key in ADVISED or any(one in sources for one in written), f"nothing sets {key}"


def test_what_is_advised_is_set_by_nothing_here() -> None:
    sources = "".join(
        path.read_text(encoding="utf-8") for place in KEY_SOURCES for path in REPOSITORY.glob(place) if path.is_file()
    )
    assert {key for key in ADVISED if key in sources} == set()
    assert {key for key in ADVISED if not any(key in text(page) for page in PAGES)} == set()


def test_variables_of_other_programs_are_read_by_something() -> None:
    section = text(REPOSITORY / "docs" / "settings.md").partition("## Variables of other programs")[2]
    names = set(re.findall(r"`([A-Z][A-Z_]+)`", section))
    readers = [*REPOSITORY.glob("fraudlab/**/*.py"), *REPOSITORY.glob("tests/support/*.py")]
    readers += [REPOSITORY / "bootstrap.py", REPOSITORY / "containers/make-env.sh"]
    read = {word for path in readers for word in re.findall(r"\b[A-Z][A-Z_]+\b", text(path))}
    generator = {f"DATA_GENERATOR_{name.upper()}" for name in {*Connection.__slots__, "password_file"} - {"deadline_s"}}
    assert len(names) > 8
    assert names <= read | generator
    assert generator <= names
