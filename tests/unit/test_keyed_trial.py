"""A learner's operator in this process has what Flink gives it: state by key, copies, timers, and nothing else after a crash."""

from collections.abc import Iterator
from typing import Any

import pytest
from pyflink.common import Types
from pyflink.datastream.state import ListStateDescriptor, ValueStateDescriptor

from fraudlab.course.exercise import AnswerFailed
from fraudlab.course.keyed_trial import KeyedTrial


class Remembers:
    def open(self, context: Any) -> None:
        self.kept = context.get_state(ValueStateDescriptor("kept", Types.PICKLED_BYTE_ARRAY()))
        self.listed = context.get_list_state(ListStateDescriptor("listed", Types.PICKLED_BYTE_ARRAY()))

    def process_element(self, value: str, ctx: Any) -> Iterator[Any]:
        kept = self.kept.value() or []
        kept.append(value)
        if value != "unwritten":
            self.kept.update(kept)
            self.listed.add(value)
        ctx.timer_service().register_event_time_timer(ctx.timestamp() + 10)
        yield self.kept.value(), list(self.listed.get())

    def on_timer(self, timestamp: int, ctx: Any) -> Iterator[Any]:
        yield timestamp, ctx.get_current_key(), self.kept.value()
        self.kept.clear()


def test_state_belongs_to_a_key_and_what_was_read_is_a_copy() -> None:
    trial = KeyedTrial(Remembers, now_ms=0)
    assert trial.process(1, "a", 0) == [(["a"], ["a"])]
    assert trial.process(1, "unwritten", 1) == [(["a"], ["a"])]
    assert trial.process(2, "b", 2) == [(["b"], ["b"])]


def test_timers_fire_in_order_of_their_time_with_the_state_of_their_key() -> None:
    trial = KeyedTrial(Remembers, now_ms=0)
    trial.process(1, "a", 5)
    trial.process(2, "b", 2)
    assert trial.advance(11) == []
    assert trial.advance(20) == [(12, 2, ["b"]), (15, 1, ["a"])]
    assert trial.timers == set()


def test_a_crash_keeps_what_is_in_state() -> None:
    trial = KeyedTrial(Remembers, now_ms=0)
    trial.process(1, "a", 0)
    trial.restart()
    assert trial.process(1, "b", 1) == [(["a", "b"], ["a", "b"])]


def test_state_cannot_be_used_in_open() -> None:
    class TooEarly(Remembers):
        def open(self, context: Any) -> None:
            super().open(context)
            self.kept.update([])

    with pytest.raises(AnswerFailed, match="not in open"):
        KeyedTrial(TooEarly, now_ms=0)
