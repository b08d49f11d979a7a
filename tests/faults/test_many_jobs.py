"""flink-01: Python jobs that come and go on one TaskManager leak no memory and harm no other job."""

import sys

import psutil

from fraudlab.settings import Settings
from tests.support import flink
from tests.support.home import run
from tests.support.lab import Lab, learner_lab

WARM_UP, JOBS = 10, 40
GROWTH_MIB = 300
"""10 MiB a job. A TaskManager that keeps each job's classes, Python objects or state grows by 20 MiB a job and more; a healthy one
grew by 169 MiB in all, because its heap had not reached its limit yet."""
SUBMIT_AND_CANCEL = """
from fraudlab import system
from fraudlab.pipeline import detector
from fraudlab.settings import Settings

settings = Settings()
cluster, name = system.flink_cluster(settings), settings.names.job("fraud-detector")
for _ in range({jobs}):
    job = detector.submit(cluster, system.kafka(settings), settings.names, settings.rule)
    system.wait_for_jobs(settings, [name])
    job.cancel().result()
    system.flink_jobs.cancel(settings, name)
"""


def test_flink_01_forty_python_jobs_leave_memory_flat_and_other_jobs_alone(lab: Lab) -> None:
    lab.await_jobs()
    before = {job.id: job.failures for job in flink.jobs_of(lab.settings)}
    with learner_lab(lab.settings, "often") as often:
        submit_and_cancel(often.settings, WARM_UP)
        warm_mib = resident_mib(lab)
        submit_and_cancel(often.settings, JOBS - WARM_UP)
        grown_mib = resident_mib(lab) - warm_mib
    print(f"\nresident after {WARM_UP} jobs: {warm_mib:.0f} MiB; after {JOBS}: {warm_mib + grown_mib:.0f} MiB")
    assert grown_mib < GROWTH_MIB
    assert {job.id: job.failures for job in flink.jobs_of(lab.settings)} == before
    lab.fraud_is_caught()


def submit_and_cancel(settings: Settings, jobs: int) -> None:
    """Submits the detector, waits until it runs and cancels it, again and again, in a process of its own."""
    run([sys.executable, "-c", SUBMIT_AND_CANCEL.format(jobs=jobs)], print, settings.environment())


def resident_mib(lab: Lab) -> float:
    """What the TaskManager's process takes."""
    return float(psutil.Process(int(lab.stack.processes()["taskmanager"]["pid"])).memory_info().rss / 2**20)
