"""Lab 01, The data generator: the payment database, the synthetic bank, and the binlog."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from fraudlab.course.exercise import Example, Exercise, Lab, Verdict, call, not_yet, nothing_to_observe, right, wrong
from fraudlab.course.world import World, in_eur
from fraudlab.pipeline.rule import Rule

BANK = {"payments": 3000, "users": 300, "seed": 7, "hours": 6, "frauds": 30}
"""The bank that the lab fills, and that the labs after it begin with."""


# 01.1


@dataclass(frozen=True, slots=True)
class Labels:
    """Counts over the generator's labels."""

    stolen_payments: int
    robbed_accounts: int
    payments_of_robbed: int
    scenarios: int
    users: int


def observe_labels(world: World, _answer: object) -> Labels:
    """Counts in MySQL."""
    (row,) = world.rows(
        "SELECT COUNT(*) AS stolen_payments, COUNT(DISTINCT user_id) AS robbed_accounts,"
        " COUNT(DISTINCT scenario) AS scenarios, (SELECT COUNT(*) FROM user_profile) AS users,"
        " (SELECT COUNT(*) FROM transactions WHERE user_id IN"
        "   (SELECT user_id FROM transactions JOIN fraud_labels USING (transaction_id))) AS payments_of_robbed"
        " FROM fraud_labels JOIN transactions USING (transaction_id)"
    )
    return Labels(**row)


def judge_robbed(observed: Labels, answer: int) -> Verdict:
    """The number of accounts with at least one payment of a thief."""
    expected = "the number of different accounts with at least one labelled payment"
    if not observed.users:
        return not_yet("The bank is still empty: run the cell with `lab.generate` first.")
    if answer == observed.robbed_accounts:
        return right("Few accounts are robbed, and a thief pays several times from each.")
    for mistaken, sentence in (
        (observed.stolen_payments, "Those are the payments that thieves made; one account was robbed of several."),
        (observed.payments_of_robbed, "Those are all payments of the robbed accounts, the owners' own among them."),
        (observed.scenarios, "Those are the kinds of fraud, not the accounts."),
        (observed.users, "Those are all accounts. Most were never robbed."),
        (observed.users - observed.robbed_accounts, "Those are the accounts that were not robbed."),
    ):
        if answer == mistaken:
            return wrong(sentence, found=answer, expected=expected)
    return wrong("The labels say something else.", found=int(answer), expected=expected)


_LABELS = Labels(stolen_payments=123, robbed_accounts=26, payments_of_robbed=412, scenarios=3, users=300)

ROBBED = Exercise(
    number="01.1",
    title="How many accounts were robbed?",
    task="count the accounts from which a thief paid at least once.",
    hints=(
        "`fraud_labels` knows payments, not accounts. Which table knows the account of a payment?",
        "Join `fraud_labels` and `transactions`: `FROM fraud_labels JOIN transactions USING (transaction_id)`.",
        "A robbed account has several labelled payments and is to be counted once: `COUNT(DISTINCT user_id)`.",
    ),
    shape="a whole number",
    observe=observe_labels,
    judge=judge_robbed,
    right=[Example((26.0,), _LABELS), Example((Decimal(26),), _LABELS)],
    wrong=[
        Example((123,), _LABELS, "Those are the payments that thieves made; one account was robbed of several."),
        Example((412,), _LABELS, "Those are all payments of the robbed accounts, the owners' own among them."),
        Example((3,), _LABELS, "Those are the kinds of fraud, not the accounts."),
        Example((300,), _LABELS, "Those are all accounts. Most were never robbed."),
        Example((25,), _LABELS, "The labels say something else."),
        Example(("many",), _LABELS, "The check cannot read this answer."),
    ],
)


# 01.2


@dataclass(frozen=True, slots=True)
class Paid:
    """A payment as the bank stored it. `time` is when it happened."""

    time: datetime
    country: str
    amount: Decimal
    currency: str

    @property
    def eur(self) -> Decimal:
        return in_eur(self.amount, self.currency)


@dataclass(frozen=True, slots=True)
class Theft:
    """An account's payments, and the rule that the course looks for."""

    exists: bool
    payments: tuple[Paid, ...]
    rule: Rule = Rule()  # noqa: RUF009 - frozen


def observe_theft(world: World, user_id: int) -> Theft:
    """Reads the account's payments."""
    known = world.value("SELECT COUNT(*) AS n FROM user_profile WHERE user_id = %s", int(user_id))
    rows = world.rows(
        "SELECT transaction_time AS time, country, amount, currency FROM transactions WHERE user_id = %s", int(user_id)
    )
    return Theft(bool(known), tuple(Paid(**row) for row in rows), world.settings.rule)


def judge_theft(observed: Theft, _user_id: int) -> Verdict:
    """Some hour must hold payments from enough countries, worth enough."""
    rule, payments = observed.rule, sorted(observed.payments, key=lambda one: one.time)
    least = Decimal(rule.threshold_eur_cents) / 100
    expected = f"payments in {rule.min_countries} countries or more, together {least:,.2f} EUR or more, within one hour"
    if not observed.exists:
        return wrong(
            "No account has this number.",
            found="an unknown user",
            expected="the number that `lab.open_account` gave you",
        )
    if not payments:
        return wrong("Nobody has paid from this account yet.", found="no payment", expected=expected)
    hours = [_hour_until(payments, last, timedelta(milliseconds=rule.window_ms)) for last in payments]
    if any(_countries(hour) >= rule.min_countries and _worth(hour) >= least for hour in hours):
        return right(
            "Two countries, a thousand euros, one hour: nobody travels like that. By the end of Lab 04 you will catch it."
        )
    worth, countries = _worth(payments), _countries(payments)
    found = f"{len(payments)} payments, {countries} countries, {worth:,.2f} EUR"
    if countries < rule.min_countries:
        return wrong("All of it was paid in one country: that is a shopping trip.", found=found, expected=expected)
    if sum((one.amount for one in payments), Decimal(0)) >= least > worth:
        return wrong(
            "The numbers add up, the money does not: amounts count by their worth in EUR.",
            found=found,
            expected=expected,
        )
    if worth < least:
        return wrong(
            "It is too little money: people who live at a border do that every week.", found=found, expected=expected
        )
    if any(_countries(hour) >= rule.min_countries for hour in hours):
        return wrong("No single hour holds enough money from two countries.", found=found, expected=expected)
    return wrong("The countries are more than an hour apart: that is a flight.", found=found, expected=expected)


def _hour_until(payments: list[Paid], last: Paid, hour: timedelta) -> list[Paid]:
    return [one for one in payments if last.time - hour < one.time <= last.time]


def _worth(payments: list[Paid]) -> Decimal:
    return sum((one.eur for one in payments), Decimal(0))


def _countries(payments: list[Paid]) -> int:
    return len({one.country for one in payments})


_NOON = datetime(2026, 1, 31, 12)


def _theft(*payments: tuple[int, str, str, str]) -> Theft:
    """Payments as (minutes after noon, country, amount, currency)."""
    return Theft(
        True,
        tuple(
            Paid(_NOON + timedelta(minutes=at), country, Decimal(amount), code)
            for at, country, amount, code in payments
        ),
    )


THEFT = Exercise(
    number="01.2",
    title="Be the thief",
    task="open an account, and steal from it so that the rule above would see it.",
    hints=(
        "The rule wants three things at once: two countries, 1,000 EUR, one hour.",
        '`lab.pay(user, "600.00", "EUR", "DE")` pays at home. What must the second payment change?',
        "One payment of 600.00 EUR in DE, and one of 600.00 EUR in another country, both now.",
    ),
    shape="the number of the account, as `lab.open_account` gave it",
    observe=observe_theft,
    judge=judge_theft,
    right=[
        Example((1,), _theft((0, "DE", "999.99", "EUR"), (59, "FR", "0.01", "EUR"))),
        Example((1,), _theft((0, "US", "800.00", "USD"), (1, "GB", "100.00", "GBP"), (2, "DE", "400.00", "EUR"))),
        Example((1,), _theft((-300, "DE", "5.00", "EUR"), (0, "DE", "600.00", "EUR"), (30, "FR", "600.00", "EUR"))),
    ],
    wrong=[
        Example(
            (1,),
            _theft((0, "DE", "600.00", "EUR"), (1, "DE", "600.00", "EUR")),
            "All of it was paid in one country: that is a shopping trip.",
        ),
        Example(
            (1,),
            _theft((0, "DE", "499.99", "EUR"), (1, "FR", "500.00", "EUR")),
            "It is too little money: people who live at a border do that every week.",
        ),
        Example(
            (1,),
            _theft((0, "DE", "20.00", "EUR"), (1, "JP", "2000.00", "JPY")),
            "The numbers add up, the money does not: amounts count by their worth in EUR.",
        ),
        Example(
            (1,),
            _theft((0, "DE", "600.00", "EUR"), (60, "FR", "600.00", "EUR")),
            "The countries are more than an hour apart: that is a flight.",
        ),
        Example(
            (1,),
            _theft((0, "DE", "600.00", "EUR"), (50, "FR", "1.00", "EUR"), (120, "FR", "600.00", "EUR")),
            "No single hour holds enough money from two countries.",
        ),
        Example((1,), _theft(), "Nobody has paid from this account yet."),
        Example((99,), Theft(False, ()), "No account has this number."),
    ],
)


# 01.3

Row = Mapping[str, Any] | None
_CHANGES: tuple[tuple[str, Row, Row, dict[str, tuple[Any, Any]], str], ...] = (
    (
        "an update of one column",
        {"user_id": 1, "email": "old@example.com", "home_country": "DE"},
        {"user_id": 1, "email": "new@example.com", "home_country": "DE"},
        {"email": ("old@example.com", "new@example.com")},
        "An update must give the columns that differ, and only those, as (before, after).",
    ),
    (
        "an update that changes nothing",
        {"user_id": 1, "email": "same@example.com"},
        {"user_id": 1, "email": "same@example.com"},
        {},
        "A column that stays as it is has not changed.",
    ),
    (
        "an insert",
        None,
        {"user_id": 2, "email": "ada@example.com"},
        {"user_id": (None, 2), "email": (None, "ada@example.com")},
        "An inserted row has no row before: each of its columns changes from None.",
    ),
    (
        "a delete",
        {"user_id": 3, "email": "bye@example.com"},
        None,
        {"user_id": (3, None), "email": ("bye@example.com", None)},
        "A deleted row has no row after: each of its columns changes to None.",
    ),
    (
        "a value that becomes NULL",
        {"user_id": 4, "email": "gone@example.com"},
        {"user_id": 4, "email": None},
        {"email": ("gone@example.com", None)},
        "A value that becomes NULL is a change as well.",
    ),
    (
        "a flag that is set",
        {"user_id": 5, "suspicious_activities": 0},
        {"user_id": 5, "suspicious_activities": 1},
        {"suspicious_activities": (0, 1)},
        "A flag that goes from 0 to 1 is a change, and 0 is a value, not a missing one.",
    ),
)


def judge_changes(_observed: None, changes: Callable[[Row, Row], Mapping[str, tuple[Any, Any]]]) -> Verdict:
    """The function must tell what changed, for each kind of event."""
    for name, before, after, expected, sentence in _CHANGES:
        found = call(changes, before, after)
        if found is None:
            return wrong("The function gives nothing back: it lacks a `return`.", found=None, expected="a dictionary")
        if {key: tuple(pair) for key, pair in dict(found).items()} != expected:
            return wrong(sentence, found=f"{dict(found)} for {name}", expected="what differs between the two rows")
    return right("This is what every consumer of a binlog does first: put the two rows side by side.")


def _right_by_keys(before: Row, after: Row) -> dict[str, tuple[Any, Any]]:
    old, new = dict(before or {}), dict(after or {})
    return {key: (old.get(key), new.get(key)) for key in old.keys() | new.keys() if old.get(key) != new.get(key)}


def _right_by_items(before: Row, after: Row) -> dict[str, tuple[Any, Any]]:
    if before is None:
        return {name: (None, value) for name, value in (after or {}).items()}
    if after is None:
        return {name: (value, None) for name, value in before.items()}
    return {name: (value, after[name]) for name, value in before.items() if value != after[name]}


def _wrong_everything(before: Row, after: Row) -> dict[str, tuple[Any, Any]]:
    return {name: ((before or {}).get(name), value) for name, value in (after or {}).items()}


def _wrong_new_only(before: Row, after: Row) -> dict[str, Any]:
    return {name: (value,) for name, value in (after or {}).items() if (before or {}).get(name) != value}


def _wrong_no_insert(before: Row, after: Row) -> dict[str, tuple[Any, Any]]:
    return {
        name: (value, (after or {})[name]) for name, value in (before or {}).items() if value != (after or {})[name]
    }


def _wrong_no_delete(before: Row, after: Row) -> dict[str, tuple[Any, Any]]:
    return {n: ((before or {}).get(n), v) for n, v in (after or {}).items() if (before or {}).get(n) != v}


def _wrong_truthy(before: Row, after: Row) -> dict[str, tuple[Any, Any]]:
    pairs = {n: ((before or {}).get(n), (after or {}).get(n)) for n in {**(before or {}), **(after or {})}}
    return {n: (old or None, new) for n, (old, new) in pairs.items() if old != new}


def _wrong_raises(before: Row, after: Row) -> dict[str, tuple[Any, Any]]:
    return {name: (value, after[name]) for name, value in before.items()}  # type: ignore[union-attr,index]


CHANGES = Exercise(
    number="01.3",
    title="What has changed?",
    task="write the function that gives the columns that an event of the binlog changed.",
    hints=(
        "An insert has no row before, a delete no row after. What would make them look like an update?",
        "Take `{}` where there is no row: `old = before or {}`. Then go over the columns of both.",
        "`{column: (old.get(column), new.get(column)) for column in old | new if …}`: only the condition is missing.",
    ),
    shape="a function of two rows that gives a dictionary: column to (before, after)",
    observe=nothing_to_observe,
    judge=judge_changes,
    right=[Example((_right_by_keys,)), Example((_right_by_items,))],
    wrong=[
        Example((_wrong_everything,), says=_CHANGES[0][4]),
        Example((_wrong_new_only,), says=_CHANGES[0][4]),
        Example((_wrong_no_insert,), says=_CHANGES[2][4]),
        Example((_wrong_no_delete,), says=_CHANGES[3][4]),
        Example((_wrong_truthy,), says=_CHANGES[5][4]),
        Example((lambda before, after: None,), says="The function gives nothing back: it lacks a `return`."),
        Example((_right_by_keys(None, None),), says="The check cannot read this answer."),
    ],
)


def outcome(world: World) -> None:
    """The bank has customers and a history of payments."""
    world.generate(**BANK)


LAB = Lab(
    number="01", name="data-generator", title="The data generator", exercises=(ROBBED, THEFT, CHANGES), outcome=outcome
)
