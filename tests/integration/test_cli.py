"""The command line on the running system: exit statuses and what is printed, and where all of it listens."""

import json
import subprocess
import sys
from collections.abc import Iterator
from ipaddress import IPv6Address, ip_address
from pathlib import Path

import psutil
import pytest

from fraudlab.settings import Settings
from fraudlab.stack.layout import Layout
from fraudlab.stack.supervisord import marked_processes
from tests.support.home import outcome
from tests.support.lab import Lab, LearnerLab, learner_lab


def fraudlab(*arguments: str, learner: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs the command; wide, so that no line is broken."""
    command = [str(Path(sys.executable).with_name("fraudlab")), *arguments]
    return outcome(command, **{"FRAUDLAB_LEARNER": learner, "COLUMNS": "200"} | environment)


@pytest.fixture
def unwatched(settings: Settings) -> Iterator[LearnerLab]:
    """A bank whose payments no job reads."""
    with learner_lab(settings, "cli1") as lab:
        yield lab


def test_verify_names_what_is_wrong_by_its_id_and_ends_with_1(unwatched: LearnerLab) -> None:
    user = unwatched.add_user()
    _, second = unwatched.commit_fraud(user)
    done = fraudlab("verify", "--settle-s", "0", learner="cli1")
    assert done.returncode == 1
    assert "Missing: activities that must be there" in done.stdout
    assert any(str(second) in line and str(user) in line for line in done.stdout.splitlines()), done.stdout
    assert "NOT EXACT: 1 missing" in done.stdout

    done = fraudlab("verify", "--settle-s", "0", "--json", learner="cli1")
    assert done.returncode == 1
    verdict = json.loads(done.stdout)
    assert not verdict["exact"]
    assert [finding["user_id"] for finding in verdict["missing"]] == [user]


def test_verify_ends_with_1_where_there_is_nothing_to_verify(unwatched: LearnerLab) -> None:
    done = fraudlab("verify", "--settle-s", "5", learner="cli1")
    assert done.returncode == 1, done.stdout
    assert "NOTHING TO VERIFY" in done.stdout


def test_verify_ends_with_0_where_nothing_is_wrong(lab: Lab) -> None:
    lab.fraud_is_caught()
    done = fraudlab("verify")
    assert done.returncode == 0, done.stdout
    assert "EXACT: nothing missing, nothing extra, nothing twice." in done.stdout


@pytest.mark.parametrize("command", ["status", "up"])
def test_a_terminal_that_asks_for_other_ports_is_told_so(lab: Lab, command: str) -> None:
    done = fraudlab(command, FRAUDLAB_MYSQL_PORT="1")
    assert done.returncode == 1, done.stdout
    assert f"MySQL on {lab.settings.mysql_port} instead of 1." in done.stdout


def test_a_reinstated_account_can_pay_again(lab: Lab) -> None:
    user = lab.add_user()
    lab.commit_fraud(user)
    lab.await_stopped(user)
    done = fraudlab("reinstate", str(user))
    assert done.returncode == 0, done.stdout
    assert f"User {user} can pay again." in done.stdout
    assert not lab.is_stopped(user)
    lab.pay(user, "1.00", "DE")
    other = lab.add_user()
    assert f"User {other} was not stopped." in fraudlab("reinstate", str(other)).stdout


def test_a_user_who_is_not_there_cannot_be_reinstated(lab: Lab) -> None:
    done = fraudlab("reinstate", str(lab.new_user_id()))
    assert done.returncode == 1
    assert "There is no user" in done.stdout


def test_nothing_listens_but_on_loopback(lab: Lab) -> None:
    if lab.settings.in_container:
        pytest.skip("in a container, only loopback ports are published")
    listening = {
        (process.name(), process.pid, connection.laddr.port): ip_address(connection.laddr.ip)
        for process in marked_processes(Layout(lab.settings.home).home)
        for connection in process.net_connections(kind="inet")
        if connection.status == psutil.CONN_LISTEN
    }
    ports = {port for _, _, port in listening}
    of_labs = ("jupyter_", "class_")  # nothing of these runs here
    named = {
        port
        for name, port in lab.settings.model_dump().items()
        if name.endswith("_port") and not name.startswith(of_labs)
    }
    assert named <= ports, "each service was looked at"
    outside = {
        who: address
        for who, address in listening.items()
        if not ((isinstance(address, IPv6Address) and address.ipv4_mapped) or address).is_loopback
    }
    assert outside == {}
