"""What must be true, by MySQL's account: recomputed in plain SQL inside one consistent snapshot of the database."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from importlib import resources
from string import Template
from types import MappingProxyType
from typing import Any, NamedTuple

from fraudlab.pipeline import contracts
from fraudlab.settings import Settings

IDS_A_QUERY = 1000

MOST_LISTED = 1000
"""How many payments an activity may list. The detector states its own: what is recomputed shares nothing with what is judged."""


class RecomputedPayment(NamedTuple):
    """A payment as recomputed. `fault` is what keeps it from counting; None: it counts, and no field is None."""

    user_id: int
    event_ms: int | None
    country: str | None
    eur_cents: int | None
    fault: str | None


@dataclass(frozen=True)
class Expected:
    """An activity that must exist: that of the window which ends with payment `transaction_id`.

    `known_by` is the payment with which it became known and `known_ms` that payment's `created_at`. The rest is about the window's
    payments until then: count, total and countries of all of them, and `transaction_ids` (ascending) of those that are listed:
    all where they are at most MOST_LISTED, otherwise as many, the last of them, by event time and id, being `transaction_id`.
    """

    transaction_id: int
    user_id: int
    known_by: int
    known_ms: int
    transaction_ids: tuple[int, ...]
    transaction_count: int
    total_eur: Decimal
    countries: tuple[str, ...]


@dataclass(frozen=True)
class Accepted:
    """A payment of an episode in which its account was stopped, before or after the stop. Times as MySQL shows them (UTC)."""

    transaction_id: int
    user_id: int
    created_at: str
    stopped_at: str
    after_by_clock: bool
    """Whether it was accepted after the stop, by the clock. The binlog knows better."""


class Notified(NamedTuple):
    """A row of `notifications`."""

    user_id: int
    episode: int
    channel: str
    status: str
    reason: str | None


@dataclass(frozen=True)
class Truth:
    """What must be in the topics, and what in MySQL is not as it must be."""

    payments: dict[int, int]
    """Every row of `transactions`: id to user."""
    faulty: dict[int, RecomputedPayment]
    """Payments that do not count and belong in `dead_letters`."""
    expected: dict[int, Expected]
    """By the id of the window's last payment."""
    given_up: frozenset[int]
    """Ids of windows' last payments whose activity is not there, because nobody could be told of it in time."""
    claimed: dict[int, RecomputedPayment]
    """The payments asked for."""
    wrong_flags: dict[int, bool]
    """Users whose flag is wrong: to what it is."""
    stopped_in_episode: tuple[Accepted, ...]
    declined_without_stop: dict[int, int]
    """Refused payments of accounts that were not stopped: `declined_id` to user."""
    labels: dict[int, tuple[int, str]]
    """Fraudulent payments by the generator's account: id to user and scenario."""
    declined: int
    """How many payments were refused."""
    episodes: frozenset[tuple[int, int]] = frozenset()
    """Who must be told of which episode: user and the id of the reinstatement it began with, 0 for the first."""
    notifications: tuple[Notified, ...] = ()
    deleted: frozenset[int] = frozenset()
    """Ids of deleted payments."""
    impossible_rows: tuple[tuple[str, int, str], ...] = ()
    """Rows that cannot be judged: which, whose, and why."""


def recompute(
    connection: Any,
    settings: Settings,
    *,
    captured: Collection[int] = (),
    overtaken: Mapping[int, tuple[int, int]] = MappingProxyType({}),
    raised: Collection[int] = (),
    claimed: Collection[int] = (),
    uncounted: Collection[int] = (),
    without_profile: Collection[int] = (),
    joined_alone: Collection[int] = (),
) -> Truth:
    """Recomputes everything, in a few seconds for 100,000 payments. Needs SELECT and CREATE TEMPORARY TABLES only.

    Args:
        connection: A `mysql.connector` connection to the payment database, opened for this and to be closed afterwards.
        settings: The rule's parameters.
        captured: Ids of the payments whose insertion is in the topic: of the deleted ones only these count.
        overtaken: Payments that came after one with a higher id: behind which, and in which place behind it.
        raised: Ids of the payments whose activity is in the topic: where a profile came late, it may be there or not.
        claimed: Ids of the payments that the caller wants to look at, those that activities name.
        uncounted: Ids of the payments that do not count because their records were skipped.
        without_profile: Users whose profile the join may not have had, because its record was skipped: their activities may be there
            or not.
        joined_alone: Payments that the detector got without their users' profiles: it could tell nobody whose profile was deleted later.
    """
    with connection.cursor() as cursor:
        cursor.execute("SET SESSION group_concat_max_len = 16777216")
        # A value that cannot be converted is a finding about its row, and never ends the verdict.
        cursor.execute("SET SESSION sql_mode = 'NO_ENGINE_SUBSTITUTION'")
        for statement in _statements("tables.sql", {}):
            cursor.execute(statement)
        rates = [
            (currency, Decimal(rate) / contracts.EUR_RATE_SCALE) for currency, rate in contracts.eur_rates().items()
        ]
        cursor.executemany("INSERT INTO rate VALUES (%s, %s)", rates)
        cursor.executemany("INSERT INTO country VALUES (%s)", [(code,) for code in sorted(contracts.countries())])
        connection.commit()
        connection.start_transaction(consistent_snapshot=True)
        cursor.execute("SELECT transaction_id FROM deleted_transactions")
        deleted = [row for row in cursor.fetchall() if row[0] in captured]
        _fill(cursor, "INSERT INTO captured_deleted VALUES (%s)", deleted)
        _fill(
            cursor, "INSERT INTO overtaken VALUES (%s, %s, %s)", [(each, *behind) for each, behind in overtaken.items()]
        )
        _fill(cursor, "INSERT INTO raised VALUES (%s)", [(each,) for each in raised])
        _fill(cursor, "INSERT INTO uncounted VALUES (%s)", [(each,) for each in uncounted])
        _fill(cursor, "INSERT INTO without_profile VALUES (%s)", [(each,) for each in without_profile])
        _fill(cursor, "INSERT INTO joined_alone VALUES (%s)", [(each,) for each in joined_alone])
        for statement in _statements("recompute.sql", _parameters(settings)):
            cursor.execute(statement)
        truth = _truth(cursor, sorted(claimed))
        connection.rollback()
    return truth


def _truth(cursor: Any, claimed: list[int]) -> Truth:
    payment = "SELECT transaction_id, user_id, event_ms, country, eur_cents, fault FROM judged WHERE "
    wanted: dict[int, RecomputedPayment] = {}
    for ids in _slices(claimed):
        wanted |= {row[0]: RecomputedPayment(*row[1:]) for row in _rows(cursor, f"{payment} transaction_id IN ({ids})")}
    return Truth(
        payments=dict(_rows(cursor, "SELECT transaction_id, user_id FROM transactions")),
        faulty={row[0]: RecomputedPayment(*row[1:]) for row in _rows(cursor, f"{payment} fault IS NOT NULL")},
        expected={
            transaction_id: Expected(
                transaction_id,
                user_id,
                known_by,
                known_ms,
                tuple(map(int, ids.split(","))),
                count,
                Decimal(total_cents).scaleb(-2),
                tuple(countries.split(",")),
            )
            for transaction_id, user_id, known_by, known_ms, ids, count, total_cents, countries in _rows(
                cursor,
                "SELECT transaction_id, user_id, known_by, known_ms, transaction_ids, transaction_count, total_cents, countries"
                " FROM expected",
            )
        },
        given_up=frozenset(row[0] for row in _rows(cursor, "SELECT transaction_id FROM given_up")),
        claimed=wanted,
        wrong_flags={user_id: bool(is_set) for user_id, is_set in _query(cursor, "flags.sql")},
        stopped_in_episode=tuple(
            Accepted(transaction_id, user_id, str(created_at), str(since), bool(is_after))
            for transaction_id, user_id, created_at, since, is_after in _query(cursor, "accepted_while_stopped.sql")
        ),
        declined_without_stop=dict(_query(cursor, "declined_without_stop.sql")),
        labels={row[0]: (row[1], row[2]) for row in _query(cursor, "labels.sql")},
        declined=_rows(cursor, "SELECT COUNT(*) FROM declined_transactions")[0][0],
        episodes=frozenset((user_id, episode) for user_id, episode in _query(cursor, "episodes.sql")),
        notifications=tuple(
            Notified(*row)
            for row in _rows(cursor, "SELECT user_id, episode, channel, status, reason FROM notifications")
        ),
        deleted=frozenset(row[0] for row in _rows(cursor, "SELECT transaction_id FROM deleted_transactions")),
        impossible_rows=tuple(_query(cursor, "impossible_rows.sql")),
    )


def _parameters(settings: Settings) -> dict[str, int]:
    return {
        "window_ms": settings.window_s * 1000,
        "allowed_lateness_ms": settings.allowed_lateness_s * 1000,
        "future_tolerance_ms": contracts.FUTURE_TOLERANCE_MS,
        "max_age_ms": settings.max_age_s * 1000,
        "min_countries": settings.min_countries,
        "threshold_cents": int(settings.threshold_eur * 100),
        "profile_patience_ms": settings.profile_patience_s * 1000,
        "most_listed": MOST_LISTED,
    }


def _fill(cursor: Any, statement: str, rows: list[tuple[int, ...]]) -> None:
    if rows:
        cursor.executemany(statement, rows)


def _statements(file: str, values: dict[str, int]) -> list[str]:
    text = resources.files(__package__).joinpath("sql", file).read_text(encoding="utf-8")
    return [one.strip() for one in Template(text).substitute(values).split("\n//") if one.strip()]


def _query(cursor: Any, file: str) -> list[Any]:
    (statement,) = _statements(file, {})
    return _rows(cursor, statement)


def _rows(cursor: Any, statement: str) -> list[Any]:
    cursor.execute(statement)
    return list(cursor.fetchall())


def _slices(ids: list[int]) -> Iterator[str]:
    for start in range(0, len(ids), IDS_A_QUERY):
        yield ",".join(map(str, ids[start : start + IDS_A_QUERY]))
