"""Records of `transaction_mid`: what is read from a good one, and the reason given for each malformed one."""

import csv
import json
import re
import time
from datetime import date
from decimal import ROUND_HALF_UP, Decimal
from importlib import resources
from typing import Any

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from fraudlab.pipeline import transaction
from fraudlab.pipeline.contracts import FUTURE_TOLERANCE_MS
from fraudlab.pipeline.history import Payment
from fraudlab.pipeline.records import JoinedTransaction, MalformedRecordError, encode, iso
from fraudlab.pipeline.records import example as record_example
from fraudlab.pipeline.transaction import REGULAR, eur_cents, read_payment
from tests.unit.test_detector import JOINED

NOON_MS = 1_767_268_800_000  # 2026-01-01T12:00:00Z
MAX_AGE_MS = 86_400_000
GOOD: dict[str, Any] = {
    "transaction_id": 17,
    "user_id": 42,
    "user_first_name": "Łucja",
    "user_last_name": "Żak",
    "user_email": "lucja@example.org",
    "user_phone_number": "+48 600 000 000",
    "user_home_country": "PL",
    "user_suspicious_activity": False,
    "transaction_amount": "1234.50",
    "transaction_currency": "PLN",
    "transaction_type": "online",
    "transaction_country": "PL",
    "transaction_merchant": "Sklep Ω",
    "transaction_time": "2026-01-01T12:00:00.123Z",
    "created_at": "2026-01-01T12:00:00.456Z",
}
TABLE = resources.files("fraudlab.pipeline").joinpath("eur_rates.csv").read_text(encoding="utf-8")
RATES = {row["currency"]: Decimal(row["eur_per_unit"]) for row in csv.DictReader(TABLE.splitlines())}


def text(**changes: Any) -> str:
    return json.dumps(GOOD | changes)


def read(value: str) -> tuple[Payment, int, JoinedTransaction]:
    return read_payment(value, MAX_AGE_MS)


def reason(value: str) -> str:
    with pytest.raises(MalformedRecordError) as caught:
        read(value)
    return str(caught.value)


# Reading


def test_a_good_record_gives_what_the_rule_needs_and_the_whole_record() -> None:
    payment, created_ms, record = read(text())
    # 1,234.50 PLN at 0.23 EUR = 283.935 EUR, rounded half up to 283.94
    assert payment == Payment(NOON_MS + 123, 17, 28_394, b"PL")
    assert created_ms == NOON_MS + 456
    assert msgspec.to_builtins(record) == GOOD


def test_a_time_in_another_zone_is_the_same_moment() -> None:
    payment, _, _ = read(text(transaction_time="2026-01-01T13:00:00.123+01:00"))
    assert payment.time_ms == NOON_MS + 123


def test_a_payment_without_profile_is_read() -> None:
    payment, _, record = read(text(user_first_name=None, user_suspicious_activity=None))
    assert payment.transaction_id == 17
    assert record.user_suspicious_activity is None


def test_a_record_of_which_no_activity_could_be_written_is_malformed() -> None:
    assert reason(text(user_first_name="x" * 200_000)) == "longer than 200000 characters"
    assert read(text(user_first_name="x" * 190_000))


def test_a_time_is_written_as_it_is_read() -> None:
    assert iso(NOON_MS + 123) == "2026-01-01T12:00:00.123Z"
    assert iso(NOON_MS) == "2026-01-01T12:00:00.000Z"
    assert read(text(transaction_time=iso(NOON_MS + 7)))[0].time_ms == NOON_MS + 7


# The regular form, which Java reads, too

EDITS = st.lists(
    st.tuples(
        st.sampled_from(sorted(GOOD)),
        st.sampled_from((-1, 0, 0, 1, 2, 5)),
        st.integers(0, 2),
        st.sampled_from(
            ["", *'019-.,:"{}\\ \tTZe', "null", "true", "é", "\N{GRINNING FACE}", "\ud800", "\x7f", "\u2028"]
        ),
    ),
    max_size=2,
)
"""Near the beginning of a field's value: where, how many characters are removed, and what is put there."""


def edited(value: str, edits: list[tuple[str, int, int, str]]) -> str:
    for name, offset, length, new in edits:
        at = value.find(f'"{name}":') + len(name) + 3 + offset
        value = value[:at] + new + value[at + length :]
    return value


VALUES = st.sampled_from(
    [
        *[None, "", "a", "é", '"', "\\", "\n", "0", "007", "ZZ", "US", "USD", "EUR", 0, -5, 2**40],
        *["0.00", "1.5", "9999999999.99", "12345678.90"],
        *["2026-02-30T00:00:00Z", "2026-01-01T12:00:00.1Z", "2026-01-01T12:00:00.1234Z", "2037-12-31T23:59:59Z"],
    ]
)


@given(EDITS, st.lists(st.tuples(st.sampled_from(sorted(GOOD)), VALUES), max_size=2).map(dict))
@example([], {})
@example([("transaction_id", 0, 0, "0")], {})
@example([("user_id", 0, 0, "0")], {})
@example([("transaction_time", 12, 2, "24")], {})
@example([("created_at", 24, 1, "x")], {})
@example([], {"created_at": "2026-02-30T12:00:00Z"})
@settings(max_examples=1000, derandomize=True, deadline=None)
def test_of_a_record_in_the_regular_form_only_ranges_can_be_wrong(
    edits: list[tuple[str, int, int, str]], changes: dict[str, Any]
) -> None:
    """java/PaymentsAtHome.java takes the groups as the values of a record that `read_payment` would not refuse for its form."""
    value = edited(encode(JoinedTransaction(**(GOOD | changes))).decode(), edits)
    regular = re.compile(REGULAR).fullmatch(value)
    if regular is None:
        assert edits or changes, "what the join writes has the regular form"
        return
    number, whole, fraction, currency, country, happened, stored = regular.groups()
    refusal: MalformedRecordError | None = None
    try:
        payment, created_ms, record = read(value)
    except MalformedRecordError as error:
        refusal = error
    if refusal is not None:
        assert refusal.transaction_id == int(number)
        assert not str(refusal).startswith(("not ", "transaction_id", "user_id"))
        assert "ISO 8601" not in str(refusal) or not (is_day(happened[:10]) and is_day(stored[:10]))
        return
    assert payment.transaction_id == int(number)
    assert payment.amount_eur_cents == eur_cents(f"{whole}.{fraction}", currency)
    assert payment.country == country.encode()
    assert (iso(payment.time_ms), iso(created_ms)) == (in_ms(happened), in_ms(stored))
    assert record.transaction_time == happened


def is_day(text: str) -> bool:
    try:
        return bool(date.fromisoformat(text))
    except ValueError:
        return False


def in_ms(moment: str) -> str:
    """A time of the regular form with three decimals."""
    second, _, fraction = moment.removesuffix("Z").partition(".")
    return f"{second}.{fraction:0<3}Z"


def test_the_join_and_the_generator_of_the_measurements_write_the_regular_form() -> None:
    regular = re.compile(REGULAR)
    for value in (*JOINED[:2], encode(record_example(JoinedTransaction)).decode()):
        assert regular.fullmatch(value)


# What is not JSON, and who it is


@pytest.mark.parametrize("value", ["", "{", "nonsense", '{"transaction_id": NaN}', '{"a": 1} 2'])
def test_what_is_not_json_is_malformed(value: str) -> None:
    assert reason(value).startswith("not JSON")


@pytest.mark.parametrize("value", ["[]", "5", "null", '"text"'])
def test_what_is_no_object_is_malformed(value: str) -> None:
    assert reason(value) == "not a JSON object"


@pytest.mark.parametrize("value", [None, 0, -1, 1.5, "17", True, 2**63, 2**70])
def test_a_transaction_id_is_a_positive_64_bit_integer(value: object) -> None:
    assert reason(text(transaction_id=value)) == "transaction_id is not a positive integer"


@pytest.mark.parametrize("value", [None, "42", 4.2, True])
def test_a_user_id_is_an_integer(value: object) -> None:
    assert reason(text(user_id=value)) == "user_id is not an integer"


@pytest.mark.parametrize(
    "field",
    [
        "transaction_id",
        "user_id",
        "transaction_amount",
        "transaction_currency",
        "transaction_country",
        "transaction_time",
        "created_at",
    ],
)
def test_a_record_lacking_a_field_that_the_rule_needs_is_malformed(field: str) -> None:
    value = {key: value for key, value in GOOD.items() if key != field}
    assert field.removeprefix("transaction_") in reason(json.dumps(value))


@pytest.mark.parametrize("field", ["transaction_amount", "transaction_currency", "transaction_country", "created_at"])
def test_a_reason_quotes_no_more_than_the_beginning_of_a_value(field: str) -> None:
    # A dead letter holds reason and payload, and must itself fit into a record.
    assert len(reason(text(**{field: "\x7f" * 1_000_000}))) < 300


def test_the_error_names_the_transaction_once_it_is_known() -> None:
    with pytest.raises(MalformedRecordError) as caught:
        read(text(transaction_country="XX"))
    assert caught.value.transaction_id == 17
    with pytest.raises(MalformedRecordError) as caught:
        read("{")
    assert caught.value.transaction_id is None


@pytest.mark.parametrize("field", ["transaction_time", "created_at"])
@pytest.mark.parametrize(
    "moment",
    [
        *("0001-01-01T00:00:00Z", "0001-01-01T00:30:00Z", "0001-01-01T00:00:00+23:59", "1969-12-31T23:59:59.999Z"),
        *(
            "1970-01-01T00:00:00.999Z",
            "2038-01-19T03:14:08Z",
            "9999-12-31T23:59:59.999999Z",
            "9999-12-31T23:59:59-23:59",
        ),
    ],
)
def test_poison_03_a_time_that_mysql_cannot_hold_is_malformed(field: str, moment: str) -> None:
    """poison-03."""
    assert reason(text(**{field: moment})) == f"{field} is no time that a TIMESTAMP of MySQL holds (1970 to 2038)"


def test_the_first_and_the_last_time_that_mysql_holds_are_read() -> None:
    first, last = "1970-01-01T00:00:01.000Z", "2038-01-19T03:14:07.999Z"
    assert read(text(transaction_time=first, created_at=first))[0].time_ms == 1000
    assert reason(text(transaction_time=last, created_at=last)) == "created_at lies in the future"


# Countries, currencies and amounts


@pytest.mark.parametrize("value", [None, "", "XX", "pl", "POL", 5, [], {}, ["PL"]])
def test_a_country_is_a_code_of_iso_3166(value: object) -> None:
    assert reason(text(transaction_country=value)).startswith("unknown country")


@pytest.mark.parametrize("value", [None, "", "XXX", "eur", "EU", 978, [], {}])
def test_a_currency_is_one_of_the_table(value: object) -> None:
    assert reason(text(transaction_currency=value)).startswith("unknown currency")


@pytest.mark.parametrize("value", [1, 1.0, 12.3, 1e2, True, None, [], {}])
def test_money_is_never_a_json_number(value: object) -> None:
    # A JSON number would be a float for most readers, and 12.3 has no exact float.
    assert reason(text(transaction_amount=value)).startswith(
        "transaction_amount is not a decimal string from 0.01 to 9999999999.99"
    )


@pytest.mark.parametrize(
    "value",
    [
        "", " ", "ten", "12,30", "1 000", "0x10", "NaN", "sNaN", "Infinity", "-Infinity", "1.2.3", "--1",
        "1", "1.0", ".50", "+1.00", " 1.00", "1_0.00", "1e2", "\u0663.00", "1.00\n",
        "0", "0.00", "-0.01", "-5", "0.001", "12.345", "10000000000.00", "9" * 400, "1e999999", "1e-999999",
        "0.01" + "0" * 40 + "1",
    ],
)  # fmt: skip
def test_an_amount_is_a_positive_decimal_that_the_column_can_hold(value: str) -> None:
    assert reason(text(transaction_amount=value)).startswith("transaction_amount is not")


def test_the_smallest_and_the_largest_amount_are_read() -> None:
    assert eur_cents("0.01", "EUR") == 1
    assert eur_cents("9999999999.99", "EUR") == 999_999_999_999


def test_half_a_cent_is_rounded_up() -> None:
    # 0.50 PLN at 0.23 = 0.115 EUR, and 0.48 PLN = 0.1104 EUR
    assert eur_cents("0.50", "PLN") == 12
    assert eur_cents("0.48", "PLN") == 11


@settings(derandomize=True, deadline=None, max_examples=300)
@given(st.sampled_from(sorted(RATES)), st.decimals("0.01", "9999999999.99", places=2))
def test_every_currency_is_converted_as_decimal_arithmetic_does(currency: str, amount: Decimal) -> None:
    euros = (amount * RATES[currency]).quantize(Decimal("0.01"), ROUND_HALF_UP)
    assert Decimal(eur_cents(str(amount), currency)) == euros * 100


@pytest.mark.parametrize("currency", sorted(RATES))
def test_one_unit_of_every_currency_is_worth_its_rate(currency: str) -> None:
    # a million units times the rate, in cents: exact in every currency of the table
    assert eur_cents("1000000.00", currency) == RATES[currency] * 100_000_000


# Times


@pytest.mark.parametrize("field", ["transaction_time", "created_at"])
@pytest.mark.parametrize(
    "value", [None, "", "yesterday", 1_767_268_800_000, "2026-01-01T12:00:00", "2026-02-30T12:00:00Z"]
)
def test_a_time_is_iso_8601_with_its_zone(field: str, value: object) -> None:
    assert reason(text(**{field: value})).startswith(f"{field} is not an ISO 8601 time with a time zone")


def test_a_payment_may_lie_a_minute_after_its_storing_but_not_a_millisecond_more() -> None:
    # The clocks of a till and of the database differ a little.
    created_at = iso(NOON_MS)
    read(text(transaction_time=iso(NOON_MS + FUTURE_TOLERANCE_MS), created_at=created_at))
    late = text(transaction_time=iso(NOON_MS + FUTURE_TOLERANCE_MS + 1), created_at=created_at)
    assert reason(late).startswith("transaction_time lies after created_at")


def test_a_payment_may_be_stored_as_long_after_it_happened_as_is_allowed_but_not_a_millisecond_more() -> None:
    created_at = iso(NOON_MS)
    read(text(transaction_time=iso(NOON_MS - MAX_AGE_MS), created_at=created_at))
    old = text(transaction_time=iso(NOON_MS - MAX_AGE_MS - 1), created_at=created_at)
    assert reason(old) == "stored more than 1 day after it happened"


def test_a_record_from_the_future_is_malformed() -> None:
    tomorrow = iso(time.time_ns() // 1_000_000 + 86_400_000)
    assert reason(text(transaction_time=tomorrow, created_at=tomorrow)) == "created_at lies in the future"


# The two decoders

VALUES = st.one_of(
    st.integers(-(2**70), 2**70).map(str),
    st.floats().map(json.dumps),
    st.text(max_size=5).map(json.dumps),
    st.sampled_from([json.dumps(value) for value in GOOD.values()]),
    st.sampled_from(["null", "true", "[]", "{}", "1.0", "17.0", "-0", "1e0", "1e999", "01", '"\\ud800"']),
)
CHANGED = st.dictionaries(st.sampled_from([*GOOD, "another_field"]), VALUES, max_size=2)
CHARACTERS = st.sampled_from(
    [*'{}[]",:\\ntu0189.e+-', "\x00", "\x7f", "\ud800", "\ufeff", "é", "1e999", "NaN", "\\ud800"]
)


@st.composite
def records(draw: st.DrawFn) -> str:
    """Records, good ones and others: with fields left out, more, twice and of any type, and with some characters changed."""
    good = {name: json.dumps(field) for name, field in GOOD.items()}
    fields = list((good | draw(CHANGED)).items())
    kept = draw(st.lists(st.sampled_from(fields), max_size=1)) + [one for one in fields if draw(st.integers(0, 40))]
    value = "{" + ",".join(f'"{name}":{field}' for name, field in kept) + "}"
    for position in draw(st.lists(st.integers(0, len(value) - 1), max_size=1)):
        value = value[:position] + draw(CHARACTERS) + value[position + draw(st.integers(0, 1)) :]
    return value


def outcome(value: str) -> tuple[object, ...]:
    try:
        return read_payment(value, MAX_AGE_MS)
    except MalformedRecordError as error:
        return str(error), error.transaction_id


@settings(derandomize=True, deadline=None, max_examples=3000)
@given(records())
@example(text(another_field=0).replace("0}", "1e999}"))  # msgspec skips a field that it does not know, orjson reads it
def test_the_fast_decoder_and_the_other_agree(value: str) -> None:
    fast = outcome(value)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(transaction, "_decode", transaction._decode_any)
        assert outcome(value) == fast


def test_a_record_of_the_join_is_read_by_the_fast_decoder(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(value: str) -> None:
        pytest.fail(f"the slow decoder was asked for {value}")

    monkeypatch.setattr(transaction, "_decode_any", refused)
    read_payment(text(), MAX_AGE_MS)
    read_payment(
        text(**{field: None for field in GOOD if field.startswith("user_") and field != "user_id"}), MAX_AGE_MS
    )
