"""Jobs that restart in a loop: whoever waits for them is told why within seconds, and `fraudlab status` shows it."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from fraudlab import system
from fraudlab.course.workspace import Workspace
from fraudlab.errors import UserError
from fraudlab.pipeline.contracts import JOBS
from fraudlab.settings import Settings
from fraudlab.stack import flink_jobs
from tests.support import flink
from tests.support.home import outside_pytest, run
from tests.support.lab import Lab, LearnerLab, learner_lab
from tests.support.waiting import eventually, patient

pytestmark = pytest.mark.slow

TOLD_WITHIN_S = 10
BROKEN_JOBS = """
import dataclasses
from fraudlab import system
from fraudlab.pipeline import cdc
from fraudlab.settings import Settings

def convert(amount):
    raise ValueError("no such rate: XXX")

settings = Settings()
cluster = system.flink_cluster(settings)
environment = cluster.environment()
environment.from_collection([1]).map(convert).print()
environment.execute_async(settings.names.job("fraud-detector"))
wrong = dataclasses.replace(system.cdc_endpoint(settings), password="wrong")
cdc.submit(cluster, wrong, system.kafka(settings), settings.names)
"""


@pytest.fixture(scope="module")
def broken(settings: Settings) -> Iterator[LearnerLab]:
    """A learner whose detector raises, whose reader of the binlog has the wrong password, and whose join nobody submitted."""
    with learner_lab(settings, "broken1") as lab:
        run([sys.executable, "-c", BROKEN_JOBS], print, lab.settings.environment())
        yield lab


def status(*options: str, learner: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(Path(sys.executable).with_name("fraudlab")), "status", *options],
        env=outside_pytest() | {"FRAUDLAB_LEARNER": learner},
        stdout=subprocess.PIPE,
        text=True,
        check=False,
        timeout=60,
    )


def test_a_job_that_restarts_in_a_loop_is_told_with_its_cause_within_seconds(broken: LearnerLab) -> None:
    began, job = time.monotonic(), broken.names.job("fraud-detector")
    with pytest.raises(UserError, match=rf"The job {job} keeps failing: ValueError: no such rate: XXX\.") as told:
        system.wait_for_jobs(broken.settings, [job])
    assert time.monotonic() - began < patient(TOLD_WITHIN_S)
    assert "shows the job's whole exception" in told.value.advice


def test_a_binlog_that_nobody_can_read_is_told_with_the_cause_within_seconds(broken: LearnerLab) -> None:
    began, job = time.monotonic(), broken.names.job("cdc-ingestion")
    with pytest.raises(UserError, match=rf"The job {job} keeps failing: MySQL rejects the login of") as told:
        system.wait_for_binlog_reader(broken.settings)
    assert time.monotonic() - began < patient(TOLD_WITHIN_S)
    assert "Cancel it" in told.value.advice


def test_status_shows_why_a_job_does_not_run_and_ends_with_1(broken: LearnerLab) -> None:
    eventually(lambda: all(job.failures >= 3 for job in flink.jobs_of(broken.settings)), "both have failed thrice")
    done = status(learner=broken.settings.learner)
    assert done.returncode == 1
    said = done.stdout.splitlines()
    assert "broken1.fraud-detector keeps failing: ValueError: no such rate: XXX" in said
    assert any(line.startswith("broken1.cdc-ingestion keeps failing: MySQL rejects the login") for line in said)
    assert "broken1.transaction-join does not run: nobody has submitted it" in said


def test_a_notebook_is_told_why_a_job_does_not_run(broken: LearnerLab) -> None:
    workspace = Workspace(broken.settings)
    eventually(
        lambda: any("no such rate: XXX" in trouble for trouble in workspace.job_troubles().values()), "it is told"
    )


def test_status_shows_jobs_that_run_with_their_last_checkpoint_and_ends_with_0(lab: Lab) -> None:
    lab.await_jobs()
    flink.await_checkpoint(lab.settings)
    done = status("--json")
    seen = json.loads(done.stdout)
    assert done.returncode == 0, seen
    jobs = {job["name"]: job for job in seen["jobs"]}
    assert jobs.keys() == {lab.names.job(job) for job in JOBS}
    for job in jobs.values():
        assert (job["state"], job["problem"]) == ("RUNNING", None)
        assert time.time() * 1000 - job["checkpoint"]["completed_ms"] < 120_000
        assert job["checkpoint"]["size_bytes"] > 0
    assert {"mysql", "kafka", "taskmanager"} <= {program["name"] for program in seen["programs"]}


def test_a_learner_who_has_started_nothing_is_not_told_of_missing_jobs(lab: Lab) -> None:
    done = status("--json", learner="nobody")
    assert (done.returncode, json.loads(done.stdout)["jobs"]) == (0, [])


def test_a_job_that_nobody_submitted_is_waited_for_and_then_named(lab: Lab) -> None:
    with pytest.raises(
        UserError, match=r"Not all jobs run after 1 s: nobody\.job does not run: nobody has submitted it\."
    ):
        system.wait_for_jobs(lab.settings, ["nobody.job"], deadline_s=1)
    assert flink_jobs.newest(lab.settings, ["nobody.job"]) == {}
