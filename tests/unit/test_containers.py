"""The Compose file says what the code needs, publishes on loopback only, and hands each container no more than its own."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped] # comes with myst-parser

from fraudlab import system
from fraudlab.pipeline import database
from fraudlab.services.same_origin import is_loopback
from fraudlab.settings import Settings
from fraudlab.stack import secret_store
from fraudlab.stack.supervisor import Stack

REPOSITORY = Path(__file__).parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((REPOSITORY / "docker-compose.yml").read_text(encoding="utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OWN = [name for name, service in SERVICES.items() if str(service["image"]).startswith("fraudlab")]
MADE = set(
    re.findall(
        r"[A-Z_]{4,}",
        (REPOSITORY / "containers/make-env.sh").read_text().partition("for name in")[2].partition("; do")[0],
    )
)
SECRETS = {secret_store.variable(f"mysql_{role}") for role in (*database.ROLES, "root")}
MAY_KNOW = {
    "lab": {"root"},  # it plays the administrator: databases of learners are made and dropped from notebooks
    "pipeline": {"root", *database.ROLES},
    "data-generator": {"generator"},
    "flagger": {"flagger"},
    "notifier": {"notifier"},
    "dashboard": {"analytics", "generator", "operator"},  # it shows, commits a fraud, and reinstates
}


def mib(limit: str) -> int:
    return int(limit[:-1]) * {"m": 1, "g": 1024}[limit[-1]]


@pytest.mark.parametrize("name", OWN)
def test_every_variable_is_a_setting_or_a_secret(name: str) -> None:
    known = {f"FRAUDLAB_{each.upper()}" for each in Settings.model_fields} | SECRETS
    known |= {secret_store.variable(each) for each in ("jupyter_token", "dashboard_password")}
    assert set(SERVICES[name]["environment"]) <= known


@pytest.mark.parametrize("name", OWN)
def test_a_container_knows_no_password_but_its_own(name: str) -> None:
    given = set(SERVICES[name]["environment"]) & SECRETS
    assert given == {secret_store.variable(f"mysql_{role}") for role in MAY_KNOW.get(name, ())}


def test_the_dashboard_asks_for_a_password_that_a_person_can_look_up() -> None:
    settings = Settings(in_container=True)
    assert not is_loopback(settings.bind_address(settings.dashboard_host)), "other containers reach it"
    variable = secret_store.variable("dashboard_password")
    assert {name for name in OWN if variable in SERVICES[name]["environment"]} == {"lab", "dashboard"}


def test_an_older_env_file_gets_what_it_lacks_and_keeps_the_rest(tmp_path: Path) -> None:
    script = tmp_path / "containers" / "make-env.sh"
    script.parent.mkdir()
    shutil.copy(REPOSITORY / "containers/make-env.sh", script)
    (tmp_path / ".env").write_text("MYSQL_ROOT=kept\n")
    for _ in range(2):
        subprocess.run(["sh", script], check=True, capture_output=True)
    lines = (tmp_path / ".env").read_text().splitlines()
    assert lines[0] == "MYSQL_ROOT=kept"
    assert {line.partition("=")[0] for line in lines} == MADE
    assert len(lines) == len(MADE)


def test_every_secret_is_made_and_none_is_written_down() -> None:
    values = [str(value) for service in SERVICES.values() for value in service.get("environment", {}).items()]
    secret = [value for value in values if "SECRET" in value or "PASSWORD" in value]
    used = {name for value in secret for name in re.findall(r"\$\{([A-Z_]+)", value)}
    assert len([value for value in secret if "${" not in value]) == 0
    assert used == MADE


@pytest.mark.parametrize("name", SERVICES)
def test_ports_are_published_on_loopback_and_lead_where_people_look(name: str) -> None:
    defaults = Settings.model_construct()
    pages = {defaults.flink_rest_port, defaults.inbox_http_port, defaults.dashboard_port, defaults.jupyter_port}
    for published in SERVICES[name].get("ports", ()):
        address, outside, inside = published.split(":")
        assert address == "127.0.0.1"
        assert outside == inside, "links on pages name the port inside"
        assert int(inside) in pages


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_is_limited_and_what_lasts_is_checked(name: str) -> None:
    assert mib(SERVICES[name]["mem_limit"]) >= 256
    assert "healthcheck" in SERVICES[name] or name in ("pipeline", "data-generator")


@pytest.mark.parametrize("profile", ["lab", "demo"])
def test_the_limits_of_a_profile_fit_into_a_laptop(profile: str) -> None:
    running = [one for one in SERVICES.values() if profile in one.get("profiles", [profile])]
    assert sum(mib(one["mem_limit"]) for one in running) <= 8 * 1024


def test_every_program_has_a_container() -> None:
    settings = Settings()
    programs = {*Stack(settings).services, *(program.name for program in system.services(settings))}
    run = {part for service in SERVICES.values() for part in service.get("command", ())}
    assert programs - {"mysql", "kafka"} <= run
    assert {"mysql", "kafka"} <= SERVICES.keys()


@pytest.mark.parametrize("name", ["mysql", "kafka", "zookeeper", "jobmanager", "taskmanager"])
def test_what_labs_break_can_be_killed(name: str) -> None:
    service = SERVICES[name]
    words = [*service.get("entrypoint", ()), *service["command"]] if "command" in service else service["entrypoint"]
    script = next(index for index, word in enumerate(words) if word.endswith("containers/breakable.sh"))
    assert words[script + 1] == name
    assert "control:/control" in service["volumes"]
    assert service["restart"] == "unless-stopped"


def test_mysql_is_told_what_the_local_one_is_told() -> None:
    template = (REPOSITORY / "fraudlab/stack/templates/my.cnf.conf").read_text(encoding="utf-8")
    section = template[template.index("# what change data capture needs") : template.index("innodb-log-buffer-size")]
    local = dict(line.split(" = ") for line in section.splitlines() if " = " in line) | {"server-id": "1"}
    containers = dict(option[2:].split("=", 1) for option in SERVICES["mysql"]["command"] if "=" in option)
    assert local.items() <= containers.items()


def test_kafka_is_told_what_the_local_one_is_told() -> None:
    template = (REPOSITORY / "fraudlab/stack/templates/kafka.properties").read_text(encoding="utf-8")
    local = dict(line.split("=", 1) for line in template.splitlines() if "=" in line and "${" not in line)
    given = SERVICES["kafka"]["environment"]
    containers = {name[6:].replace("_", ".").lower(): value for name, value in given.items()}
    own = {"num.network.threads", "num.io.threads"}  # of a small machine; the image has its defaults
    assert {name: value for name, value in local.items() if name not in own}.items() <= containers.items()


def test_versions_are_those_of_the_local_stack() -> None:
    pom = (REPOSITORY / "pom.xml").read_text(encoding="utf-8")
    version = SERVICES["kafka"]["image"].partition(":")[2]
    assert re.search(rf"kafka_2\.13</artifactId>\s*<version>{re.escape(version)}<", pom) or f">{version}<" in pom
    project = re.search(r'^version = "(.*)"', (REPOSITORY / "pyproject.toml").read_text(), re.MULTILINE)
    assert project is not None
    assert {SERVICES[name]["image"].partition(":")[2] for name in OWN} == {project[1]}
