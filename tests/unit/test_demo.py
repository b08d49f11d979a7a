"""What the demo says: percentiles, durations in words, and the line where there is no terminal."""

import os
import signal
from datetime import timedelta

import pytest

from fraudlab.demo import View, _interruptible, in_words, percentile_ms
from fraudlab.settings import Settings


def test_of_nothing_there_is_no_percentile_ms() -> None:
    assert percentile_ms([], 50) is None


@pytest.mark.parametrize(
    ("values", "percent", "expected"),
    [
        ([7], 50, 7),
        ([7], 99, 7),
        ([4, 1, 3, 2], 50, 2),  # rank ceil(4 * 50 / 100) = 2 of 1, 2, 3, 4
        ([5, 1, 4, 2, 3], 50, 3),  # rank ceil(2.5) = 3
        (list(range(1, 101)), 99, 99),
        (list(range(1, 101)), 100, 100),
        (list(range(1, 102)), 99, 100),  # rank ceil(99.99) = 100
        (list(range(1, 11)), 99, 10),  # with few values the highest
        ([3, 1, 2], 0, 1),
    ],
)
def test_a_percentile_is_the_value_of_the_nearest_rank(values: list[int], percent: int, expected: int) -> None:
    assert percentile_ms(values, percent) == expected


def test_a_percentile_leaves_the_values_in_their_order() -> None:
    values = [3, 1, 2]
    percentile_ms(values, 50)
    assert values == [3, 1, 2]


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0 seconds"),
        (0.6, "1 second"),
        (1, "1 second"),
        (42, "42 seconds"),
        (119.4, "119 seconds"),
        (120, "2 minutes"),
        (179, "2 minutes"),
        (720, "12 minutes"),
        (3599, "59 minutes"),
    ],
)
def test_durations_are_said_as_a_person_says_them(seconds: float, words: str) -> None:
    assert in_words(timedelta(seconds=seconds)) == words


def test_the_line_names_every_stage() -> None:
    view = View(
        Settings(), payments=200, payments_per_s=199.6, activities=3, flagged=2, refused=5, latencies_ms=[9, 30]
    )
    assert view.line() == (
        "200 payments (200/s), 3 activities, 2 accounts stopped, 5 payments refused, "
        "commit to alert p50 9 ms, p99 30 ms"
    )


def test_one_is_no_plural() -> None:
    said = View(Settings(), payments=1, activities=1, flagged=1, refused=1).line()
    assert said == "1 payment (0/s), 1 activity, 1 account stopped, 1 payment refused"


def test_the_line_says_what_is_away() -> None:
    assert View(Settings(), trouble="MySQL is away").line().endswith("0 payments refused. MySQL is away")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_ctrl_c_and_a_closed_terminal_are_told_and_interrupt_nothing(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with _interruptible() as interrupted:
        assert not interrupted
        os.kill(os.getpid(), number)
        assert interrupted
    assert signal.getsignal(number) == before
