"""Simulated time and the run's start: any speed, never in the future. Time is moved by hand."""

from datetime import UTC, datetime
from fractions import Fraction

import pytest
from data_generator import RunConfig, StreamOptions
from data_generator.cli import app
from data_generator.clock import SimulatedClock, to_ms, to_mysql
from typer.testing import CliRunner

NOON_MS = to_ms(datetime(2026, 5, 1, 12, tzinfo=UTC))


class Time:
    """A steady clock and a database's clock, moved by hand."""

    def __init__(self) -> None:
        self.steady = 100.0
        self.present = NOON_MS

    def advance(self, seconds: float) -> None:
        self.steady += seconds
        self.present += round(seconds * 1000)

    def clock(self, start_ms: int, speed: float | None) -> SimulatedClock:
        return SimulatedClock(start_ms, speed, lambda: self.steady, lambda: self.present)


def test_a_live_clock_shows_the_present() -> None:
    time = Time()
    clock = time.clock(NOON_MS, 1.0)
    time.advance(2.5)
    assert clock.now_ms() == time.present == NOON_MS + 2500


def test_a_fast_clock_slows_to_one_when_it_reaches_the_present() -> None:
    time = Time()
    clock = time.clock(NOON_MS - 600_000, 60.0)
    time.advance(5)  # 300 s of the 600 s it was behind
    assert clock.now_ms() == NOON_MS - 300_000
    time.advance(10)  # it would show 300 s after noon now, but the present is 15 s after noon
    assert clock.now_ms() == time.present == NOON_MS + 15_000


def test_waiting_ends_when_the_clock_shows_the_time() -> None:
    time = Time()
    clock = time.clock(NOON_MS - 600_000, 60.0)
    assert clock.wait_s(NOON_MS - 540_000) == pytest.approx(1.0)
    assert clock.wait_s(NOON_MS - 700_000) == 0.0
    # 660 s of event time take 11 s, but that moment itself is 60 s away.
    assert clock.wait_s(NOON_MS + 60_000) == pytest.approx(60.0)


def test_as_fast_as_possible_still_waits_for_the_present() -> None:
    time = Time()
    clock = time.clock(NOON_MS - 600_000, None)
    assert clock.wait_s(NOON_MS) == 0.0
    assert clock.wait_s(NOON_MS + 1500) == pytest.approx(1.5)


def test_a_database_clock_that_goes_back_is_followed() -> None:
    time = Time()
    clock = time.clock(NOON_MS, 1.0)
    time.present -= 5000
    assert clock.now_ms() == NOON_MS - 5000


def test_times_are_written_in_utc_with_milliseconds() -> None:
    assert to_mysql(NOON_MS + 7) == "2026-05-01 12:00:00.007"
    assert to_mysql(-1) == "1969-12-31 23:59:59.999"
    assert to_ms(datetime.fromisoformat("2026-05-01T14:00:00+02:00")) == NOON_MS
    assert to_ms(datetime.fromisoformat("2026-05-01T12:00:00")) == NOON_MS


def config(rate: int, speed: int = 1, **others: object) -> RunConfig:
    event_rate = Fraction(rate, speed) if rate else Fraction(10)
    return RunConfig(
        rate=Fraction(rate),
        speed=Fraction(speed),
        stream=StreamOptions(event_rate=event_rate),
        **others,  # type: ignore[arg-type]
    )


def test_a_live_run_starts_now() -> None:
    assert config(200).start(NOON_MS) == NOON_MS


def test_a_fast_run_starts_so_long_ago_that_it_ends_at_the_present() -> None:
    # 600 payments at 10 a second take a minute: an hour of event time.
    assert config(10, 60, transactions=600).start(NOON_MS) == NOON_MS - 3_600_000


def test_a_history_ends_an_hour_ago() -> None:
    # 600 payments at 10 a second of event time: a minute.
    assert config(0, transactions=600).start(NOON_MS) == NOON_MS - 3_660_000


def test_a_start_in_the_future_is_refused() -> None:
    assert config(200, start_ms=NOON_MS - 1).start(NOON_MS) == NOON_MS - 1
    with pytest.raises(ValueError, match="future"):
        config(200, start_ms=NOON_MS + 1).start(NOON_MS)


def test_an_endless_history_is_refused() -> None:
    with pytest.raises(ValueError, match="needs an end"):
        config(0)


def test_a_stream_at_another_pace_than_the_run_is_refused() -> None:
    with pytest.raises(ValueError, match="rate / speed"):
        RunConfig(rate=Fraction(100), stream=StreamOptions(event_rate=Fraction(200)))


@pytest.mark.parametrize("speed", ["0", "-1", "0.5"])
def test_a_speed_below_1_is_refused_before_anything_is_reckoned_with_it(
    speed: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DATA_GENERATOR_PASSWORD", "unused")
    done = CliRunner().invoke(app, ["--speed", speed])
    assert done.exit_code == 2, done.exception
    assert f"speed must be at least 1, got {float(speed)}" in capfd.readouterr().err + done.output
