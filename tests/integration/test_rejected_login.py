"""A service that MySQL rejects is reported with the reason and the way back, by `fraudlab status` and on the dashboard."""

from collections.abc import Iterator

import pytest

from fraudlab import system
from fraudlab.services.analytics.job_reader import JobReader
from fraudlab.services.analytics.model import Model
from tests.support.lab import Lab
from tests.support.waiting import eventually


@pytest.fixture
def rejected(lab: Lab) -> Iterator[Lab]:
    """The password of the flagger's account is another one than the flagger has."""
    account = lab.names.account("flagger")
    lab.execute(f"ALTER USER '{account}'@'{lab.settings.mysql_clients}' IDENTIFIED BY 'another'")
    yield lab
    system.create_database(lab.settings)
    lab.fraud_is_caught()


def test_a_flagger_that_mysql_rejects_is_named_by_status_and_on_the_dashboard(rejected: Lab) -> None:
    settings = rejected.settings
    said = system.problem(settings, "flagger")
    assert said is not None
    assert said.startswith("MySQL rejects its login, and `fraudlab up` sets its password again")
    assert "flagger" in system.status(settings).unhealthy

    model = Model()
    reader = JobReader(settings, lambda change: change(model))
    reader.start()
    try:
        (problem,) = eventually(lambda: model.job_problems, "the dashboard says it")
    finally:
        reader.stop()
    assert problem.name == "flagger"
    assert "MySQL rejects its login" in problem.problem
