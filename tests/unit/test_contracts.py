"""What the pieces agree on: names, currencies and countries. The shapes of records are in test_records.py."""

import re
from decimal import Decimal
from importlib import resources
from pathlib import Path

import pytest
from data_generator.countries import COUNTRIES, EUR_PER_UNIT

from fraudlab.course.live import SERVER_IDS as LIVE_QUERIES
from fraudlab.pipeline.contracts import (
    EUR_RATE_SCALE,
    MAX_DEAD_LETTER_PAYLOAD,
    SERVER_IDS,
    Names,
    countries,
    dead_letter,
    eur_rates,
    joined_beginning,
    server_ids,
)
from fraudlab.pipeline.rule import Rule
from fraudlab.settings import Settings

TOPICS = ("user_profile", "transactions", "transaction_mid", "suspicious_activities", "dead_letters")


def test_without_a_learner_the_names_are_those_of_the_contract() -> None:
    names = Names()
    assert names.topics == TOPICS
    assert (names.database, names.account("cdc")) == ("payment", "cdc")
    assert (names.group("flagger"), names.job("fraud-detector")) == ("flagger", "fraud-detector")


def test_a_learner_prefixes_topics_groups_jobs_database_and_accounts() -> None:
    names = Names("learner7")
    assert names.topics == tuple(f"learner7.{topic}" for topic in TOPICS)
    assert (names.database, names.account("cdc")) == ("learner7_payment", "learner7_cdc")
    assert (names.group("flagger"), names.job("fraud-detector")) == ("learner7.flagger", "learner7.fraud-detector")


def test_two_learners_share_no_name() -> None:
    one, other = Names("anna"), Names("ben")
    assert not set(one.topics) & set(other.topics)
    assert one.database != other.database


@pytest.mark.parametrize("learner", ["Anna", "7anna", "a.b", "a b", "a" * 17, "`; DROP"])
def test_a_learners_name_that_could_not_be_a_name_everywhere_is_refused(learner: str) -> None:
    with pytest.raises(ValueError, match="learner"):
        Settings(learner=learner)


def test_the_generator_pays_in_no_currency_that_the_rates_lack() -> None:
    assert set(EUR_PER_UNIT) <= set(eur_rates())


def test_the_generator_pays_in_no_country_that_the_detector_does_not_know() -> None:
    paid_in = {code for country in COUNTRIES.values() for code in (country.code, *country.nearby)}
    assert paid_in <= countries()


def test_rates_are_positive_integers_and_the_euro_is_one() -> None:
    assert eur_rates()["EUR"] == EUR_RATE_SCALE
    assert all(type(rate) is int and rate > 0 for rate in eur_rates().values())
    assert all(re.fullmatch("[A-Z]{3}", currency) for currency in eur_rates())


def test_country_codes_have_two_ascii_letters() -> None:
    # The history packs them into two bytes.
    assert all(re.fullmatch("[A-Z]{2}", code) for code in countries())


def test_the_settings_make_the_rule_of_the_contract(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("WINDOW_S", "MIN_COUNTRIES", "THRESHOLD_EUR", "ALLOWED_LATENESS_S", "MAX_AGE_S"):
        monkeypatch.delenv(f"FRAUDLAB_{name}", raising=False)
    # one hour, two countries, 1,000.00 EUR, half an hour, thirty days
    assert Settings().rule == Rule(3_600_000, 2, 100_000, 1_800_000, 2_592_000_000)


def test_a_threshold_with_cents_is_exact(monkeypatch: pytest.MonkeyPatch) -> None:
    # 1000.29 has no exact float: 1000.29 * 100 = 100028.99999999999
    monkeypatch.setenv("FRAUDLAB_THRESHOLD_EUR", "1000.29")
    assert Settings().rule.threshold_eur_cents == 100_029


def test_a_process_that_is_started_elsewhere_gets_the_same_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = Settings(home=Path("runtime"), learner="anna", mysql_port=4711, threshold_eur=Decimal("12.30"))
    for name, value in own.environment().items():
        monkeypatch.setenv(name, value)
    there = Path("runtime").resolve()
    monkeypatch.chdir(tmp_path)
    assert Settings() == own.model_copy(update={"home": there})
    assert own.environment(("mysql_port",)) == {"FRAUDLAB_MYSQL_PORT": "4711"}


# Dead letters


def test_a_dead_letter_is_named_after_its_place_unless_it_says_otherwise() -> None:
    assert dead_letter("t", 1, 2, reason="r", payload="p")["dead_letter_id"] == "t-1-2"
    assert (
        dead_letter("t", 1, 2, reason="r", payload="p", letter_id="transaction-7")["dead_letter_id"] == "transaction-7"
    )


def test_a_dead_letter_holds_no_more_than_the_beginning_of_a_record() -> None:
    assert dead_letter("t", 1, 2, reason="r", payload="x" * 2_000_000)["payload"] == "x" * MAX_DEAD_LETTER_PAYLOAD


def test_both_writers_of_dead_letters_cut_a_record_at_the_same_length() -> None:
    assert f"SUBSTRING(DECODE(message, 'UTF-8'), 1, {MAX_DEAD_LETTER_PAYLOAD})" in _text("dead_letters.sql")


def _text(name: str) -> str:
    return resources.files("fraudlab.pipeline").joinpath("sql", name).read_text(encoding="utf-8")


def test_no_two_of_ten_thousand_learners_have_a_replica_id_in_common() -> None:
    """Case course-02: learner36 and t38 had the same ones."""
    names = ["", *(f"{word}{number}" for word in ("learner", "t", "student", "l", "user") for number in range(2000))]
    ids = [number for name in names for number in server_ids(Names(name))]
    assert len(set(ids)) == len(ids) == 4 * len(names)
    assert SERVER_IDS.start <= min(ids) <= max(ids) < SERVER_IDS.stop <= 2**31, "the connector takes no more"
    assert LIVE_QUERIES.stop <= SERVER_IDS.start


@pytest.mark.parametrize(
    ("message", "beginning"),
    [
        (b'{"transaction_id":17,"user_id":4}', '{"transaction_id":17'),
        (b'{"transaction_id": 17,"user_id":4}', ""),
        (b'{"transaction_id":17}', ""),
        (b'{"transaction_id":"17",', ""),
        (b"\xff", ""),
    ],
)
def test_a_payment_is_told_by_how_its_joined_record_begins(message: bytes, beginning: str) -> None:
    assert joined_beginning(message) == beginning
