"""What a picture of payments shows."""

from datetime import datetime, timedelta
from decimal import Decimal

from fraudlab.course import pictures
from fraudlab.course.lab.looking import with_latecomers

NOON = datetime.fromisoformat("2026-01-31T12:00:00")


def paid(minutes_ago: int, eur: str, country: str) -> pictures.Dot:
    return pictures.Dot(NOON - timedelta(minutes=minutes_ago), country, Decimal(eur))


def test_a_payment_that_came_too_late_is_in_no_hour_of_the_picture() -> None:
    """Case course-17: the picture said 1,205.00, the job 1,200.00 in 2 payments."""
    arrived = [paid(0, "600.00", "DE"), paid(45, "5.00", "DE"), paid(20, "600.00", "FR")]
    picture = pictures.window("User 1", with_latecomers(arrived, timedelta(minutes=30)), timedelta(hours=1))
    assert "DE 5.00 EUR at 11:15:00, which came too late" in picture.svg
    assert "2 of 3 payments, 1,200.00 EUR in DE and FR" in str(picture)


def test_lateness_is_that_at_arrival() -> None:
    arrived = [paid(45, "1.00", "DE"), paid(30, "2.00", "DE"), paid(0, "3.00", "DE"), paid(30, "4.00", "FR")]
    assert with_latecomers(arrived, timedelta(minutes=30)) == arrived, "30 minutes are allowed"


def test_bars_of_an_account_name_their_countries() -> None:
    """Colours alone did not say which part of the bar was paid where."""
    paid_eur = [("DE", Decimal(900)), ("FR", Decimal(150))]
    before = pictures.Panel("before", paid_eur[:1], Decimal(1000), False, "not in the answer")
    after = pictures.Panel("after", paid_eur, Decimal(1000), True, "in the answer")
    svg = pictures.before_after("User 1", before, after).svg
    assert svg.count(">DE</text>") == 2
    assert svg.count(">FR</text>") == 1


def test_a_pulse_says_which_number_is_a_total_and_which_a_rate() -> None:
    svg = pictures.pulse([pictures.Lane("payments", ((0, 0), (1, 90), (2, 120)))], 10).svg
    assert "120 in all, last bar: 30 a second" in svg
