"""The texts of the messages: what they say, to whom, in whose time and money, and that nobody's name can do harm in them."""

import re
from datetime import UTC, datetime
from decimal import Decimal
from html.parser import HTMLParser
from typing import Any

import pytest

from fraudlab.pipeline.contracts import countries, eur_rates
from fraudlab.pipeline.records import MalformedRecordError
from fraudlab.services.notifier.activity import parse
from fraudlab.services.notifier.message import MAX_PAYMENTS, ListedPayment, Message, compose
from fraudlab.services.notifier.region import CAPITAL_ZONES, region_of
from fraudlab.services.notifier.untrusted_text import mailbox, one_line
from tests.support.activity import ACTIVITY

PAYMENTS = [
    ListedPayment(datetime(2026, 7, 1, 12, 2, 2), Decimal("600.00"), "EUR", "DE", "Books and more"),  # noqa: DTZ001 as MySQL gives it
    ListedPayment(datetime(2026, 7, 1, 12, 2, 3), Decimal("100000.00"), "JPY", "FR", "Café"),  # noqa: DTZ001
]
HOSTILE = {
    "markup": "<script>alert(1)</script><img src=x onerror=alert(1)>",
    "quotes": "\"'`; -- </td></table>",
    "a header": "Ada\r\nBcc: thief@example.com\r\n\r\nbody",
    "a separator of lines": "Ada\u2028Bcc: thief@example.com\u2029x\x85y\x0bz",
    "null and bell": "Ada\x00\x07",
    "right to left": "עדה לאבלייס",
    "an override of direction": "Ada \u202egnp.exe\u2066",
    "emoji": "Ada 👩🏽‍💻🏳️‍🌈",
    "a template": "{{ 7 * 7 }}{% raw %}",
    "very long": "A" * 100_000,
    "only spaces": " \t ",
}


def message(
    channel: str = "email", country: str | None = "DE", payments: list[ListedPayment] = PAYMENTS, **fields: Any
) -> Message:
    created_at = datetime(2026, 7, 1, 12, 2, 3, 30_000, tzinfo=UTC)
    return compose(channel, parse(ACTIVITY | fields), payments, country, "0" * 32, created_at)


def elements(html: str) -> list[str]:
    """The tags of a page, as a browser would see them."""

    class Tags(HTMLParser):
        def __init__(self) -> None:
            super().__init__()
            self.seen: list[str] = []

        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            self.seen.append(f"{tag} {attrs}")

    tags = Tags()
    tags.feed(html)
    return tags.seen


def test_an_email_says_what_happened_when_where_how_much_what_was_done_and_what_to_do() -> None:
    mail = message(country="GB")
    assert mail.subject == "We stopped your account: unusual payments in Germany and France"
    for text in (mail.text, re.sub(r"<[^>]+>", "", mail.html)):
        flat = " ".join(text.split())
        assert "Hello Ada Lovelace," in flat
        # 12:02:03 UTC is 13:02 in London in summer; 1200.00 / 1.17 = 1025.64
        assert "€1,200.00 (about £1,025.64) in Germany and France within one hour" in flat
        assert "1 July 2026, 13:02 (London time)" in flat
        assert "Café" in flat
        assert "JP¥100,000" in flat
        assert "No further payment leaves your account" in flat
        assert "Call us" in flat


def test_a_push_message_says_the_same_in_a_few_words() -> None:
    push = message("push", country="GB")
    assert push.subject == "Your account is stopped"
    assert push.text == (
        "Ada Lovelace, payments of €1,200.00 (about £1,025.64) were made in Germany and France within one hour, "
        "the last at 13:02. No further payment is possible. Was it you? Call the number on the back of your card.\n"
    )
    assert push.html == ""


@pytest.mark.parametrize(
    ("country", "moment", "total"),
    [
        ("DE", "1 July 2026, 14:02 (Berlin time)", "1.200,00"),
        ("US", "July 1, 2026, 8:02\u202fAM (New York time)", "(about $1,304.35)"),  # 1200 / 0.92
        ("IN", "1 July 2026, 5:32\u202fpm (Kolkata time)", "(about ₹1,09,090.91)"),  # 1200 / 0.011, half past
        ("JP", "1 July 2026, 21:02 (Tokyo time)", "196,721)"),  # 1200 / 0.0061; no smaller unit
        ("AU", "1 July 2026, 10:02\u202fpm (Sydney time)", "(about $1,967.21)"),
        ("PL", "1 July 2026, 14:02 (Warsaw time)", "(about 5.217,39\xa0PLN)"),
        ("AQ", "(McMurdo time)", "€1,200.00 in"),  # nobody's currency
        ("XX", "1 July 2026, 12:02 (UTC)", "€1,200.00 in"),
        ("", "1 July 2026, 12:02 (UTC)", "€1,200.00 in"),
        (None, "1 July 2026, 12:02 (UTC)", "€1,200.00 in"),
    ],
)
def test_time_and_money_are_those_of_the_persons_home(country: str | None, moment: str, total: str) -> None:
    text = message(country=country).text
    assert moment in text
    assert total in text


def test_every_country_has_a_zone_of_its_own_and_a_currency_of_the_table() -> None:
    regions = {country: region_of(country) for country in countries()}
    assert {region.currency for region in regions.values()} <= eur_rates().keys()
    assert [country for country, region in regions.items() if region.zone.key == "UTC"] in (
        [],
        ["BV"],
        ["BV", "HM"],
        ["HM", "BV"],
    )
    assert set(CAPITAL_ZONES) <= countries()


@pytest.mark.parametrize("hostile", HOSTILE.values(), ids=HOSTILE)
@pytest.mark.parametrize("channel", ["email", "push"])
def test_a_hostile_name_or_merchant_stays_text(channel: str, hostile: str) -> None:
    harmless = message(channel, payments=[PAYMENTS[0]._replace(merchant="Shop")])
    told = message(
        channel,
        payments=[PAYMENTS[0]._replace(merchant=hostile)],
        user_first_name=hostile,
        user_last_name=hostile,
    )
    tags = [tag for tag in elements(told.html) if tag != "bdi []"]
    assert tags == [tag for tag in elements(harmless.html) if tag != "bdi []"]
    assert told.subject == harmless.subject
    assert told.text.count("\n") == harmless.text.count("\n"), "a name adds no line"
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f\x85\u2028-\u202e\u2066\u2067]", told.text + told.html)
    assert "49" not in told.text.replace(hostile, ""), "a name is no template"
    assert len(told.text) < 4000


def test_a_name_from_right_to_left_keeps_to_itself() -> None:
    assert "Hello \u2068עדה Lovelace\u2069," in message(user_first_name="עדה").text
    assert "<bdi>עדה Lovelace</bdi>" in message(user_first_name="עדה").html


def test_a_person_without_a_name_is_greeted_without_one() -> None:
    nobody = message(user_first_name=None, user_last_name=None)
    assert nobody.text.startswith("Hello,\n")
    assert "<p>Hello,</p>" in nobody.html


def test_no_more_payments_are_listed_than_somebody_reads() -> None:
    many = [PAYMENTS[0]] * 50
    mail = message(payments=many, transaction_count=5_000)
    assert mail.text.count("Books and more") == MAX_PAYMENTS
    assert "and 4980 more" in mail.text
    assert "and 4980 more" in mail.html


def test_payments_that_are_gone_are_counted() -> None:
    assert "and 2 more" in message(payments=[]).text


@pytest.mark.parametrize(
    "fields",
    [
        {"user_id": "42"},
        {"user_id": True},
        {"user_id": 2**31},
        {"user_id": -(2**31) - 1},
        {"activity_id": "x" * 65},
        {"activity_id": ""},
        {"total_amount_eur": "NaN"},
        {"total_amount_eur": "a lot"},
        {"total_amount_eur": 1200.0},
        {"total_amount_eur": "-1"},
        {"countries": None},
        {"countries": [1]},
        {"transaction_ids": ["4; DROP TABLE notifications"]},
        {"transaction_ids": [2**63]},
        {"transaction_count": "2"},
        {"transaction_id": None},
        {"known_by": 0},
        {"known_by": "5"},
        {"window_end": "yesterday"},
        {"created_at": "2026-07-01T12:02:03"},
        {"created_at": "0001-01-01T00:00:00+23:59"},
        {"user_first_name": 7},
        {"user_email": ["a@example.com"]},
    ],
    ids=str,
)
def test_what_is_no_activity_is_malformed(fields: dict[str, Any]) -> None:
    with pytest.raises(MalformedRecordError, match="not an activity"):
        parse(ACTIVITY | fields)


@pytest.mark.parametrize("user_id", [2**31 - 1, 0, -1, -(2**31)])
def test_every_id_that_mysql_takes_is_a_users(user_id: int) -> None:
    """The user with the lowest INT as id was stopped and never told: the activity was a dead letter."""
    assert parse(ACTIVITY | {"user_id": user_id}).user_id == user_id


def test_an_activity_of_an_earlier_version_is_known_by_its_own_payment() -> None:
    earlier = {name: value for name, value in ACTIVITY.items() if name != "known_by"}
    assert parse(earlier).known_by == earlier["transaction_id"]
    assert parse(earlier | {"known_by": 4}).known_by == 4


@pytest.mark.parametrize("field", sorted(ACTIVITY.keys() - {"known_by", "user_suspicious_activity"}))
def test_a_field_that_is_missing_is_malformed(field: str) -> None:
    with pytest.raises(MalformedRecordError, match=field):
        parse({name: value for name, value in ACTIVITY.items() if name != field})


@pytest.mark.parametrize(
    ("address", "ready"),
    [
        ("ada@example.com", "ada@example.com"),
        (" ada.l+lab@mail.example.co.uk ", "ada.l+lab@mail.example.co.uk"),
        ("a_b-c!#$%&'*/=?^`{|}~@example.com", "a_b-c!#$%&'*/=?^`{|}~@example.com"),
        ('"ada lovelace"@example.com', '"ada lovelace"@example.com'),
        ('"a\\"@b,<c>"@example.com', '"a\\"@b,<c>"@example.com'),
        ("info@bücher.example", "info@xn--bcher-kva.example"),
        ("info@BÜCHER.Example", "info@xn--bcher-kva.example"),
        ("info@xn--bcher-kva.example", "info@xn--bcher-kva.example"),
        ("ädä@exämple.com", "ädä@xn--exmple-cua.com"),
        ("用户@例子.广告", "用户@xn--fsqu00a.xn--4rr70v"),
    ],
)
def test_mail_04_an_address_that_can_be_one_is_used(address: str, ready: str) -> None:
    """mail-04: an international domain goes in the form that every mail server takes."""
    assert mailbox(address) == ready


@pytest.mark.parametrize(
    "address",
    [
        "",
        "ada",
        "ada@localhost",
        "ada@example.com\r\nBcc: thief@example.com",
        "ada@example.com, thief@example.com",
        "Ada <ada@example.com>",
        "ada@example.com>\r\nRCPT TO:<thief@example.com",
        "a" * 250 + "@example.com",
        "ada@exa mple.com",
        "ada@@example.com",
        '"ada"lovelace@example.com',
        '"ada\r\nBcc: x"@example.com',
        "a..b@example.com",
        "ada@exa\u200bmple..com",
        "a\u202eda@example.com",
        "a" * 65 + "@example.com",
    ],
    ids=repr,
)
def test_an_address_that_can_be_none_is_not(address: str) -> None:
    assert mailbox(address) is None


def test_one_line_keeps_what_people_write() -> None:
    assert one_line("  Ada\t👩🏽‍💻   O'Brien-Łódź ") == "Ada 👩🏽‍💻 O'Brien-Łódź"
