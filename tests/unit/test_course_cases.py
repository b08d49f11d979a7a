"""Answers that beginners typed and that once got *Right*: each is told what is wrong with it."""

from typing import Any

import pytest

from fraudlab.course.answers import answers_of
from fraudlab.course.exercise import Kind
from fraudlab.course.labs import exercise_of, lab_of

MESSAGE_ID = "def answer(activity, episode):\n    return "

HOUR = """
def answer(payments, end):
    hour = [(country, eur) for t, country, eur in payments if {inside}]
    return len({{country for country, _ in hour}}) >= 2 and sum(eur for _, eur in hour) >= 1000
"""

BACKWARDS = """
def answer(payments, end):
    countries, total = set(), 0
    for t, country, eur in reversed(payments):
        if t > end:
            continue
        if t <= end - timedelta(hours=1):
            break
        countries.add(country)
        total += eur
    return len(countries) >= 2 and total >= 1000
"""

CREATED_ONLY = """
def answer(envelopes):
    amounts = {}
    for envelope in envelopes:
        if envelope["op"] == "c":
            amounts[envelope["after"]["transaction_id"]] = Decimal(envelope["after"]["amount"])
    return sum(amounts.values(), Decimal(0))
"""

SORTED = """
def answer(times, delay):
    found, latest = [], times[0]
    for time in times:
        if time < latest - delay:
            found.append(time)
        latest = max(latest, time)
    return sorted(found)
"""

FORGOTTEN = """
from pyflink.common import Types
from pyflink.datastream import KeyedProcessFunction
from pyflink.datastream.state import ValueStateDescriptor

class answer(KeyedProcessFunction):
    def open(self, context):
        self._paid = context.get_state(ValueStateDescriptor("paid", Types.PICKLED_BYTE_ARRAY()))

    def process_element(self, payment, ctx):
        paid = self._paid.value() or []
        paid.append((payment["country"], payment["eur"]))
        raised = len({country for country, _ in paid}) > 1 and sum(eur for _, eur in paid) >= 1000
        if raised:
            self._paid.update(paid)
            yield payment["transaction_id"]
"""
"""State that is written only where an hour is raised."""


CASES = [
    ("course-03", "05.3", MESSAGE_ID + 'str(activity["user_id"]) + str(episode)', "numbers_run_together"),
    ("course-04", "05.3", MESSAGE_ID + "str(hash(f\"{activity['user_id']}-{episode}\"))", "id_of_the_process"),
    ("course-05", "05.3", MESSAGE_ID + "f\"{activity['user_email']}-{episode}\"", "id_without_person"),
    ("course-06", "04.3", HOUR.format(inside="(end - t).seconds < 3600 and t <= end"), "yesterday_counts"),
    ("course-07", "04.3", BACKWARDS, "stopped_at_a_latecomer"),
    ("course-08", "02.4", CREATED_ONLY, "snapshot_left_out"),
    ("course-09", "04.1", SORTED, "sorted_times"),
    ("course-10", "04.4", FORGOTTEN, "state_not_kept"),
]


@pytest.mark.parametrize(("case", "number", "source", "mistake"), CASES, ids=lambda value: str(value)[:12].strip())
def test_what_once_got_right_is_told_its_mistake(case: str, number: str, source: str, mistake: str) -> None:
    """Case course-03. Case course-04. Case course-05. Case course-06. Case course-07. Case course-08. Case course-09. Case course-10."""
    namespace: dict[str, Any] = {"__name__": "__main__"}
    exec(f"from datetime import timedelta\nfrom decimal import Decimal\n{source}", namespace)  # noqa: S102 - above
    answer = (namespace["answer"],)
    verdict = exercise_of(number).verdict(answers_of(lab_of(number[:2]))[number].observe(*answer), answer)
    assert (verdict.kind, verdict.mistake) == (Kind.WRONG, mistake), f"{case}: {verdict}"
