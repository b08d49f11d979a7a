"""A bank with a history of 100,000 payments, some late, some delivered twice, some deleted: the pipeline finds exactly what it must."""

import json
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fraudlab import system
from fraudlab.settings import Settings
from tests.support.kafka import Record
from tests.support.lab import LearnerLab, assert_exact, learner_lab
from tests.support.waiting import eventually

PAYMENTS = 100_000
USERS = 10_000
DELIVERED_TWICE = 1_000
DELETED = 200
SCENARIOS = {"cloned_card", "impossible_travel", "burst", "traveller", "border_shopper", "family"}
WORK_OFF_DEADLINE_S = 240.0


@pytest.fixture(scope="module")
def archive(settings: Settings) -> Iterator[LearnerLab]:
    with learner_lab(settings, "archive") as lab:
        yield lab


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_every_suspicious_hour_of_a_hundred_thousand_payments_is_found_once(
    archive: LearnerLab, tmp_path: Path
) -> None:
    archive.submit_jobs()
    archive.start_flagger()
    archive.start_notifier()
    report = seed(archive, tmp_path / "report.json")
    # Accounts are stopped while the history is still being written, so that some of it is refused.
    assert report["inserted"] + report["declined"] == PAYMENTS
    assert report["late"] > 1_000
    assert report["too_late"] > 20
    assert report["by_scenario"].keys() >= SCENARIOS

    chance = random.Random(1)
    captured = eventually(
        lambda: all_captured(archive, report["inserted"]), "every payment is captured", WORK_OFF_DEADLINE_S
    )
    for envelope in chance.sample(captured, DELIVERED_TWICE):
        assert envelope.key is not None
        archive.topics.publish(envelope.topic, envelope.key.decode(), envelope.value)
    for number in chance.sample(range(1, report["inserted"]), DELETED):
        archive.execute("DELETE FROM transactions WHERE transaction_id = %s", number)

    verification = assert_exact(archive.settings, WORK_OFF_DEADLINE_S)
    counts = verification.as_dict()
    print(f"\n{json.dumps(counts, default=str)[:600]}")
    assert archive.query("SELECT COUNT(*) FROM deleted_transactions")[0][0] > 0


def seed(lab: LearnerLab, report: Path) -> dict[str, Any]:
    """Writes the history, as fast as it goes; gives the generator's report."""
    options = [
        "--seed-only",
        "-n",
        str(PAYMENTS),
        "--users",
        str(USERS),
        "--seed",
        "7",
        "--late",
        "0.02",
        "--too-late",
        "0.001",
    ]
    subprocess.run(
        [sys.executable, "-m", "data_generator", *options, "--report", str(report), "--quiet"],
        env=system.generator_environment(lab.settings),
        check=True,
    )
    counts: dict[str, Any] = json.loads(report.read_text(encoding="utf-8"))
    return counts


def all_captured(lab: LearnerLab, count: int) -> list[Record]:
    """The envelopes of the payments, once all are there."""
    envelopes = lab.topics.read(lab.names.transactions)
    return envelopes if len(envelopes) >= count else []
