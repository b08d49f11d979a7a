"""An operator with broadcast state, tried without a cluster: what Flink keeps, what a crash loses, and what a rule is."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from pyflink.common import Time, Types
from pyflink.datastream.state import MapStateDescriptor, StateTtlConfig, ValueStateDescriptor

from fraudlab.course import lab
from fraudlab.course.broadcast_trial import BroadcastTrial
from fraudlab.course.exercise import AnswerFailed
from fraudlab.course.pictures import Panel, before_after
from fraudlab.course.rule_records import threshold_cents

RULES = MapStateDescriptor("rules", Types.STRING(), Types.INT())


class Paid:
    """Adds to a list of what a user has paid, in place; sends it with the rule."""

    def open(self, context: Any) -> None:
        self.paid = context.get_state(ValueStateDescriptor("paid", Types.PICKLED_BYTE_ARRAY()))

    def process_broadcast_element(self, rule: Any, ctx: Any) -> None:
        ctx.get_broadcast_state(RULES).put("rule", rule)

    def process_element(self, payment: tuple[int, int], ctx: Any) -> Iterator[Any]:
        paid = self.paid.value() or []
        paid.append(payment[1])
        self.paid.update(paid)
        yield paid, ctx.get_broadcast_state(RULES).get("rule")


class InPlace(Paid):
    def process_element(self, payment: tuple[int, int], ctx: Any) -> Iterator[Any]:
        if (paid := self.paid.value()) is None:
            self.paid.update([])
        else:
            paid.append(payment[1])
        yield self.paid.value()


class Backwards(Paid):
    def process_element(self, payment: tuple[int, int], ctx: Any) -> Any:
        ctx.get_broadcast_state(RULES).put("rule", 1)

    def process_broadcast_element(self, rule: Any, ctx: Any) -> None:
        self.paid.value()


class Late(Paid):
    def open(self, context: Any) -> None:
        descriptor = ValueStateDescriptor("paid", Types.INT())
        self.paid = context.get_state(descriptor)
        descriptor.enable_time_to_live(StateTtlConfig.new_builder(Time.hours(2)).build())


def test_state_is_kept_for_each_user_and_through_a_crash() -> None:
    trial = BroadcastTrial(Paid, RULES)
    trial.on_keyed(7, (7, 10))
    trial.on_broadcast(5)
    trial.crash()
    assert trial.on_keyed(17, (17, 30)) == [([30], 5)]
    assert trial.on_keyed(7, (7, 20)) == [([10, 20], 5)]


def test_what_is_changed_in_place_is_not_kept() -> None:
    trial = BroadcastTrial(InPlace, RULES)
    assert [trial.on_keyed(7, (7, 10)) for _ in range(3)] == [[[]], [[]], [[]]]


def test_the_keyed_side_cannot_write_rules_and_the_other_has_no_user() -> None:
    trial = BroadcastTrial(Backwards, RULES)
    with pytest.raises(AnswerFailed, match="put"):
        trial.on_keyed(7, (7, 10))
    with pytest.raises(AnswerFailed, match="keyed stream"):
        trial.on_broadcast(5)


def test_a_value_of_another_type_than_the_descriptors_is_refused() -> None:
    with pytest.raises(AnswerFailed, match="type"):
        BroadcastTrial(Paid, RULES).on_broadcast("five")


def test_a_time_to_live_that_is_set_too_late_does_not_count() -> None:
    assert BroadcastTrial(Late, RULES).times_to_live == {"paid": None}


def test_a_rehearsal_shows_each_record_and_what_comes_of_it() -> None:
    shown = lab.rehearse(Paid, RULES, [(7, 10), 5, (7, 20)])
    assert shown["stream"].tolist() == ["keyed", "broadcast", "keyed"]
    assert shown["sends"].tolist() == [[([10], None)], [], [([10, 20], 5)]]


@pytest.mark.parametrize(
    ("record", "cents"),
    [
        ('{"threshold_eur": 0.29}', 29),
        ('{"threshold_eur": 1234567.89}', 123_456_789),
        ('{"threshold_eur": 0}', 0),
        ('{"threshold_eur": "500"}', 50_000),
        ('{"threshold_eur": "a lot"}', None),
        ('{"threshold_eur": -1}', None),
        ('{"threshold_eur": 1e30}', None),
        ('{"threshold_eur": 1e999999999}', None),
        ('{"threshold_eur": NaN}', None),
        ('{"threshold_eur": Infinity}', None),
        ('{"threshold_eur": true}', None),
        ('{"threshold_eur": null}', None),
        ('{"threshold": 5}', None),
        ("[" * 100_000, None),
        ("not JSON", None),
        ("", None),
        (None, None),
    ],
)
def test_a_rule_is_read_exactly_and_anything_else_is_no_rule(record: str | None, cents: int | None) -> None:
    assert threshold_cents(record) == cents


def test_before_and_after_are_told_in_words_too() -> None:
    before = Panel("before", [("DE", Decimal("400.00")), ("FR", Decimal("400.00"))], Decimal(1000), False, "let go")
    after = Panel("after", [*before.paid_eur, ("DE", Decimal(1))], Decimal(500), True, "caught <now>")
    picture = before_after("User 7", before, after)
    assert repr(picture) == (
        "User 7. before: 800.00 EUR in DE and FR, let go. after: 801.00 EUR in DE and FR, caught <now>."
    )
    assert "caught &lt;now&gt;" in picture.svg
    assert "rule: 1,000 EUR" in picture.svg
    assert "rule: 500 EUR" in picture.svg
