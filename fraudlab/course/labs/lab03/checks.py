"""Lab 03, The SQL join: a topic read as a table, which join loses what, and what a changed profile costs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fraudlab.course import live, walls
from fraudlab.course.exercise import (
    NOT_YOUR_JOB,
    AnswerFailed,
    Exercise,
    Lab,
    Mistake,
    Verdict,
    is_text,
    not_yet,
    right,
    to_do_first,
    word,
    wrong,
)
from fraudlab.course.live import LiveQuery
from fraudlab.course.workspace import Workspace, wait_until

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


def observe_flags(workspace: Workspace, definition: str) -> Flags:
    """Starts a query over the learner's table if it is not running yet, and reads its answer."""
    rows = workspace.rows("SELECT user_id, suspicious_activities AS flag FROM user_profile")
    truth = {int(row["user_id"]): int(row["flag"]) for row in rows}
    running = _running.get(definition)
    if running is None or not any(job.name == FLAG_QUERY for job in workspace.jobs()):
        try:
            running = live.stream(
                workspace, "SELECT user_id, suspicious_activities FROM user_profile", FLAG_QUERY, [definition]
            )
        except Exception as error:
            if "Column 'suspicious_activities' not found" in str(error):
                return Flags({}, truth, has_column=False)
            raise AnswerFailed(
                f"Flink does not accept this statement. {walls.of_flink(str(error), definition).line}"
            ) from error
        _running.clear()
        _running[definition] = running
    return Flags(dict(running.rows()), truth)


def judge_flags(observed: Flags, _definition: str) -> Verdict:
    """The table must say of each account what MySQL says: 0 or 1."""
    expected = "0 for an account that may pay, 1 for one that is stopped"
    stopped = {user for user, flag in observed.truth.items() if flag}
    if not observed.has_column:
        return wrong(
            Mistake("no_column", "The table has no column of this name. Use the name that the envelopes have."),
            found="no column `suspicious_activities`",
            expected="a column with the name as in MySQL",
        )
    if not stopped:
        return to_do_first("No account is stopped: run the cell above that stops one.")
    missing = observed.truth.keys() - observed.seen.keys()
    if missing:
        return not_yet(
            f"The table has {len(observed.truth) - len(missing):,} of {len(observed.truth):,} accounts so far."
        )
    values = {observed.seen[user] for user in stopped}
    if values == {False} and all(isinstance(value, bool) for value in values):
        return wrong(
            Mistake(
                "boolean_flag",
                "BOOLEAN expects `true` or `false` in the envelope. It has 1, which is neither, and so becomes false.",
            ),
            found="False for an account that is stopped",
            expected=expected,
        )
    if None in values:
        return wrong(
            Mistake("empty_flag", "The value of the flag does not fit this type, so the column is empty."),
            found=None,
            expected=expected,
        )
    if any(isinstance(value, str) for value in values):
        return wrong(
            Mistake(
                "text_flag",
                "The flag arrives as text, but you must compare it with a number later. Which type of number is small?",
            ),
            found=repr(values.pop()),
            expected="the numbers 0 and 1",
        )
    if all(int(observed.seen[user]) == flag for user, flag in observed.truth.items()):
        return right(
            "The flag is what the envelope says. For Debezium, MySQL's BOOLEAN is a small number, and for Flink it must be one, too."
        )
    return wrong(Mistake("other_flags", "The flags differ from MySQL's."), found="other values", expected=expected)


FLAG = Exercise(
    number="03.1",
    title="Fix the flag",
    task="complete the table of profiles, so that a stopped account is seen as stopped.",
    hints=(
        "Look at the flag in the envelope above, not at MySQL's name for the type. Is its value in quotes or not?",
        "It is a number, 0 or 1. SQL has types for whole numbers of several sizes.",
        "MySQL stores a BOOLEAN as a TINYINT(1). Flink's smallest whole number has the same name, without the (1).",
    ),
    shape="the statement, as text, with the missing column",
    observe=observe_flags,
    judge=judge_flags,
    patience_s=40,
    job=FLAG_QUERY,
    accepts=is_text,
)


# 03.2

JOINS_QUERY = "joins"
JOINS = {
    "inner": (
        "complete",
        Mistake(
            "inner_waits",
            "A regular join remembers both sides. The payment waited until the profile came, and had no result until then.",
        ),
    ),
    "left": (
        "complete",
        Mistake(
            "left_retracts",
            "The left join emitted the payment without a name at once, then retracted that row and emitted it with the name.",
        ),
    ),
    "temporal": (
        "missing",
        Mistake(
            "temporal_looks_back",
            "A temporal join looks up the profile as of the payment's time. There was none then, and that never changes.",
        ),
    ),
    "impatient": (
        "nameless",
        Mistake(
            "impatient_forgets",
            "This join had forgotten the payment after a second. The row without a name stays, although the profile is there now.",
        ),
    ),
}
"""What each join makes of a payment whose profile arrives two seconds later, and the mistake of expecting something else."""


def observe_joins(workspace: Workspace, _answer: object, joins: LiveQuery) -> dict[str, str]:
    """What each join says of the newest payment that is older than its user's profile; empty where there is no such payment."""
    late = workspace.rows(
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
        return wrong(
            Mistake("join_missing", "A join is missing."), found=", ".join(answer), expected=f"also {absent[0]!r}"
        )
    if not observed:
        return to_do_first("The profile has not come yet: run the cell that opens the account.")
    if observed["inner"] != "complete" or observed["left"] != "complete":
        return not_yet("The profile is in the bank, but not yet in the joins.")
    for kind, (_, why) in JOINS.items():
        said = word(answer[kind])
        if said not in words:
            return wrong(
                Mistake("unknown_word", "Answer with one of three words."),
                found=repr(answer[kind]),
                expected=", ".join(words),
            )
        if said != observed[kind]:
            return wrong(
                why, found=f"{answer[kind]!r} for {kind}", expected="what this join's answer has of the payment now"
            )
    return right(
        "Four joins, one payment: two wait indefinitely, one forgets, and one never knew. The pipeline waits, for a while."
    )


WHO_KNOWS = Exercise(
    number="03.2",
    title="Who knows the name?",
    task="predict what each of the four joins says of the payment, once the profile is there.",
    hints=(
        "Ask two things about each join: does it still remember the payment? And which profile does it look up, the current one or the one at that time?",
        "`inner` and `left` remember both sides. It doesn't matter to them when a profile arrives.",
        "`temporal` looks up the profile at the time of the payment; there was none. `impatient` emitted a row without a name, and then forgot the payment.",
    ),
    shape='a dictionary: the join to "complete", "nameless" or "missing"',
    observe=observe_joins,
    judge=judge_joins,
    patience_s=30,
    job=JOINS_QUERY,
)


# 03.3


@dataclass(frozen=True, slots=True)
class StoredPayment:
    """A payment in MySQL: its user, and the profile's first name and flag; None if there is no profile."""

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
    payments: Mapping[int, StoredPayment]
    newest: Mapping[int, Mapping[str, Any]]
    names: Mapping[int, frozenset[str]]
    own: bool = True


def observe_joined(workspace: Workspace, _statement: str) -> Joined:
    """Reads what the running join has written to `transaction_mid`, and asks MySQL for the same."""
    runs = [job for job in workspace.jobs() if job.name == JOB]
    if len(runs) != 1:
        return Joined(len(runs), {}, {}, {})
    rows = workspace.rows(
        "SELECT transaction_id, t.user_id, first_name, suspicious_activities AS flag"
        " FROM transactions AS t LEFT JOIN user_profile AS u USING (user_id)"
    )
    payments = {
        row["transaction_id"]: StoredPayment(
            row["user_id"], row["first_name"], None if row["flag"] is None else bool(row["flag"])
        )
        for row in rows
    }
    newest: dict[int, Mapping[str, Any]] = {}
    names: dict[int, set[str]] = {}
    for record in (one.json for one in workspace.records_of_run("transaction_mid", runs[0]) if one.value):
        newest[record["transaction_id"]] = record
        names.setdefault(record["transaction_id"], set()).update({record["user_first_name"]} - {None})
    return Joined(
        1, payments, newest, {one: frozenset(found) for one, found in names.items()}, workspace.is_own(runs[0])
    )


def judge_joined(observed: Joined, statement: str) -> Verdict:
    """One job of the learner's runs; each payment is there, with its own user's name and flag, and NULLs where there is no profile."""
    if "INSERT INTO" not in statement:
        raise TypeError("not the statement")
    if observed.runs == 0:
        return to_do_first(f"No job of yours is named `{JOB}`: run the cell that submits it.")
    if observed.runs > 1:
        return wrong(
            Mistake(
                "submitted_twice", "The job was submitted more than once, and each of the jobs writes to the topic."
            ),
            found=f"{observed.runs} jobs named `{JOB}`",
            expected=f'one: `lab.cancel("{JOB}")` ends them, then submit it again',
        )
    if not observed.own:
        return wrong(
            NOT_YOUR_JOB,
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
            Mistake(
                "joined_with_several",
                "A payment is joined with several people. What must be equal if a profile belongs to a payment?",
            ),
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
            Mistake(
                "wrong_columns",
                "The payments have names, but not those of their users: the join compares the wrong columns.",
            ),
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
                Mistake(
                    "inner_join",
                    "An inner join holds a payment back until it has a profile: indefinitely, if none comes. You would never hear of it.",
                ),
                found=f"{len(missing)} payments of users without a profile are not there",
                expected=_EACH_PAYMENT,
            )
        else:
            mistake = wrong(
                Mistake(
                    "payments_left_out",
                    "Payments are missing although their users have a profile: the statement leaves some out.",
                ),
                found=f"{done:,} of {len(observed.payments):,} payments, and no more come",
                expected=_EACH_PAYMENT,
            )
        return not_yet(sentence, at_rest=mistake)
    known = {one for one, payment in observed.payments.items() if payment.first_name is not None}
    late = {one for one in known if observed.newest[one]["user_first_name"] is None}
    if late:
        if late == known:
            mistake = wrong(
                Mistake(
                    "never_equal",
                    "Every payment is there, but none has a name: the columns that the join compares are never equal.",
                ),
                found="NULL in the place of every name",
                expected=_EACH_PAYMENT,
            )
        else:
            mistake = wrong(
                Mistake(
                    "sometimes_equal",
                    "Some payments never get the name of their user: the columns that the join compares are equal only for the others.",
                ),
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
            Mistake("flag_inverted", "The flag is inverted: accounts that may pay are shown as stopped."),
            found="true where MySQL has 0",
            expected="true where MySQL has 1",
        )
    different = [(seen, truth) for seen, truth in flags if seen != truth]
    if different:
        return not_yet("Some flags in the topic are not those of MySQL yet.", at_rest=_mistaken_flag(different))
    return right("Each payment passes at once. If its profile arrives later, the join sends it again.")


def _mistaken_flag(different: Sequence[tuple[bool | None, bool | None]]) -> Verdict:
    if any(truth and not seen for seen, truth in different):
        return wrong(
            Mistake("stop_not_shown", "A stopped account is not shown as stopped."),
            found="no `true` for it",
            expected="true where MySQL has 1",
        )
    if any(seen and truth is False for seen, truth in different):
        return wrong(
            Mistake(
                "any_flag", "Accounts that may pay are shown as stopped: having a flag does not mean that it is set."
            ),
            found="true where MySQL has 0",
            expected="true where MySQL has 1",
        )
    return wrong(
        Mistake(
            "false_for_unknown",
            "Without a profile, it is unknown whether the account is stopped. That is NULL, not FALSE.",
        ),
        found="a flag for somebody without a profile",
        expected="NULL where the bank has no profile",
    )


JOIN = Exercise(
    number="03.3",
    title="Write the join",
    task="complete the statement: from which tables, joined how, and when an account is stopped.",
    hints=(
        "A payment must pass even if its user has no profile yet. Which of the joins above let it pass at once?",
        "`FROM transactions AS t LEFT JOIN user_profile AS u ON …`: what do a payment and its profile have in common?",
        "The join is on `t.user_id = u.user_id`. The flag is a number: `u.suspicious_activities <> 0,` makes a BOOLEAN of it.",
    ),
    shape="the statement, as text, with the missing lines",
    observe=observe_joined,
    judge=judge_joined,
    patience_s=60,
    job=JOB,
    accepts=is_text,
)


# 03.4


@dataclass(frozen=True, slots=True)
class Resent:
    """A user's payments before the change, and the records that the change caused; `all_sent`: whether each payment was sent again."""

    payments: int
    records: int
    all_sent: bool = True


def observe_resent(workspace: Workspace, _answer: object, user_id: int, before: int) -> Resent:
    """A user's records in `transaction_mid` after the first `before`, up to the one that ends the first change."""
    mine = [record.json for record in workspace.records("transaction_mid") if record.key == str(int(user_id))]
    return resent(mine, int(before))


def resent(records: Sequence[Mapping[str, Any] | None], before: int) -> Resent:
    """What the first change after `before` records has caused: it ends when each payment has been sent with a name again."""
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
    expected = "the number of records, with and without a value, that the change of one profile caused"
    n = observed.payments
    if not observed.all_sent:
        return not_yet(f"{observed.records} records have come since the change so far.")
    if answer == observed.records:
        return right(
            "One row in MySQL, and for every recent payment the join retracts the old row and emits a new one: twice, by way of NULL."
        )
    for mistaken, mistake in (
        (0, Mistake("nothing_sent", "The join's result contains the profile, so the result changes.")),
        (1, Mistake("one_row", "One row of `user_profile` changed, but it is part of every payment's row.")),
        (
            n,
            Mistake(
                "nothing_retracted", "Each payment is sent again; but before that, the join must retract the old row."
            ),
        ),
        (
            2 * n,
            Mistake(
                "no_null_row",
                "One retraction and one new row make two. But a left join first removes the old profile, and for a moment there is none.",
            ),
        ),
        (3 * n, Mistake("null_row_kept", "The row with NULLs is retracted, too.")),
    ):
        if answer == mistaken:
            return wrong(mistake, found=answer, expected=expected)
    return wrong(Mistake("other_number", "Another number of records came."), found=int(answer), expected=expected)


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
)


def outcome(workspace: Workspace) -> None:
    """The join runs, and each payment of the bank is in `transaction_mid`."""
    payments = int(workspace.value("SELECT COUNT(*) AS n FROM transactions"))
    workspace.start_pipeline(JOB)
    wait_until(lambda: workspace.count("transaction_mid") >= payments, "the payments are joined")


LAB = Lab(number="03", name="sql-join", title="The SQL join", exercises=(FLAG, WHO_KNOWS, JOIN, COST), outcome=outcome)
