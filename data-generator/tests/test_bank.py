"""Users: names in their own scripts, addresses that nobody owns, the same for the same seed."""

import re
import unicodedata

import pytest
from data_generator import Bank
from data_generator.countries import COUNTRIES, EUR_PER_UNIT

SCRIPTS = {
    "UA": "CYRILLIC",
    "GR": "GREEK",
    "IL": "HEBREW",
    "AE": "ARABIC",
    "IN": "DEVANAGARI",
    "KR": "HANGUL",
    "CN": "CJK",
    "TH": "THAI",
    "PL": "LATIN",
    "TR": "LATIN",
}


@pytest.fixture(scope="module")
def bank() -> Bank:
    return Bank(seed=3, users=3000)


@pytest.mark.parametrize(("country", "script"), SCRIPTS.items())
def test_names_are_in_the_script_of_the_country(bank: Bank, country: str, script: str) -> None:
    names = [user.first_name + user.last_name for user in bank.users if user.home_country == country]
    assert len(names) > 30
    letters = [letter for name in names for letter in name if letter.isalpha()]
    # The Ukrainian apostrophe is a "modifier letter".
    assert all(unicodedata.name(letter).startswith((script, "MODIFIER")) for letter in letters)


def test_japanese_names_are_written_in_japanese(bank: Bank) -> None:
    names = [user.first_name + user.last_name for user in bank.users if user.home_country == "JP"]
    scripts = {unicodedata.name(letter).split()[0] for name in names for letter in name}
    assert scripts <= {"CJK", "HIRAGANA", "KATAKANA", "IDEOGRAPHIC"}


def test_addresses_are_ascii_unique_and_in_reserved_domains(bank: Bank) -> None:
    pattern = re.compile(r"[a-z]+(\.[a-z]+)*\.[0-9]+@example\.(com|org|net)")
    addresses = [user.email for user in bank.users]
    assert len(set(addresses)) == len(addresses)
    assert [address for address in addresses if not pattern.fullmatch(address)] == []


def test_every_country_has_customers_and_a_known_currency(bank: Bank) -> None:
    assert {user.home_country for user in bank.users} == set(COUNTRIES)
    assert {country.currency for country in COUNTRIES.values()} == set(EUR_PER_UNIT)
    assert all(set(country.nearby) <= set(COUNTRIES) - {country.code} for country in COUNTRIES.values())


def test_everything_fits_the_columns(bank: Bank) -> None:
    assert all(len(user.first_name) <= 100 and len(user.last_name) <= 100 for user in bank.users)
    assert all(len(user.email) <= 254 and 6 <= len(user.phone_number) <= 40 for user in bank.users)
    assert all(
        0 < len(name) <= 120 for country in bank.merchants.values() for merchants in country for name in merchants
    )


def test_the_same_seed_gives_the_same_users_and_merchants(bank: Bank) -> None:
    again = Bank(seed=3, users=3000)
    assert again.users == bank.users
    assert again.merchants == bank.merchants
    assert Bank(seed=4, users=3000).users != bank.users


def test_a_part_of_the_bank_has_the_same_users(bank: Bank) -> None:
    assert Bank(seed=3, users=10, first_user=101).users == bank.users[100:110]


def test_users_live_in_the_same_country_whatever_the_seed(bank: Bank) -> None:
    other = Bank(seed=4, users=3000)
    assert [user.home_country for user in other.users] == [user.home_country for user in bank.users]


def test_a_bank_without_users_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one user"):
        Bank(users=0)
