"""Waiting with a deadline, and a Flink that is not there."""

import ssl
from collections.abc import Iterator
from itertools import count, repeat

import pytest

from fraudlab.clients import waiting
from fraudlab.clients.flink_rest import FlinkRest, NoAnswer
from fraudlab.stack.second_stack import free_ports


def given(values: Iterator[object]) -> object:
    """The next value, raised if it is an error."""
    value = next(values)
    if isinstance(value, Exception):
        raise value
    return value


def test_waiting_ends_with_the_first_true_value() -> None:
    values = iter([None, 0, "", "there", "later"])
    assert waiting.until(lambda: given(values), 10, 0.001) == "there"
    assert next(values) == "later"


def test_waiting_returns_the_last_value_when_the_deadline_has_passed() -> None:
    assert waiting.until(lambda: given(repeat([])), 0.02, 0.001) == []
    assert waiting.until(lambda: given(repeat(None)), 0, 0.001) is None


def test_an_error_that_was_not_expected_ends_the_waiting() -> None:
    values = iter([None, KeyError("what"), "there"])
    with pytest.raises(KeyError, match="what"):
        waiting.until(lambda: given(values), 10, 0.001)


def test_an_expected_error_counts_as_not_yet_until_the_deadline() -> None:
    values = iter([TimeoutError("busy"), None, TimeoutError("busy"), "there"])
    assert waiting.until(lambda: given(values), 10, 0.001, despite=OSError) == "there"
    with pytest.raises(TimeoutError, match="busy"):
        waiting.until(lambda: given(repeat(TimeoutError("busy"))), 0.02, 0.001, despite=OSError)


def test_an_answer_may_be_empty() -> None:
    values = iter([TimeoutError("busy"), [], ["later"]])
    assert waiting.answered(lambda: given(values), OSError, 10, 0.001) == []


def test_only_expected_errors_are_asked_again() -> None:
    numbers = count()

    def ask() -> None:
        raise KeyError(next(numbers))

    with pytest.raises(KeyError, match="0"):
        waiting.answered(ask, OSError, 10, 0.001)


def test_a_flink_that_is_not_there_gives_no_answer() -> None:
    (port,) = free_ports(1)
    rest = FlinkRest(f"https://127.0.0.1:{port}", ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
    with pytest.raises(NoAnswer, match="refused"):
        rest.jobs()
