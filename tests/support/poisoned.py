"""The `fraudlab` command, whose jobs fail on payments to some merchants, each in another place: `python -P tests/support/poisoned.py up`.

It must run as a script: Python then sends the classes in here to the TaskManager, which has no tests.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from fraudlab.cli import app
from fraudlab.pipeline import detector, join
from fraudlab.pipeline.statements import statements

IN_PYTHON, BEFORE_PYTHON, IN_THE_JOIN = MERCHANTS = ("poison in Python", "poison before Python", "poison in the join")


class Failing(detector.FraudDetector):
    """The detector with a fault that is none of `OF_THE_RECORD`."""

    def process_element(self, value: str, ctx: Any) -> Iterator[Any]:
        """Fails on one merchant."""
        if IN_PYTHON in value:
            raise MemoryError("no room for this one")
        yield from super().process_element(value, ctx)


class GuardedFailing(detector.GuardedDetector, Failing):
    """What the job runs, with the fault inside."""


def detect(transactions: Any, rule: Any, names: Any) -> Any:
    """As the detector's own."""
    # Not by putting the class in the other one's place: then Python would send that one, too, and its `super()` would not find itself.
    return detector.sparing_python(transactions, GuardedFailing(rule, names), rule)


def failing(file: str, values: Mapping[str, object]) -> list[str]:
    """The statements of a file, in which Flink's own code fails: it reads a number where there is none."""
    read = statements(file, values)
    if file == "transaction_mid_source.sql":
        sound = "CAST(message_offset AS STRING), ':', message)"
        fault = f"IF(message LIKE '%{BEFORE_PYTHON}%', CAST(CAST(SUBSTRING(message, 1, 1) AS INT) AS STRING), message)"
        read = [one.replace(sound, f"CAST(message_offset AS STRING), ':', {fault})") for one in read]
        assert fault in read[1]
    if file == "join.sql":
        sound = "WHERE t.transaction_id IS NOT NULL"
        fault = f"WHERE (t.merchant <> '{IN_THE_JOIN}' OR CAST(t.merchant AS INT) = 0) AND t.transaction_id IS NOT NULL"
        read = [one.replace(sound, fault) for one in read]
        assert fault in read[-1]
    return read


if __name__ == "__main__":
    detector.detect_guarded = detect
    detector.statements = failing  # type: ignore[attr-defined]
    join.statements = failing  # type: ignore[attr-defined]
    app(prog_name="fraudlab")
