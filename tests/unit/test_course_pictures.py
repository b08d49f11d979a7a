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
