"""The Compose file says what the code needs, publishes on loopback only, and hands each container no more than its own (sec-08)."""

import dataclasses
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped] # comes with myst-parser

from fraudlab import system
from fraudlab.pipeline import database, kafka_accounts
from fraudlab.same_origin import is_loopback
from fraudlab.settings import Settings
from fraudlab.stack import flink, secret_store
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
SECRETS = {secret_store.variable(f"mysql_{role}") for role in (*database.ROLES, "root")} | {
    secret_store.variable(f"kafka_{account}") for account in (*kafka_accounts.ROLES, "owner")
}
MAY_KNOW = {
    "lab": {"root"},  # it plays the administrator: databases of learners are made and dropped from notebooks
    "pipeline": {"root", *database.ROLES},
    "data-generator": {"generator"},
    "flagger": {"flagger"},
    "notifier": {"notifier"},
    "dashboard": {"analytics", "generator", "operator"},  # it shows, commits a fraud, and reinstates
}


MAY_KNOW_OF_KAFKA = {
    "lab": {"owner"},  # topics and accounts of learners are made from notebooks
    "pipeline": {"owner", *kafka_accounts.ROLES},
    "flagger": {"flagger"},
    "notifier": {"notifier"},
    "dashboard": {"analytics"},
}
PYTHON_MIB = 256
"""What Python takes in the TaskManager's process, beside what Flink plans with."""
LAPTOP_MIB = 6 * 1024
"""What a laptop with 8 GB can give to containers."""


def started_by(profile: str) -> set[str]:
    return {name for name, service in SERVICES.items() if profile in service.get("profiles", [profile])}


def mib(limit: str) -> int:
    return int(limit[:-1]) * {"m": 1, "g": 1024}[limit[-1]]


@pytest.mark.parametrize("name", OWN)
def test_every_variable_is_a_setting_or_a_secret(name: str) -> None:
    known = {f"FRAUDLAB_{each.upper()}" for each in Settings.model_fields} | SECRETS
    known |= {
        secret_store.variable(each) for each in ("dashboard_password", "flink_keys", "flink_page_token", "zookeeper")
    }
    assert set(SERVICES[name]["environment"]) <= known


@pytest.mark.parametrize("name", OWN)
def test_a_container_knows_no_password_but_its_own(name: str) -> None:
    given = set(SERVICES[name]["environment"]) & SECRETS
    assert given == {
        *(secret_store.variable(f"mysql_{role}") for role in MAY_KNOW.get(name, ())),
        *(secret_store.variable(f"kafka_{account}") for account in MAY_KNOW_OF_KAFKA.get(name, ())),
    }


def test_kafka_asks_who_is_there_as_it_does_without_containers() -> None:
    """Case sec-03. The passwords differ, and all else is compared below."""
    template = (REPOSITORY / "fraudlab/stack/templates/kafka.properties").read_text(encoding="utf-8")
    jaas = {line.partition("=")[0] for line in template.splitlines() if ".sasl.jaas.config=${" in line}
    assert len(jaas) == 1
    assert {name: _property(name, SERVICES["kafka"]["environment"]) is None for name in jaas} == dict.fromkeys(
        jaas, False
    )


def _property(name: str, environment: dict[str, Any]) -> str | None:
    """A property of Kafka as its image reads it from a variable: `___` is `-`, and `_` is `.`."""
    return {
        key[6:].replace("___", "-").replace("_", ".").lower(): str(value) for key, value in environment.items()
    }.get(name)


def test_the_dashboard_asks_for_a_password_that_a_person_can_look_up() -> None:
    settings = Settings(in_container=True)
    assert not is_loopback(settings.bind_address(settings.dashboard_host)), "other containers reach it"
    variable = secret_store.variable("dashboard_password")
    assert {name for name in OWN if variable in SERVICES[name]["environment"]} == {"lab", "dashboard"}


def test_flinks_keys_are_where_jobs_are_submitted_and_run_and_its_port_is_not_published() -> None:
    """Case sec-01."""
    volume = "flink-keys:/var/lib/fraudlab/flink-keys"
    holders = {name for name, service in SERVICES.items() if volume in service.get("volumes", ())}
    assert holders == {"jobmanager", "taskmanager", "flink-page", "lab", "pipeline"}
    password = secret_store.variable("flink_keys")
    assert {name for name in OWN if password in SERVICES[name]["environment"]} == holders - {"flink-page"}
    assert not [name for name, service in SERVICES.items() if "18082" in str(service.get("ports"))]
    assert [name for name, service in SERVICES.items() if "18081" in str(service.get("ports"))] == ["flink-page"]


def test_sec_01_only_zookeeper_and_flink_know_the_login_between_them() -> None:
    variable = secret_store.variable("zookeeper")
    knowing = {name for name in OWN if variable in SERVICES[name]["environment"]}
    assert knowing == {"zookeeper", "jobmanager", "taskmanager"}


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
    secret = [value for value in values if "SECRET" in value or "PASSWORD" in value or "password=" in value]
    used = {name for value in secret for name in re.findall(r"\$\{([A-Z_]+)", value)}
    assert len([value for value in secret if "${" not in value]) == 0
    assert used == MADE


@pytest.mark.parametrize("name", SERVICES)
def test_ports_are_published_on_loopback_and_lead_where_people_look(name: str) -> None:
    defaults = Settings.model_construct()
    pages = {defaults.flink_page_port, defaults.inbox_http_port, defaults.dashboard_port, defaults.jupyter_port}
    for published in SERVICES[name].get("ports", ()):
        address, outside, inside = published.split(":")
        assert address == "127.0.0.1"
        assert outside == inside, "links on pages name the port inside"
        assert int(inside) in pages


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_is_limited_and_what_lasts_is_checked(name: str) -> None:
    assert mib(SERVICES[name]["mem_limit"]) >= 192
    assert "healthcheck" in SERVICES[name] or name == "pipeline", "the pipeline ends"


@pytest.mark.parametrize("profile", ["lab", "demo"])
def test_the_limits_of_a_profile_fit_into_a_laptop(profile: str) -> None:
    assert sum(mib(SERVICES[name]["mem_limit"]) for name in started_by(profile)) <= LAPTOP_MIB


@pytest.mark.parametrize(("profile", "shown"), [("lab", {"lab"}), ("demo", {"pipeline", "dashboard"})])
def test_up_shows_no_log_but_of_what_says_where_to_go(profile: str, shown: set[str]) -> None:
    assert {name for name in started_by(profile) if SERVICES[name].get("attach", True)} == shown


def test_what_flink_plans_with_fits_into_the_limits() -> None:
    jobmanager = flink.JOBMANAGER_HEAP_MIB + flink.JOBMANAGER_METASPACE_MIB + 64 + 96  # off-heap, overhead
    assert mib(SERVICES["jobmanager"]["mem_limit"]) >= jobmanager
    assert (
        mib(SERVICES["taskmanager"]["mem_limit"])
        >= sum(dataclasses.astuple(flink.memory_of(flink.USUAL_SLOTS))) + PYTHON_MIB
    )


def test_an_editor_gets_at_all_pages_and_starts_what_the_labs_need() -> None:
    opened = json.loads((REPOSITORY / ".devcontainer/devcontainer.json").read_text(encoding="utf-8"))
    service = opened["service"]
    forwarded = {
        (service, port) if isinstance(port, int) else tuple(port.split(":")) for port in opened["forwardPorts"]
    }
    published = {
        (service if name == service else name, int(port.split(":")[2]) if name == service else port.split(":")[2])
        for name in started_by("lab")
        for port in SERVICES[name].get("ports", ())
    }
    assert forwarded == published
    assert set(opened["portsAttributes"]) == {str(port) for port in opened["forwardPorts"]}
    assert {service, *opened["runServices"]} == started_by("lab")


def test_the_passwords_of_a_learner_outlive_the_container() -> None:
    image = (REPOSITORY / "Dockerfile").read_text(encoding="utf-8")
    home = re.search(r"FRAUDLAB_HOME=(\S+)", image)
    assert home is not None
    assert '"$FRAUDLAB_HOME/secrets"' in image, "its owner is the volume's"
    assert f"lab-secrets:{home[1]}/secrets" in SERVICES["lab"]["volumes"]


def test_every_volume_is_known_to_the_script_that_counts_what_is_left() -> None:
    script = (REPOSITORY / "containers/test.sh").read_text(encoding="utf-8")
    kept = re.search(r'^KEPT="(.*)"', script, re.MULTILINE)
    assert kept is not None
    assert {*kept[1].split(), "my-labs", "lab-secrets"} == COMPOSE["volumes"].keys()
    assert "keeps $KEPT lab-secrets my-labs" in script


def test_scripts_keep_their_line_endings_on_windows() -> None:
    done = subprocess.run(
        ["git", "check-attr", "eol", "containers/breakable.sh"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split()[-1] == "lf"


def test_what_compose_says_where_a_password_is_missing_is_in_troubleshooting() -> None:
    page = (REPOSITORY / "docs/troubleshooting.md").read_text(encoding="utf-8")
    said = set(re.findall(r"\$\{\w+:\?(.*?)\}", (REPOSITORY / "docker-compose.yml").read_text(encoding="utf-8")))
    assert said
    assert not [message for message in said if f"`{message}`" not in page]


def test_every_image_is_in_the_page_on_versions() -> None:
    page = (REPOSITORY / "docs/updating-versions.md").read_text(encoding="utf-8")
    bases = re.findall(r"^FROM (\S+:\S+)", (REPOSITORY / "Dockerfile").read_text(encoding="utf-8"), re.MULTILINE)
    assert bases
    assert not [image for image in (*bases, *(one["image"] for one in SERVICES.values())) if f"`{image}`" not in page]


def test_every_program_has_a_container() -> None:
    settings = Settings()
    programs = {*Stack(settings).services, *(program.name for program in system.services(settings))}
    run = {part for service in SERVICES.values() for part in service.get("command", ())}
    assert programs - {"mysql", "kafka"} <= run
    assert {"mysql", "kafka"} <= SERVICES.keys()


@pytest.mark.parametrize("name", ["mysql", "kafka", "zookeeper", "jobmanager", "taskmanager", "flink-page"])
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
    containers = {name[6:].replace("___", "-").replace("_", ".").lower(): value for name, value in given.items()}
    own = {"num.network.threads", "num.io.threads"}  # of a small machine; the image has its defaults
    # between broker and controller: nothing else can take the port of a container
    own |= {
        "listener.security.protocol.map",
        *(name for name in local if name.startswith("listener.name.controller.ssl")),
    }
    assert {name: value for name, value in local.items() if name not in own}.items() <= containers.items()


def test_versions_are_those_of_the_local_stack() -> None:
    jars = (REPOSITORY / "requirements/jars.toml").read_text(encoding="utf-8")
    assert f'"org.apache.kafka:kafka_2.13:{SERVICES["kafka"]["image"].partition(":")[2]}"' in jars
    project = re.search(r'^version = "(.*)"', (REPOSITORY / "pyproject.toml").read_text(), re.MULTILINE)
    assert project is not None
    assert {SERVICES[name]["image"].partition(":")[2] for name in OWN} == {project[1]}


@pytest.mark.parametrize("name", SERVICES)
def test_sec_08_a_container_has_no_capability_and_gains_no_rights(name: str) -> None:
    assert SERVICES[name]["cap_drop"] == ["ALL"]
    assert SERVICES[name]["security_opt"] == ["no-new-privileges:true"]
    assert not {"cap_add", "privileged", "pid", "network_mode", "ipc", "devices"} & SERVICES[name].keys()


def test_sec_08_nothing_starts_as_root() -> None:
    """Without capabilities it could not give up being root anyway."""
    for name in set(SERVICES) - set(OWN):
        assert SERVICES[name]["user"] in ("mysql", "appuser")
    assert re.findall(r"^USER (\S+)", (REPOSITORY / "Dockerfile").read_text(encoding="utf-8"), re.MULTILINE) == [
        "fraudlab"
    ]


def test_sec_08_mysqls_root_is_read_only() -> None:
    assert SERVICES["mysql"]["read_only"] is True
    assert set(SERVICES["mysql"]["tmpfs"]) == {"/tmp", "/var/run/mysqld"}  # noqa: S108 - what its image writes beside its data


@pytest.mark.parametrize("name", SERVICES)
def test_sec_08_no_password_is_an_argument(name: str) -> None:
    service = SERVICES[name]
    words = [
        *service.get("command", ()),
        *service.get("entrypoint", ()),
        *service.get("healthcheck", {}).get("test", ()),
    ]
    assert not [word for word in words if re.search(r"password|secret|token|\$\{|\$\$", word, re.IGNORECASE)]


def test_sec_08_the_control_folder_is_its_owners_and_its_groups() -> None:
    options = dict(
        option.split("=") for option in COMPOSE["volumes"]["control"]["driver_opts"]["o"].split(",")
    )  # fmt: skip
    assert int(options["mode"], 8) & 0o007 == 0
    owner = re.search(r"useradd --uid (\d+)", (REPOSITORY / "Dockerfile").read_text(encoding="utf-8"))
    assert owner is not None
    assert options["uid"] == options["gid"] == owner[1]
    for name in set(SERVICES) - set(OWN):
        assert SERVICES[name]["group_add"] == [options["gid"]]


def test_sec_08_foreign_images_have_an_exact_version_or_a_digest() -> None:
    """A tag such as `mysql:8.0` moves. docs/updating-versions.md has the command that turns these into digests."""
    bases = re.findall(r"^FROM (\S+:\S+)", (REPOSITORY / "Dockerfile").read_text(encoding="utf-8"), re.MULTILINE)
    bases += re.findall(
        r"^FROM (\S+:\S+)", (REPOSITORY / "deploy/Dockerfile").read_text(encoding="utf-8"), re.MULTILINE
    )
    foreign = [*bases, *(one["image"] for name, one in SERVICES.items() if name not in OWN)]
    assert len(foreign) >= 4
    assert not [image for image in foreign if not re.search(r":\d+\.\d+\.\d+\b|@sha256:[0-9a-f]{64}$", image)]
