"""Numbers, times and places on the dashboard, as people read them."""

import pytest

from fraudlab.pipeline import contracts
from fraudlab.services.analytics import bank, formatting, geography


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [(0, "0 ms"), (999, "999 ms"), (1_000, "1.0 s"), (119_999, "120.0 s"), (180_000, "3 min"), (None, "—")],
)
def test_a_duration_has_the_unit_that_suits_it(milliseconds: int | None, text: str) -> None:
    assert formatting.duration(milliseconds) == text


def test_countries_are_listed_as_in_a_sentence() -> None:
    assert formatting.countries(["DE"]) == "Germany"
    assert formatting.countries(["DE", "FR", "XX"]) == "Germany, France and XX"
    assert formatting.countries([]) == "—"


def test_a_name_cannot_turn_the_direction_of_what_stands_after_it() -> None:
    assert formatting.person("Ada \u202eecalevoL\u2069", 7) == "Ada ecalevoL"
    assert formatting.person("\u202e", 7) == formatting.person("", 7) == "user 7"
    assert formatting.isolated("Ada") == "Ada"
    assert formatting.isolated("עדה") == "\u2068עדה\u2069"


@pytest.mark.parametrize(
    ("text", "is_number"), [("7", True), ("²", False), ("٣", False), ("9" * 5_000, False), ("-7", False)]
)
def test_only_plain_digits_are_the_number_of_a_user(text: str, is_number: bool) -> None:
    assert bank.is_number(text) is is_number


def test_one_is_not_many() -> None:
    assert [formatting.counted(count, "dead letter") for count in (0, 1, 1_200)] == [
        "0 dead letters",
        "1 dead letter",
        "1,200 dead letters",
    ]


def test_a_share_of_nothing_is_no_number() -> None:
    assert (formatting.share(1, 2), formatting.share(0, 0)) == ("50 %", "—")


def test_every_place_is_a_country_and_nearly_every_country_has_a_place() -> None:
    assert geography.positions().keys() <= contracts.countries()
    # Antarctica, Bouvet Island, Heard and McDonald Islands, South Georgia: nobody pays there.
    assert contracts.countries() - geography.positions().keys() == {"AQ", "BV", "GS", "HM"}


def test_the_picture_of_the_land_is_as_wide_and_high_as_the_map() -> None:
    columns = int((geography.EAST - geography.WEST) / geography.STEP)
    rows = int((geography.NORTH - geography.SOUTH) / geography.STEP)
    assert f'viewBox="-0.5 -0.5 {columns} {rows}"' in geography.land()


@pytest.mark.parametrize("country", ["DE", "US", "BR", "IN", "AU", "ZA", "CN", "EG"])
def test_large_countries_lie_on_land(country: str) -> None:
    longitude, latitude = geography.positions()[country]
    column = int((longitude - geography.WEST) / geography.STEP)
    row = int((geography.NORTH - latitude) / geography.STEP)
    assert f"M{column} {row}h0" in geography.land()
