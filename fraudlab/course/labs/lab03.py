"""Lab 03, The SQL join: a topic read as a table, which join loses what, and what a changed profile costs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from fraudlab.course import live
from fraudlab.course.exercise import AnswerFailed, Example, Exercise, Lab, Verdict, not_yet, right, wrong
from fraudlab.course.live import LiveQuery
from fraudlab.course.world import World, wait_until

JOB = "transaction-join"

# 03.1

FLAG_QUERY = "exercise-03-1"
_running: dict[str, LiveQuery] = {}


@dataclass(frozen=True, slots=True)
class Flags:
    """The flag of each account as the learner's table has it, and as MySQL has it; `has_column`: whether the table has the column."""

    seen: Mapping[int, Any]
    truth: Mapping[int, int]
    has_column: bool = True


def observe_flags(world: World, definition: str) -> Flags:
    """Starts a query over the learner's table, where it does not run yet, and looks at its answer."""
    rows = world.rows("SELECT user_id, suspicious_activities AS flag FROM user_profile")
    truth = {int(row["user_id"]): int(row["flag"]) for row in rows}
    running = _running.get(definition)
    if running is None or not any(job.name == FLAG_QUERY for job in world.jobs()):
        try:
            running = live.stream(
                world, "SELECT user_id, suspicious_activities FROM user_profile", FLAG_QUERY, [definition]
            )
        except Exception as error:
            said = live.reason(error)
            if "suspicious_activities" in said and "not found" in said:
                return Flags({}, truth, has_column=False)
            raise AnswerFailed(f"Flink does not accept this statement: {said}") from error
        _running.clear()
        _running[definition] = running
    return Flags(dict(running.rows()), truth)


def judge_flags(observed: Flags, _definition: str) -> Verdict:
    """The table must say of each account what MySQL says: 0 or 1."""
    expected = "0 for an account that may pay, 1 for one that is stopped"
    stopped = {user for user, flag in observed.truth.items() if flag}
    if not observed.has_column:
        return wrong(
            "The table has no column of this name. It must be the name that the envelopes have.",
            found="no column `suspicious_activities`",
            expected="a column with the name as in MySQL",
        )
    if not stopped:
        return not_yet("No account is stopped: run the cell above that stops one.")
    missing = observed.truth.keys() - observed.seen.keys()
    if missing:
        return not_yet(
            f"The table has {len(observed.truth) - len(missing):,} of {len(observed.truth):,} accounts so far."
        )
    values = {observed.seen[user] for user in stopped}
    if values == {False} and all(isinstance(value, bool) for value in values):
        return wrong(
            "BOOLEAN asks the envelope for `true` or `false`. It says 1, which is neither, and so becomes false.",
            found="False for an account that is stopped",
            expected=expected,
        )
    if None in values:
        return wrong("The value of the flag does not fit this type, and is left empty.", found=None, expected=expected)
    if any(isinstance(value, str) for value in values):
        return wrong(
            "As text the flag arrives, but it must be compared with a number later. Which type of number is small?",
            found=repr(values.pop()),
            expected="the numbers 0 and 1",
        )
    if all(int(observed.seen[user]) == flag for user, flag in observed.truth.items()):
        return right(
            "The flag is what the envelope says. To Debezium, MySQL's BOOLEAN is a small number, and to Flink it must be one, too."
        )
    return wrong("The flags are not those of MySQL.", found="other values", expected=expected)


_ACCOUNTS = {1: 0, 2: 0, 3: 1}
_DEFINED = "CREATE TABLE user_profile (…)"

FLAG = Exercise(
    number="03.1",
    title="Mend the flag",
    task="complete the table of profiles, so that a stopped account is seen as stopped.",
    hints=(
        "Look at the flag in the envelope above, not at what MySQL calls the type. What is it, between the quotes or without?",
        "It is a number, 0 or 1. SQL has types for whole numbers of several sizes.",
        "MySQL stores a BOOLEAN as a TINYINT(1). Flink's smallest whole number has the same name, without the (1).",
    ),
    shape="the statement, as text, with the missing column",
    observe=observe_flags,
    judge=judge_flags,
    right=[
        Example((_DEFINED,), Flags({1: 0, 2: 0, 3: 1}, _ACCOUNTS)),
        Example(
            (_DEFINED,), Flags({3: Decimal(1), 2: Decimal(0), 1: Decimal(0)}, _ACCOUNTS)
        ),  # DECIMAL(1, 0), for instance
    ],
    wrong=[
        Example(
            (_DEFINED,),
            Flags({1: False, 2: False, 3: False}, _ACCOUNTS),
            "BOOLEAN asks the envelope for `true` or `false`. It says 1, which is neither, and so becomes false.",
        ),
        Example(
            (_DEFINED,),
            Flags({1: "0", 2: "0", 3: "1"}, _ACCOUNTS),
            "As text the flag arrives, but it must be compared with a number later. Which type of number is small?",
        ),
        Example(
            (_DEFINED,),
            Flags({1: None, 2: None, 3: None}, _ACCOUNTS),
            "The value of the flag does not fit this type, and is left empty.",
        ),
        Example(
            (_DEFINED,),
            Flags({}, _ACCOUNTS, has_column=False),
            "The table has no column of this name. It must be the name that the envelopes have.",
        ),
        Example((_DEFINED,), Flags({1: 0}, _ACCOUNTS), "The table has 1 of 3 accounts so far."),
        Example((_DEFINED,), Flags({1: 0}, {1: 0}), "No account is stopped: run the cell above that stops one."),
    ],
    patience_s=40,
)


# 03.2

JOINS = {
    "inner": (
        "complete",
        "A regular join remembers both sides. The payment waited, and the profile found it; nobody heard of it until then.",
    ),
    "left": (
        "complete",
        "The left join gave the payment without a name at once, then took that row back and gave it with the name.",
    ),
    "temporal": (
        "missing",
        "A temporal join asks for the profile as it was at the moment of the payment. There was none, and there never will have been.",
    ),
    "impatient": (
        "nameless",
        "This join had forgotten the payment after a second. The row without a name stays, though the profile is there now.",
    ),
}
"""What each join makes of a payment whose profile comes two seconds later, and why."""


def observe_joins(world: World, _answer: object, joins: LiveQuery) -> dict[str, str]:
    """What each join says of the newest payment that is older than its user's profile; empty where there is no such payment."""
    late = world.rows(
        "SELECT MAX(transaction_id) AS id FROM transactions JOIN user_profile USING (user_id)"
        " WHERE user_profile.created_at > transactions.created_at"
    )[0]["id"]
    if late is None:
        return {}
    names = {kind: first_name for kind, payment, first_name, _ in joins.rows() if payment == late}
    return {kind: "missing" if kind not in names else "complete" if names[kind] else "nameless" for kind in JOINS}


def judge_joins(observed: Mapping[str, str], answer: Mapping[str, str], _joins: object) -> Verdict:
    """The prediction must be what the four joins say."""
    words = ("complete", "nameless", "missing")
    if absent := [kind for kind in JOINS if kind not in answer]:
        return wrong("A join is missing.", found=", ".join(answer), expected=f"also {absent[0]!r}")
    if not observed:
        return not_yet("The profile has not come yet: run the cell that opens the account.")
    if observed["inner"] != "complete" or observed["left"] != "complete":
        return not_yet("The profile is in the bank, but not yet in the joins.")
    for kind, (_, why) in JOINS.items():
        said = str(answer[kind]).strip().lower()
        if said not in words:
            return wrong("Only three words are asked for.", found=repr(answer[kind]), expected=", ".join(words))
        if said != observed[kind]:
            return wrong(
                why, found=f"{answer[kind]!r} for {kind}", expected="what this join's answer has of the payment now"
            )
    return right(
        "Four joins, one payment: who waits for ever, who forgets, and who never knew. The pipeline waits, for a while."
    )


_SEEN = {kind: state for kind, (state, _) in JOINS.items()}

WHO_KNOWS = Exercise(
    number="03.2",
    title="Who knows the name?",
    task="predict what each of the four joins says of the payment, once the profile is there.",
    hints=(
        "Ask of each join two things: does it still remember the payment? And which profile does it look for, the one of now or the one of then?",
        "`inner` and `left` remember both sides. The moment at which a profile comes is nothing to them.",
        "`temporal` looks for the profile of then; there was none. `impatient` has given a row without a name and has forgotten the payment.",
    ),
    shape='a dictionary: the join to "complete", "nameless" or "missing"',
    observe=observe_joins,
    judge=judge_joins,
    right=[
        Example((_SEEN, None), _SEEN),
        Example(({kind: state.title() for kind, state in reversed(_SEEN.items())}, None), _SEEN),
    ],
    wrong=[
        Example((_SEEN | {"inner": "missing"}, None), _SEEN, JOINS["inner"][1]),
        Example((_SEEN | {"left": "nameless"}, None), _SEEN, JOINS["left"][1]),
        Example((_SEEN | {"temporal": "complete"}, None), _SEEN, JOINS["temporal"][1]),
        Example((_SEEN | {"temporal": "nameless"}, None), _SEEN, JOINS["temporal"][1]),
        Example((_SEEN | {"impatient": "complete"}, None), _SEEN, JOINS["impatient"][1]),
        Example((_SEEN | {"impatient": "missing"}, None), _SEEN, JOINS["impatient"][1]),
        Example((_SEEN | {"inner": "yes"}, None), _SEEN, "Only three words are asked for."),
        Example(({"inner": "complete"}, None), _SEEN, "A join is missing."),
        Example((_SEEN, None), {}, "The profile has not come yet: run the cell that opens the account."),
        Example((5, None), _SEEN, "The check cannot read this answer."),
    ],
    patience_s=30,
)


# 03.3


@dataclass(frozen=True, slots=True)
class Payment:
    """A payment as MySQL has it: of whom, and the profile's first name and flag; None where there is no profile."""

    user_id: int
    first_name: str | None
    flag: bool | None


@dataclass(frozen=True, slots=True)
class Joined:
    """The join's runs, the payments of the bank, and for each payment what the run has written to `transaction_mid` of it.

    Attributes:
        runs: Jobs of this name that have not ended.
        payments: The bank's payments by id.
        newest: The newest record of each payment.
        names: Every first name that any of its records has; more than one where it was joined with several people.
        own: Whether a notebook started the job.
    """

    runs: int
    payments: Mapping[int, Payment]
    newest: Mapping[int, Mapping[str, Any]]
    names: Mapping[int, frozenset[str]]
    own: bool = True


def observe_joined(world: World, _statement: str) -> Joined:
    """Reads what the running join has written to `transaction_mid`, and asks MySQL for the same."""
    runs = [job for job in world.jobs() if job.name == JOB]
    if len(runs) != 1:
        return Joined(len(runs), {}, {}, {})
    rows = world.rows(
        "SELECT transaction_id, t.user_id, first_name, suspicious_activities AS flag"
        " FROM transactions AS t LEFT JOIN user_profile AS u USING (user_id)"
    )
    payments = {
        row["transaction_id"]: Payment(
            row["user_id"], row["first_name"], None if row["flag"] is None else bool(row["flag"])
        )
        for row in rows
    }
    newest: dict[int, Mapping[str, Any]] = {}
    names: dict[int, set[str]] = {}
    for record in (one.json for one in world.records_of_run("transaction_mid", runs[0]) if one.value):
        newest[record["transaction_id"]] = record
        names.setdefault(record["transaction_id"], set()).update({record["user_first_name"]} - {None})
    return Joined(1, payments, newest, {one: frozenset(found) for one, found in names.items()}, world.is_own(runs[0]))


def judge_joined(observed: Joined, statement: str) -> Verdict:
    """One job of the learner's runs; each payment is there, with its own user's name and flag, and NULLs where there is no profile."""
    if "INSERT INTO" not in statement:
        raise TypeError("not the statement")
    if observed.runs == 0:
        return not_yet(f"No job of yours is named `{JOB}`: run the cell that submits it.")
    if observed.runs > 1:
        return wrong(
            "The job was submitted more than once, and each of them writes to the topic.",
            found=f"{observed.runs} jobs named `{JOB}`",
            expected=f'one: `lab.cancel("{JOB}")` ends them, then submit it again',
        )
    if not observed.own:
        return wrong(
            "The job that runs is the course's, not yours: run the cell that submits yours.",
            found=f"a job `{JOB}` that `lab.catch_up` has started",
            expected="one that your own cell has started",
        )
    return _judge_names(observed) or _judge_missing(observed) or _judge_flags(observed)


_EACH_PAYMENT = "each payment of the bank, with the profile of its user where there is one"


def _judge_names(observed: Joined) -> Verdict | None:
    """Names that do not belong to a payment's user."""
    crowded = [one for one, names in observed.names.items() if len(names) > 1]
    if len(crowded) > len(observed.payments) // 100:
        return wrong(
            "A payment is joined with several people. What must be equal for a profile to belong to a payment?",
            found=f"{len(observed.names[crowded[0]])} people for one payment",
            expected=_EACH_PAYMENT,
        )
    others = [
        one
        for one, record in observed.newest.items()
        if one in observed.payments and record["user_first_name"] not in (None, observed.payments[one].first_name)
    ]
    if len(others) > len(observed.newest) // 100:
        return wrong(
            "The payments have names, but not those of their users: the join compares the wrong columns.",
            found=f"{len(others):,} payments with somebody else's name",
            expected=_EACH_PAYMENT,
        )
    return None


def _judge_missing(observed: Joined) -> Verdict | None:
    """Payments that are not there, or not yet with their user's name."""
    missing = observed.payments.keys() - observed.newest.keys()
    if missing:
        done = len(observed.payments) - len(missing)
        sentence = f"The topic has {done:,} of {len(observed.payments):,} payments so far."
        if not done:
            return not_yet(sentence)
        if all(observed.payments[one].first_name is None for one in missing):
            mistake = wrong(
                "An inner join keeps a payment back until it has a profile: for ever, if none comes. Nobody would hear of it.",
                found=f"{len(missing)} payments of users without a profile are not there",
                expected=_EACH_PAYMENT,
            )
        else:
            mistake = wrong(
                "Payments are missing although their users have a profile: the statement leaves some out.",
                found=f"{done:,} of {len(observed.payments):,} payments, and no more come",
                expected=_EACH_PAYMENT,
            )
        return not_yet(sentence, at_rest=mistake)
    known = {one for one, payment in observed.payments.items() if payment.first_name is not None}
    late = {one for one in known if observed.newest[one]["user_first_name"] is None}
    if late:
        if late == known:
            mistake = wrong(
                "Every payment is there, but none has a name: the columns that are compared are never equal.",
                found="NULL in the place of every name",
                expected=_EACH_PAYMENT,
            )
        else:
            mistake = wrong(
                "Some payments never get the name of their user: what is compared is equal for the others only.",
                found=f"{len(late):,} payments without a name whose users have a profile",
                expected=_EACH_PAYMENT,
            )
        return not_yet(
            f"Payments that are there, but still without the name of their user: {len(late):,}.", at_rest=mistake
        )
    return None


def _judge_flags(observed: Joined) -> Verdict:
    """The flag of each payment's user; NULL where there is no profile."""
    flags = [
        (record["user_suspicious_activity"], observed.payments[one].flag)
        for one, record in observed.newest.items()
        if one in observed.payments
    ]
    if any(truth for _, truth in flags) and all(seen == (not truth) for seen, truth in flags if truth is not None):
        return wrong(
            "The flag is the wrong way round: who may pay is shown as stopped.",
            found="true where MySQL has 0",
            expected="true where MySQL has 1",
        )
    different = [(seen, truth) for seen, truth in flags if seen != truth]
    if different:
        return not_yet("Some flags in the topic are not those of MySQL yet.", at_rest=_mistaken_flag(different))
    return right("Each payment goes through at once, and is sent again with its profile when that comes later.")


def _mistaken_flag(different: Sequence[tuple[bool | None, bool | None]]) -> Verdict:
    if any(truth and not seen for seen, truth in different):
        return wrong(
            "A stopped account is not shown as stopped.", found="no `true` for it", expected="true where MySQL has 1"
        )
    if any(seen and truth is False for seen, truth in different):
        return wrong(
            "Accounts that may pay are shown as stopped: that there is a flag is not yet that it is set.",
            found="true where MySQL has 0",
            expected="true where MySQL has 1",
        )
    return wrong(
        "Where there is no profile, nobody knows whether the account is stopped. That is NULL, and not FALSE.",
        found="a flag for somebody without a profile",
        expected="NULL where the bank has no profile",
    )


STATEMENT = "INSERT INTO transaction_mid SELECT …"
_BANK = {
    1: Payment(7, "Ada", False),
    2: Payment(8, "Ben", True),
    3: Payment(9, None, None),
    4: Payment(7, "Ada", False),
}


def _mid(names: Mapping[int, str | None], flags: Mapping[int, bool | None]) -> dict[int, Mapping[str, Any]]:
    return {one: {"user_first_name": names[one], "user_suspicious_activity": flags[one]} for one in names}


_NAMES: dict[int, str | None] = {1: "Ada", 2: "Ben", 3: None, 4: "Ada"}
_FLAGS: dict[int, bool | None] = {1: False, 2: True, 3: None, 4: False}
_ONE_EACH = {1: frozenset({"Ada"}), 2: frozenset({"Ben"}), 3: frozenset[str](), 4: frozenset({"Ada"})}


def _joined(
    names: Mapping[int, str | None] = _NAMES,
    flags: Mapping[int, bool | None] = _FLAGS,
    several: Mapping[int, frozenset[str]] = _ONE_EACH,
    runs: int = 1,
) -> Joined:
    return Joined(runs, _BANK, _mid(names, flags), several)


_NONE: dict[int, str | None] = dict.fromkeys(_BANK)

JOIN = Exercise(
    number="03.3",
    title="Write the join",
    task="complete the statement: from which tables, joined how, and when an account is stopped.",
    hints=(
        "A payment must come through even when its user has no profile yet. Which of the joins above let it through at once?",
        "`FROM transactions AS t LEFT JOIN user_profile AS u ON …`: what do a payment and its profile have in common?",
        "The join is on `t.user_id = u.user_id`. The flag is a number: `u.suspicious_activities <> 0,` makes a BOOLEAN of it.",
    ),
    shape="the statement, as text, with the missing lines",
    observe=observe_joined,
    judge=judge_joined,
    right=[
        Example((STATEMENT,), _joined()),
        Example(
            ("INSERT INTO … FROM user_profile AS u RIGHT JOIN transactions AS t …",),
            Joined(1, dict(reversed(_BANK.items())), _mid(_NAMES, _FLAGS), _ONE_EACH),
        ),
    ],
    wrong=[
        Example(
            ("INSERT INTO … JOIN …",),
            _joined({one: name for one, name in _NAMES.items() if name}),
            "An inner join keeps a payment back until it has a profile: for ever, if none comes. Nobody would hear of it.",
            at_rest=True,
        ),
        Example(
            ("INSERT INTO … WHERE t.type <> 'atm'",),
            _joined({1: "Ada", 2: "Ben", 3: None}),
            "Payments are missing although their users have a profile: the statement leaves some out.",
            at_rest=True,
        ),
        Example(
            ("INSERT INTO … ON t.transaction_id = u.user_id …",),
            _joined({1: "Eve", 2: "Cem", 3: None, 4: None}),
            "The payments have names, but not those of their users: the join compares the wrong columns.",
        ),
        Example(
            ("INSERT INTO … ON t.country = u.first_name …",),
            _joined(_NONE, dict.fromkeys(_BANK)),
            "Every payment is there, but none has a name: the columns that are compared are never equal.",
            at_rest=True,
        ),
        Example(
            ("INSERT INTO … ON t.user_id = u.user_id AND t.country = u.home_country …",),
            _joined(_NAMES | {4: None}, _FLAGS | {4: None}),
            "Some payments never get the name of their user: what is compared is equal for the others only.",
            at_rest=True,
        ),
        Example(
            ("INSERT INTO … ON t.country = u.home_country …",),
            _joined(several={1: frozenset({"Ada", "Ben"}), 2: frozenset({"Ben", "Eve"})}),
            "A payment is joined with several people. What must be equal for a profile to belong to a payment?",
        ),
        Example(
            ("INSERT INTO … u.suspicious_activities = 0 …",),
            _joined(flags={1: True, 2: False, 3: None, 4: True}),
            "The flag is the wrong way round: who may pay is shown as stopped.",
        ),
        Example(
            ("INSERT INTO … FALSE …",),
            _joined(flags=dict.fromkeys(_BANK, False)),
            "A stopped account is not shown as stopped.",
            at_rest=True,
        ),
        Example(
            ("INSERT INTO … u.suspicious_activities IS NOT NULL …",),
            _joined(flags={1: True, 2: True, 3: False, 4: True}),
            "Accounts that may pay are shown as stopped: that there is a flag is not yet that it is set.",
            at_rest=True,
        ),
        Example(
            ("INSERT INTO … COALESCE(u.suspicious_activities, 0) <> 0 …",),
            _joined(flags=_FLAGS | {3: False}),
            "Where there is no profile, nobody knows whether the account is stopped. That is NULL, and not FALSE.",
            at_rest=True,
        ),
        Example(
            (STATEMENT,),
            Joined(1, _BANK, _mid(_NAMES, _FLAGS), _ONE_EACH, own=False),
            "The job that runs is the course's, not yours: run the cell that submits yours.",
        ),
        Example((5,), _joined(), "The check cannot read this answer."),
        Example(
            (STATEMENT,), _joined(runs=2), "The job was submitted more than once, and each of them writes to the topic."
        ),
        Example(
            (STATEMENT,), _joined(runs=0), "No job of yours is named `transaction-join`: run the cell that submits it."
        ),
        Example(
            (STATEMENT,),
            Joined(1, _BANK, _mid({1: "Ada"}, {1: False}), {1: frozenset({"Ada"})}),
            "The topic has 1 of 4 payments so far.",
        ),
        Example(
            (STATEMENT,),
            _joined(_NAMES | {4: None}, _FLAGS | {4: None}),
            "Payments that are there, but still without the name of their user: 1.",
        ),
    ],
    patience_s=60,
)


# 03.4


@dataclass(frozen=True, slots=True)
class Resent:
    """A user's payments before the change, and the records that the change has brought; `all_sent`: whether each payment was sent anew."""

    payments: int
    records: int
    all_sent: bool = True


def observe_resent(world: World, _answer: object, user_id: int, before: int) -> Resent:
    """A user's records in `transaction_mid` after the first `before`, up to the one that ends the first change."""
    mine = [record.json for record in world.records("transaction_mid") if record.key == str(int(user_id))]
    return resent(mine, int(before))


def resent(records: Sequence[Mapping[str, Any] | None], before: int) -> Resent:
    """What the first change after `before` records has brought: it ends when each payment is there with a name again."""
    waiting = {record["transaction_id"] for record in records[:before] if record}
    payments = len(waiting)
    for count, record in enumerate(records[before:], 1):
        if record and record["user_first_name"]:
            waiting.discard(record["transaction_id"])
        if not waiting:
            return Resent(payments, count)
    return Resent(payments, len(records) - before, all_sent=False)


def judge_resent(observed: Resent, answer: int, *_where: object) -> Verdict:
    """The number of records that one changed profile costs."""
    expected = "the number of records, with and without a value, that the change of one profile brought"
    n = observed.payments
    if not observed.all_sent:
        return not_yet(f"{observed.records} records have come since the change so far.")
    if answer == observed.records:
        return right(
            "One row in MySQL, and for every recent payment the old answer is taken back and a new one sent: twice, by way of NULL."
        )
    for mistaken, sentence in (
        (0, "The profile is in the join's answer, so its answer changes."),
        (1, "One row of `user_profile` changed, but it is part of the row of each payment."),
        (n, "Each payment is sent again; but before that, the row as it was must be taken back."),
        (
            2 * n,
            "Taken back and sent again are two. But a left join first takes the old profile away, and for a moment there is none.",
        ),
        (3 * n, "The row with NULLs is taken back, too."),
    ):
        if answer == mistaken:
            return wrong(sentence, found=answer, expected=expected)
    return wrong("Another number of records came.", found=int(answer), expected=expected)


_FIVE = Resent(5, 20)

COST = Exercise(
    number="03.4",
    title="What does a new address cost?",
    task="predict how many records `transaction_mid` gets for one changed address of a user with five payments.",
    hints=(
        "`joins.changes()` above showed what an update of a profile does to one payment of the left join. Count those lines.",
        "For each payment: `-U` the old row, `+I` a row without a profile, `-D` that row, `+I` the new one. Each becomes a record.",
        "Four records for each payment, and five payments.",
    ),
    shape="a whole number",
    observe=observe_resent,
    judge=judge_resent,
    right=[Example((20, 1, 5), _FIVE), Example((12.0, 1, 3), Resent(3, 12))],
    wrong=[
        Example((0, 1, 5), _FIVE, "The profile is in the join's answer, so its answer changes."),
        Example((1, 1, 5), _FIVE, "One row of `user_profile` changed, but it is part of the row of each payment."),
        Example((5, 1, 5), _FIVE, "Each payment is sent again; but before that, the row as it was must be taken back."),
        Example(
            (10, 1, 5),
            _FIVE,
            "Taken back and sent again are two. But a left join first takes the old profile away, and for a moment there is none.",
        ),
        Example((15, 1, 5), _FIVE, "The row with NULLs is taken back, too."),
        Example((25, 1, 5), _FIVE, "Another number of records came."),
        Example((20, 1, 5), Resent(5, 8, all_sent=False), "8 records have come since the change so far."),
        Example(("many", 1, 5), _FIVE, "The check cannot read this answer."),
    ],
)


def outcome(world: World) -> None:
    """The join runs, and each payment of the bank is in `transaction_mid`."""
    payments = int(world.value("SELECT COUNT(*) AS n FROM transactions"))
    world.start_pipeline(JOB)
    wait_until(lambda: world.count("transaction_mid") >= payments, "the payments are joined")


LAB = Lab(number="03", name="sql-join", title="The SQL join", exercises=(FLAG, WHO_KNOWS, JOIN, COST), outcome=outcome)
