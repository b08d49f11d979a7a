"""`fraudlab skip`: the record becomes a dead letter, and the job continues from its checkpoint and keeps skipping the record."""

from fraudlab.pipeline.contracts import SKIPPED
from tests.faults.test_binlog_hole import command
from tests.support import flink
from tests.support.lab import Lab
from tests.support.waiting import eventually


def test_a_record_that_is_skipped_is_a_dead_letter_and_the_job_goes_on_from_its_checkpoint(lab: Lab) -> None:
    lab.fraud_is_caught()
    flink.await_checkpoint(lab.settings)
    user = lab.add_user()
    lab.settle(user)
    lab.stack.remove_program("taskmanager")  # so that the job does not read the record before the command
    record = lab.topics.publish(lab.names.transaction_mid, str(user), b'{"transaction_id": "poison"}')
    done = command("skip", "elsewhere-0-1")
    assert (done.returncode, "No job skips records" in done.stdout) == (1, True)
    done = command("skip", f"{lab.names.transaction_mid}-0-999999")
    assert (done.returncode, "There is no record" in done.stdout) == (1, True)
    command("up")
    done = command("skip", record.place)
    assert done.returncode == 0, done.stdout
    detector = next(job for job in flink.jobs_of(lab.settings) if job.name == lab.names.job("fraud-detector"))
    assert flink.restored_from(lab.settings, detector.id) is not None
    letters = eventually(
        lambda: [one for one in lab.dead_letters() if one["dead_letter_id"] == record.place], "its dead letter is there"
    )
    assert SKIPPED in {one["reason"] for one in letters}
    assert any("poison" in one["payload"] for one in letters)
    lab.fraud_is_caught()
    done = command("skip", record.place)
    assert (done.returncode, "already" in done.stdout) == (0, True)
