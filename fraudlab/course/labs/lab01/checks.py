"""Lab 01, The data generator: the payment database, the synthetic bank, and the binlog."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from fraudlab.course.exercise import (
    NO_RETURN,
    Exercise,
    Lab,
    Mistake,
    Verdict,
    call,
    nothing_to_observe,
    right,
    to_do_first,
    wrong,
)
from fraudlab.course.workspace import Workspace, in_eur
from fraudlab.pipeline.rule import Rule

BANK = {"payments": 3000, "users": 300, "seed": 7, "hours": 6, "frauds": 30}
"""The bank that this lab fills, and that the later labs start from."""


# 01.1


@dataclass(frozen=True, slots=True)
class Labels:
    """Counts over the generator's labels."""

    stolen_payments: int
    robbed_accounts: int
    payments_of_robbed: int
    scenarios: int
    users: int


def observe_labels(workspace: Workspace, _answer: object) -> Labels:
    """Counts in MySQL."""
    (row,) = workspace.rows(
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
        return to_do_first("The bank is still empty: run the cell with `lab.generate` first.")
    if answer == observed.robbed_accounts:
        return right("Few accounts are robbed, and a thief pays several times from each of them.")
    for mistaken, mistake in (
        (
            observed.stolen_payments,
            Mistake(
                "stolen_payments", "Those are the payments that thieves made. Each account was robbed several times."
            ),
        ),
        (
            observed.payments_of_robbed,
            Mistake("payments_of_robbed", "Those are all payments of the robbed accounts, including the owners' own."),
        ),
        (observed.scenarios, Mistake("kinds_of_fraud", "Those are the kinds of fraud, not the accounts.")),
        (observed.users, Mistake("all_accounts", "Those are all accounts. Most were never robbed.")),
        (
            observed.users - observed.robbed_accounts,
            Mistake("not_robbed", "Those are the accounts that were not robbed."),
        ),
    ):
        if answer == mistaken:
            return wrong(mistake, found=answer, expected=expected)
    return wrong(Mistake("other_number", "The labels give another number."), found=int(answer), expected=expected)


ROBBED = Exercise(
    number="01.1",
    title="How many accounts were robbed?",
    task="count the accounts from which a thief paid at least once.",
    hints=(
        "`fraud_labels` knows payments, not accounts. Which table knows the account of a payment?",
        "Join `fraud_labels` and `transactions`: `FROM fraud_labels JOIN transactions USING (transaction_id)`.",
        "A robbed account has several labelled payments. Count it once: `COUNT(DISTINCT user_id)`.",
    ),
    shape="a whole number",
    observe=observe_labels,
    judge=judge_robbed,
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


def observe_theft(workspace: Workspace, user_id: int) -> Theft:
    """Reads the account's payments."""
    known = workspace.value("SELECT COUNT(*) AS n FROM user_profile WHERE user_id = %s", int(user_id))
    rows = workspace.rows(
        "SELECT transaction_time AS time, country, amount, currency FROM transactions WHERE user_id = %s", int(user_id)
    )
    return Theft(bool(known), tuple(Paid(**row) for row in rows), workspace.settings.rule)


def judge_theft(observed: Theft, _user_id: int) -> Verdict:
    """Some hour must hold payments from enough countries, worth enough."""
    rule, payments = observed.rule, sorted(observed.payments, key=lambda one: one.time)
    least = Decimal(rule.threshold_eur_cents) / 100
    expected = f"payments in {rule.min_countries} countries or more, together {least:,.2f} EUR or more, within one hour"
    if not observed.exists:
        return wrong(
            Mistake("no_such_account", "No account has this number."),
            found="an unknown user",
            expected="the number that `lab.open_account` gave you",
        )
    if not payments:
        return wrong(Mistake("no_payment", "This account has not paid yet."), found="no payment", expected=expected)
    hours = [_hour_until(payments, last, timedelta(milliseconds=rule.window_ms)) for last in payments]
    if any(_countries(hour) >= rule.min_countries and _worth(hour) >= least for hour in hours):
        return right(
            "Two countries, a thousand euros, one hour: that is no journey. By the end of Lab 04 you will catch it."
        )
    worth, countries = _worth(payments), _countries(payments)
    found = f"{len(payments)} payments, {countries} countries, {worth:,.2f} EUR"
    if countries < rule.min_countries:
        return wrong(
            Mistake("one_country", "All of it was paid in one country: that is a shopping trip."),
            found=found,
            expected=expected,
        )
    if sum((one.amount for one in payments), Decimal(0)) >= least > worth:
        return wrong(
            Mistake("not_in_eur", "The numbers add up, the money does not: amounts count by their value in EUR."),
            found=found,
            expected=expected,
        )
    if worth < least:
        return wrong(
            Mistake("too_little", "It is too little money: people who live near a border do that every week."),
            found=found,
            expected=expected,
        )
    if any(_countries(hour) >= rule.min_countries for hour in hours):
        return wrong(
            Mistake("no_single_hour", "No single hour holds enough money from two countries."),
            found=found,
            expected=expected,
        )
    return wrong(
        Mistake("flight", "The countries are more than an hour apart: that is a flight."),
        found=found,
        expected=expected,
    )


def _hour_until(payments: list[Paid], last: Paid, hour: timedelta) -> list[Paid]:
    return [one for one in payments if last.time - hour < one.time <= last.time]


def _worth(payments: list[Paid]) -> Decimal:
    return sum((one.eur for one in payments), Decimal(0))


def _countries(payments: list[Paid]) -> int:
    return len({one.country for one in payments})


THEFT = Exercise(
    number="01.2",
    title="Be the thief",
    task="open an account, and steal from it so that the rule above would see it.",
    hints=(
        "The rule needs three things at once: two countries, 1,000 EUR, one hour.",
        '`lab.pay(user, "600.00", "EUR", "DE")` pays at home. What must the second payment change?',
        "One payment of 600.00 EUR in DE, and one of 600.00 EUR in another country, both now.",
    ),
    shape="the number of the account, as `lab.open_account` gave it",
    observe=observe_theft,
    judge=judge_theft,
)


# 01.3

Row = Mapping[str, Any] | None
_CHANGES: tuple[tuple[str, Row, Row, dict[str, tuple[Any, Any]], Mistake], ...] = (
    (
        "an update of one column",
        {"user_id": 1, "email": "old@example.com", "home_country": "DE"},
        {"user_id": 1, "email": "new@example.com", "home_country": "DE"},
        {"email": ("old@example.com", "new@example.com")},
        Mistake(
            "unchanged_columns", "An update must give the columns that differ, and only those, as (before, after)."
        ),
    ),
    (
        "an update that changes nothing",
        {"user_id": 1, "email": "same@example.com"},
        {"user_id": 1, "email": "same@example.com"},
        {},
        Mistake("no_change", "A column that stays the same has not changed."),
    ),
    (
        "an insert",
        None,
        {"user_id": 2, "email": "ada@example.com"},
        {"user_id": (None, 2), "email": (None, "ada@example.com")},
        Mistake("insert_ignored", "An inserted row has no row before: each of its columns changes from None."),
    ),
    (
        "a delete",
        {"user_id": 3, "email": "bye@example.com"},
        None,
        {"user_id": (3, None), "email": ("bye@example.com", None)},
        Mistake("delete_ignored", "A deleted row has no row after: each of its columns changes to None."),
    ),
    (
        "a value that becomes NULL",
        {"user_id": 4, "email": "gone@example.com"},
        {"user_id": 4, "email": None},
        {"email": ("gone@example.com", None)},
        Mistake("null_ignored", "A value that becomes NULL is a change, too."),
    ),
    (
        "a flag that is set",
        {"user_id": 5, "suspicious_activities": 0},
        {"user_id": 5, "suspicious_activities": 1},
        {"suspicious_activities": (0, 1)},
        Mistake("zero_as_missing", "A flag that goes from 0 to 1 is a change, and 0 is a value, not a missing one."),
    ),
)


def judge_changes(_observed: None, changes: Callable[[Row, Row], Mapping[str, tuple[Any, Any]]]) -> Verdict:
    """The function must tell what changed, for each kind of event."""
    for name, before, after, expected, mistake in _CHANGES:
        found = call(changes, before, after)
        if found is None:
            return wrong(NO_RETURN, found=None, expected="a dictionary")
        if {key: tuple(pair) for key, pair in dict(found).items()} != expected:
            return wrong(mistake, found=f"{dict(found)} for {name}", expected="what differs between the two rows")
    return right("This is what every consumer of a binlog does first: put the two rows side by side.")


CHANGES = Exercise(
    number="01.3",
    title="What has changed?",
    task="write the function that gives the columns that an event of the binlog changed.",
    hints=(
        "An insert has no row before it, and a delete no row after it. What would make them look like an update?",
        "Use `{}` for a missing row: `old = before or {}`. Then go over the columns of both.",
        "`{column: (old.get(column), new.get(column)) for column in old | new if …}` lacks only its condition.",
    ),
    shape="a function of two rows that gives a dictionary: column to (before, after)",
    observe=nothing_to_observe,
    judge=judge_changes,
)


def outcome(workspace: Workspace) -> None:
    """The bank has customers and a history of payments."""
    workspace.generate(**BANK)


LAB = Lab(
    number="01", name="data-generator", title="The data generator", exercises=(ROBBED, THEFT, CHANGES), outcome=outcome
)
