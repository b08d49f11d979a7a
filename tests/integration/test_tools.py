"""The tools of Kafka and Flink, and `mysql`, as `fraudlab` starts them: with everything filled in."""

import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from fraudlab import tools
from fraudlab.errors import UserError
from fraudlab.settings import Settings
from tests.support.home import outcome
from tests.support.lab import Lab, LearnerLab, learner_lab

pytestmark = pytest.mark.slow  # each is a JVM


def fraudlab(*arguments: str, learner: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    done = outcome(
        [str(Path(sys.executable).with_name("fraudlab")), *arguments], **{"FRAUDLAB_LEARNER": learner} | environment
    )
    # Java tells of the options that `tests/run.py` gives every JVM
    said = [line for line in done.stdout.splitlines(keepends=True) if not line.startswith("Picked up ")]
    done.stdout = "".join(said)
    return done


@pytest.fixture
def learner(settings: Settings) -> Iterator[LearnerLab]:
    with learner_lab(settings, "tools1") as lab:
        yield lab


def test_kafkas_own_tools_read_the_topics(lab: Lab) -> None:
    lab.fraud_is_caught()
    topics = fraudlab("kafka", "topics", "--list")
    assert {"transactions", "suspicious_activities"} <= set(topics.stdout.split()), topics.stdout
    read = fraudlab(
        *("kafka", "console-consumer", "--topic", "suspicious_activities", "--from-beginning"),
        *("--property", "print.key=true", "--timeout-ms", "8000"),
    )
    assert '\t{"activity_id":' in read.stdout, "a key, a tab and the record"
    groups = fraudlab("kafka", "consumer-groups", "--describe", "--group", "flagger")
    assert "suspicious_activities" in groups.stdout, groups.stdout


def test_with_a_learners_name_kafkas_tools_have_the_learners_rights(learner: LearnerLab) -> None:
    topics = fraudlab("kafka", "topics", "--list", learner="tools1")
    names = topics.stdout.split()
    assert names, topics.stdout
    assert all(name.startswith("tools1.") for name in names)
    refused = fraudlab(
        *("kafka", "console-consumer", "--topic", "suspicious_activities", "--timeout-ms", "8000"), learner="tools1"
    )
    assert "Not authorized to access topics" in refused.stdout


def test_flinks_own_command_line_lists_the_jobs(lab: Lab) -> None:
    listed = fraudlab("flink", "list")
    assert listed.returncode == 0, listed.stdout
    assert "fraud-detector (RUNNING)" in listed.stdout


def test_mysql_gets_its_log_in_from_a_file_that_only_the_owner_reads(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = tmp_path / "mysql"
    client.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n', encoding="utf-8")
    client.chmod(0o700)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    tool = tools.mysql(settings, ["-e", "SHOW TABLES"])
    (option,) = (one for one in tool.command if one.startswith("--defaults-extra-file="))
    file = Path(option.partition("=")[2])
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    password = file.read_text(encoding="utf-8").partition('password="')[2].partition('"')[0]
    assert len(password) == 32
    assert not any(password in one for one in tool.command)
    assert subprocess.run(
        tool.command, env=tool.environment, capture_output=True, text=True, check=True
    ).stdout.split()[-2:] == [
        "SHOW",
        "TABLES",
    ]


@pytest.mark.skipif(not any(map(shutil.which, tools.MYSQL_CLIENTS)), reason="this machine has no mysql client")
def test_mysql_opens_the_banks_database(lab: Lab) -> None:
    done = fraudlab("sql", "--batch", "-e", "SELECT COUNT(*) AS payments FROM transactions")
    assert done.stdout.split()[0] == "payments", done.stdout


def test_a_tool_that_is_not_there_is_named_with_those_that_are(settings: Settings) -> None:
    done = fraudlab("kafka", "streams-reset")
    assert done.returncode == 1
    assert "console-consumer" in done.stdout


def test_without_a_client_of_mysql_it_says_what_to_install(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError) as raised:
        tools.mysql(settings, [])
    assert "default-mysql-client" in raised.value.advice
