"""A small, seeded run of the fuzzer (tests/fuzz) on both jobs' inputs: no restart, and every record is read or a dead letter."""

from collections.abc import Iterator

import pytest

from fraudlab.settings import Settings
from tests.fuzz.fuzz import INPUTS, fuzz
from tests.support.lab import LearnerLab, learner_lab

RECORDS = 4_000


@pytest.fixture(scope="module")
def fuzzed(settings: Settings) -> Iterator[LearnerLab]:
    with learner_lab(settings, "fuzz") as lab:
        lab.submit_jobs()
        yield lab


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("job", INPUTS)
def test_no_record_restarts_a_job_and_none_is_lost(fuzzed: LearnerLab, job: str) -> None:
    outcome = fuzz(fuzzed, job, RECORDS, seed=1)
    assert outcome["read"] > RECORDS // 20
    assert outcome["dead"] > RECORDS // 20
