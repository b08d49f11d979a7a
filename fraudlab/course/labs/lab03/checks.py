"""Lab 03, The SQL join: a topic read as a table, which join loses what, and what a changed profile costs."""

import re
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

from fraudlab.clients import topics
from fraudlab.course import jobs, live, walls
from fraudlab.course.consumers import committed_offsets
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
from fraudlab.course.workspace import OUTAGES, Workspace, wait_until

JOB = "transaction-join"

# Tables that learners write

_running: dict[str, LiveQuery] = {}
"""The query over a learner's table that runs now, by the statement."""
_OPTION = re.compile(r"'([^']+)' = '((?:[^']|'')*)'")
_WHOLE = ("TINYINT", "SMALLINT", "INT", "BIGINT", "DECIMAL")
_TEXT = ("STRING", "VARCHAR", "CHAR")


@dataclass(frozen=True, slots=True)
class Table:
    """A table as Flink has understood a learner's CREATE TABLE.

    Attributes:
        name: Its name.
        columns: Column to type, such as `DECIMAL(12, 2)`.
        key: The columns of the PRIMARY KEY.
        options: What is in WITH.
        temporary: Whether it is a TEMPORARY one.
    """

    name: str
    columns: Mapping[str, str]
    key: tuple[str, ...]
    options: Mapping[str, str]
    temporary: bool = False

    @property
    def format(self) -> str:
        """The format of the records' values."""
        return self.options.get("format") or self.options.get("value.format", "")

    @property
    def starts(self) -> str:
        """Where in the topic it begins to read; Flink's own choice where WITH does not say."""
        return self.options.get("scan.startup.mode", "group-offsets")


@lru_cache(maxsize=1)  # a check looks often
def table_of(workspace: Workspace, statement: str) -> Table:
    """Lets Flink define the learner's table, and reads how it was understood. Raises AnswerFailed."""
    _, tables = jobs.environments(workspace)
    try:
        tables.execute_sql(live.filled(workspace, statement, "check").rstrip("; \n"))
    except (KeyError, ValueError) as error:
        raise AnswerFailed(
            f"The statement has a `$` that stands for nothing here: {error}. There is `${{kafka_options}}`, and `${{…}}` with the name of a topic."
        ) from error
    except Exception as error:
        raise AnswerFailed(
            f"Flink does not accept this statement. {walls.of_flink(str(error), statement).line}"
        ) from error
    if not (names := tables.list_tables()):
        raise AnswerFailed("The statement defines no table: it must be a CREATE TABLE.")
    with tables.execute_sql(f"DESCRIBE `{names[0]}`").collect() as found:
        described = [tuple(row) for row in found]
    with tables.execute_sql(f"SHOW CREATE TABLE `{names[0]}`").collect() as found:
        (text,) = (str(row[0]) for row in found)
    return Table(
        name=str(names[0]),
        columns={str(row[0]): str(row[1]) for row in described},
        key=tuple(str(row[0]) for row in described if row[3]),
        options=dict(_OPTION.findall(text)),
        temporary=text.startswith("CREATE TEMPORARY"),
    )


def _rows_of(workspace: Workspace, query: str, job: str, definition: str) -> list[tuple[Any, ...]]:
    """The answer so far of a query over the learner's table; starts it if it is not running yet. Raises AnswerFailed."""
    try:
        running = _running.get(definition)
        if running is None or not any(one.name == job for one in workspace.jobs()):
            running = live.stream(workspace, query, job, [definition.rstrip("; \n")])
            _running.clear()
            _running[definition] = running
        return running.rows()
    except OUTAGES:
        raise
    except Exception as error:
        raise AnswerFailed(f"A query over this table fails. {walls.of_flink(str(error)).line}") from error


def _is(kind: str, *families: str) -> bool:
    return kind.split("(")[0].split()[0] in families


# 03.1

FLAG_QUERY = "exercise-03-1"
PROFILE = ("user_id", "first_name", "last_name", "email", "phone_number", "home_country", "suspicious_activities")
"""The columns of `user_profile` that the join reads."""


@dataclass(frozen=True, slots=True)
class Profiles:
    """The learner's table, the name of its topic, and the flag of each account as the table has it, and as MySQL has it."""

    table: Table
    topic: str
    seen: Mapping[int, Any]
    truth: Mapping[int, int]


def observe_profiles(workspace: Workspace, definition: str) -> Profiles:
    """Describes the learner's table; if that is in order, starts a query over it and reads its answer."""
    rows = workspace.rows("SELECT user_id, suspicious_activities AS flag FROM user_profile")
    truth = {int(row["user_id"]): int(row["flag"]) for row in rows}
    observed = Profiles(table_of(workspace, definition), workspace.topic("user_profile"), {}, truth)
    if _judge_definition(observed) is not None:
        return observed
    query = "SELECT user_id, suspicious_activities FROM user_profile"
    return replace(observed, seen=dict(_rows_of(workspace, query, FLAG_QUERY, definition)))


def judge_profiles(observed: Profiles, _definition: str) -> Verdict:
    """The table must be one over the changelog, and say of each account what MySQL says: 0 or 1."""
    return _judge_definition(observed) or _judge_flag(observed)


def _judge_definition(observed: Profiles) -> Verdict | None:
    """What can be seen in the statement alone."""
    table = observed.table
    if table.name != "user_profile":
        return wrong(
            Mistake("other_name", "The join reads a table `user_profile`; your statement defines another one."),
            found=f"`{table.name}`",
            expected="a table `user_profile`",
        )
    if table.temporary:
        return wrong(
            Mistake(
                "temporary_table", "The job needs this name for a temporary view, so the table must not be TEMPORARY."
            ),
            found="CREATE TEMPORARY TABLE",
            expected="CREATE TABLE",
        )
    if absent := [one for one in PROFILE if one not in table.columns]:
        return wrong(
            Mistake("no_column", "The table has no column of this name. Use the names that the envelopes have."),
            found=f"no column `{absent[0]}`",
            expected="seven columns, with the names as in MySQL",
        )
    if table.options.get("topic") != observed.topic:
        return wrong(
            Mistake("other_topic", "The table reads another topic, so it would never see a profile."),
            found=repr(table.options.get("topic")),
            expected="the topic of the profiles: `${user_profile}`",
        )
    if table.options.get("connector") != "kafka":
        return wrong(
            Mistake(
                "upsert_connector",
                "`upsert-kafka` reads each record as the newest row of its key. Here a record is an envelope, with the row inside.",
            ),
            found=repr(table.options.get("connector")),
            expected="the connector of the table `transactions` above",
        )
    if table.format == "json":
        return wrong(
            Mistake(
                "plain_json",
                "`json` takes the envelope for the row: a row with `before`, `after` and `op`, and none of your columns. All of them would be NULL.",
            ),
            found="'format' = 'json'",
            expected="the format that knows envelopes",
        )
    if table.format != "debezium-json":
        return wrong(
            Mistake("other_format", "Debezium wrote these envelopes, as JSON. This is another format."),
            found=repr(table.format),
            expected="the format of the table `transactions` above",
        )
    if table.key != ("user_id",):
        return wrong(
            Mistake(
                "no_key",
                "A changelog changes rows. The key says which row an envelope changes: without it, a profile that comes twice is two rows.",
            ),
            found=f"PRIMARY KEY ({', '.join(table.key)})" if table.key else "no PRIMARY KEY",
            expected="the column that identifies a profile, as PRIMARY KEY, NOT ENFORCED",
        )
    if table.starts != "earliest-offset":
        return wrong(
            Mistake(
                "not_from_the_start",
                "A table is the whole story of its rows. Read from another place, it lacks every profile that has not changed since.",
            ),
            found=f"it starts at {table.starts}",
            expected="the beginning of the topic",
        )
    return _judge_types(table)


def _judge_types(table: Table) -> Verdict | None:
    if not _is(table.columns["user_id"], "INT", "BIGINT"):
        return wrong(
            Mistake(
                "id_type",
                "The join compares `user_id` with that of a payment, which is an INT: a number of up to ten digits.",
            ),
            found=f"user_id {table.columns['user_id']}",
            expected="a type of whole numbers that is large enough",
        )
    for name in PROFILE[1:-1]:
        if not _is(table.columns[name], *_TEXT):
            return wrong(
                Mistake("text_type", "This column is text in MySQL and in the envelope."),
                found=f"{name} {table.columns[name]}",
                expected="a type of text",
            )
    return None


def _judge_flag(observed: Profiles) -> Verdict:
    """What only the rows tell."""
    expected = "0 for an account that may pay, 1 for one that is stopped"
    stopped = {user for user, flag in observed.truth.items() if flag}
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
            "The table has every profile, and the flag is what the envelope says. For Debezium, MySQL's BOOLEAN is a small number, and for Flink it must be one, too."
        )
    return wrong(Mistake("other_flags", "The flags differ from MySQL's."), found="other values", expected=expected)


TABLE = Exercise(
    number="03.1",
    title="Write the table of profiles",
    task="write a CREATE TABLE that reads the topic of profiles as a table, so that a stopped account is seen as stopped.",
    hints=(
        "Begin with a copy of the statement of `transactions`. Which column identifies a profile? And is the flag in quotes in the envelope?",
        "The topic is `${user_profile}`, the key `user_id`. Names, addresses and phone numbers are STRING, the id is INT. The flag is a number, 0 or 1.",
        "`suspicious_activities TINYINT, PRIMARY KEY (user_id) NOT ENFORCED`, and in WITH: the connector, the topic, `${kafka_options}`, `'scan.startup.mode' = 'earliest-offset'` and `'format' = 'debezium-json'`.",
    ),
    shape="a CREATE TABLE statement, as text",
    observe=observe_profiles,
    judge=judge_profiles,
    patience_s=60,
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
    task="predict what each of the four joins says about the payment, once the profile is there.",
    hints=(
        "Ask two things about each join: does it still remember the payment? And which profile does it look up, the current one or the one at that time?",
        "`inner` and `left` remember both sides. It doesn't matter to them when a profile arrives.",
        "`temporal` looks up the profile at the time of the payment; there was none. `impatient` emitted a row without a name, and then forgot the payment.",
    ),
    shape='a dictionary: the join to "complete", "nameless" or "missing"',
    observe=observe_joins,
    judge=judge_joins,
    patience_s=90,
    job=JOINS_QUERY,
)


# 03.3


@dataclass(frozen=True, slots=True)
class StoredPayment:
    """A payment in MySQL: its user, the profile's first name and flag (None if there is no profile), and the amount as text."""

    user_id: int
    first_name: str | None
    flag: bool | None
    amount: str = "9.50"


@dataclass(frozen=True, slots=True)
class Joined:
    """The join's runs, the payments of the bank, and for each payment what the run has written to `transaction_mid` of it.

    Attributes:
        runs: Jobs of this name that have not ended.
        payments: The bank's payments by id.
        newest: The newest record of each payment.
        names: Every first name that any of its records has; more than one where it was joined with several people.
        own: Whether a notebook started the job.
        keys: The key of the newest record of each payment.
    """

    runs: int
    payments: Mapping[int, StoredPayment]
    newest: Mapping[int, Mapping[str, Any]]
    names: Mapping[int, frozenset[str]]
    own: bool = True
    keys: Mapping[int, str | None] = field(default_factory=dict)


def observe_joined(workspace: Workspace, _statement: str) -> Joined:
    """Reads what the running join has written to `transaction_mid`, and asks MySQL for the same."""
    runs = [job for job in workspace.jobs() if job.name == JOB]
    if len(runs) != 1:
        return Joined(len(runs), {}, {}, {})
    rows = workspace.rows(
        "SELECT transaction_id, t.user_id, amount, first_name, suspicious_activities AS flag"
        " FROM transactions AS t LEFT JOIN user_profile AS u USING (user_id)"
    )
    payments = {
        row["transaction_id"]: StoredPayment(
            row["user_id"], row["first_name"], None if row["flag"] is None else bool(row["flag"]), str(row["amount"])
        )
        for row in rows
    }
    newest: dict[int, Mapping[str, Any]] = {}
    names: dict[int, set[str]] = {}
    keys: dict[int, str | None] = {}
    for one in workspace.records_of_run("transaction_mid", runs[0]):
        if not one.value:
            continue
        record = one.json
        newest[record["transaction_id"]], keys[record["transaction_id"]] = record, one.key
        names.setdefault(record["transaction_id"], set()).update({record["user_first_name"]} - {None})
    several = {one: frozenset(found) for one, found in names.items()}
    return Joined(1, payments, newest, several, workspace.is_own(runs[0]), keys)


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
    return _judge_fields(observed) or _judge_names(observed) or _judge_missing(observed) or _judge_flags(observed)


def _judge_fields(observed: Joined) -> Verdict | None:
    """The key and the amount of each record."""
    for one, payment in observed.payments.items():
        key = observed.keys.get(one, str(payment.user_id))
        if key != str(payment.user_id):
            return wrong(
                Mistake(
                    "other_key",
                    "The first column is the record's key. It is not the user, so one user's payments go to different partitions.",
                ),
                found=f"the key {key!r} for a payment of user {payment.user_id}",
                expected="the user of the payment, as text",
            )
        amount = observed.newest.get(one, {}).get("transaction_amount", payment.amount)
        if amount != payment.amount:
            return wrong(
                Mistake("other_amount", "The amount is not the one of the bank: to the cent, as text."),
                found=f"{amount!r} in the place of {payment.amount!r}",
                expected="the amount as it is, converted to text",
            )
    return None


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
                found="NULL instead of every name",
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
    task="complete the statement: the key, the flag, the amount, and from which tables the rows come, joined how.",
    hints=(
        "A payment must pass even if its user has no profile yet. Which of the joins above let it pass at once?",
        "`CAST(… AS STRING)` makes text of a number: of `t.user_id` for the key, and of `t.amount`. Then `FROM transactions AS t LEFT JOIN user_profile AS u ON …`: what do a payment and its profile have in common?",
        "The join is on `t.user_id = u.user_id`, then `WHERE t.transaction_id IS NOT NULL AND t.user_id IS NOT NULL`. The flag is a number: `u.suspicious_activities <> 0,` makes a BOOLEAN of it.",
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


# 03.5

EVENTS_QUERY = "exercise-03-5"
EVENTS = ("transaction_id", "user_id", "transaction_amount", "transaction_time")
"""The columns of `payment_events`."""


@dataclass(frozen=True, slots=True)
class Events:
    """The learner's table, the name of its topic, how many records with a value that has, and the rows of the table."""

    table: Table
    topic: str
    records: int
    rows: Sequence[tuple[Any, ...]]


def observe_events(workspace: Workspace, definition: str) -> Events:
    """Describes the learner's table; if that is in order, starts a query over it and reads its answer."""
    table, topic = table_of(workspace, definition), workspace.topic("transaction_mid")
    records = sum(one.value is not None for one in workspace.records("transaction_mid"))
    observed = Events(table, topic, records, ())
    if _judge_event_table(observed) is not None:
        return observed
    # PyFlink hands no TIMESTAMP_LTZ to Python ("couldn't introspect javabean"), so the time comes as text.
    query = f"SELECT {', '.join(EVENTS[:-1])}, CAST({EVENTS[-1]} AS STRING) FROM payment_events"  # noqa: S608
    return replace(observed, rows=_rows_of(workspace, query, EVENTS_QUERY, definition))


def judge_events(observed: Events, _definition: str) -> Verdict:
    """Each record with a value must be a row, with its time."""
    if problem := _judge_event_table(observed):
        return problem
    if not observed.records:
        return to_do_first("The topic has no record yet: submit the join of Exercise 03.3.")
    if len(observed.rows) < observed.records:
        return not_yet(
            f"The table has {len(observed.rows):,} of {observed.records:,} records so far.",
            at_rest=wrong(
                Mistake(
                    "records_skipped", "Records are missing, and no more come: the table skips what it cannot read."
                ),
                found=f"{len(observed.rows):,} rows",
                expected="a row for each record with a value",
            )
            if observed.rows
            else None,
        )
    if any(value is None for row in observed.rows for value in row):
        return wrong(
            Mistake(
                "empty_column", "A column is NULL where the record has a value: it does not fit the column's type."
            ),
            found=next(name for row in observed.rows for name, value in zip(EVENTS, row, strict=True) if value is None),
            expected="the value of each record",
        )
    return right(
        "Each record is a row of its own. The table never takes one back, not even what the join has retracted."
    )


def _judge_event_table(observed: Events) -> Verdict | None:
    """What can be seen in the statement alone."""
    table = observed.table
    if table.name != "payment_events":
        return wrong(
            Mistake("other_event_name", "The cells below read a table `payment_events`."),
            found=f"`{table.name}`",
            expected="a table `payment_events`",
        )
    if table.options.get("topic") != observed.topic:
        return wrong(
            Mistake("other_event_topic", "The table reads another topic than the one that the join writes."),
            found=repr(table.options.get("topic")),
            expected="the topic `${transaction_mid}`",
        )
    if table.options.get("connector") != "kafka":
        return wrong(
            Mistake(
                "upserted_events",
                "`upsert-kafka` keeps the newest record of each key. The key is the user, so one row would be left for each user.",
            ),
            found=repr(table.options.get("connector")),
            expected="the connector that reads each record as a row",
        )
    if table.format != "json":
        return wrong(
            Mistake(
                "no_envelope",
                "The join writes plain JSON objects. They are no envelopes: there is no `before`, no `after` and no `op` in them.",
            ),
            found=f"the format {table.format!r}",
            expected="the format of a plain JSON object",
        )
    if table.key:
        return wrong(
            Mistake(
                "key_of_events", "A table of events only grows: it replaces no row, so it can have no PRIMARY KEY."
            ),
            found=f"PRIMARY KEY ({', '.join(table.key)})",
            expected="none",
        )
    if "transaction_time" not in table.columns:
        return wrong(
            Mistake(
                "no_time",
                "Each event has a time, and this table leaves it out. The detector in Lab 04 needs it.",
            ),
            found="no column `transaction_time`",
            expected="the time of the payment",
        )
    if absent := [one for one in EVENTS if one not in table.columns]:
        return wrong(
            Mistake("no_event_column", "The table has no column of this name. Use the names that the JSON object has."),
            found=f"no column `{absent[0]}`",
            expected=", ".join(f"`{one}`" for one in EVENTS),
        )
    if table.starts != "earliest-offset":
        return wrong(
            Mistake("later_events", "The table lacks everything that was written before the query began."),
            found=f"it starts at {table.starts}",
            expected="the beginning of the topic",
        )
    return _judge_event_types(table)


def _judge_event_types(table: Table) -> Verdict | None:
    time, amount = table.columns["transaction_time"], table.columns["transaction_amount"]
    if not _is(time, "TIMESTAMP_LTZ"):
        return wrong(
            Mistake(
                "time_type",
                "The time ends with `Z`: it is a moment, the same in every time zone. LTZ in a type says that. Text has no hours, and TIMESTAMP alone no zone.",
            ),
            found=f"transaction_time {time}",
            expected="the type that `transactions` has for it",
        )
    option = "json.timestamp-format.standard"
    if "ISO-8601" not in (table.options.get(option), table.options.get(f"value.{option}")):
        return wrong(
            Mistake(
                "time_format",
                "Flink's JSON format expects `2026-01-31 12:00:00`. With `T` and `Z`, as here, it is another standard, and WITH must name it.",
            ),
            found="no option for the format of times",
            expected="the option that the table `transaction_mid` has for it, without `value.`",
        )
    if not _is(amount, *_TEXT) and not re.match(r"DECIMAL\(\d+, [2-9]", amount):
        return wrong(
            Mistake(
                "amount_type", "An amount is exact to the cent: text, or a DECIMAL with two digits after the point."
            ),
            found=f"transaction_amount {amount}",
            expected="a type that loses no cent",
        )
    if not _is(table.columns["transaction_id"], "BIGINT") or not _is(table.columns["user_id"], "INT", "BIGINT"):
        return wrong(
            Mistake("event_id_type", "Ids are whole numbers, and those of payments may have more than ten digits."),
            found=f"transaction_id {table.columns['transaction_id']}, user_id {table.columns['user_id']}",
            expected="the types that `transactions` has for them",
        )
    return None


READ_EVENTS = Exercise(
    number="03.5",
    title="A table of events",
    task="write a CREATE TABLE `payment_events` that reads the topic `transaction_mid` as what it is: one event after the other.",
    hints=(
        "What is in a record of `transaction_mid`: an envelope, or a plain JSON object? Does a later record change an earlier one?",
        "The connector is `kafka`, the format `json`, and there is no key. The columns have the names and types that `transaction_mid` has above.",
        "In WITH: `'connector' = 'kafka'`, `'topic' = '${transaction_mid}'`, `${kafka_options}`, `'scan.startup.mode' = 'earliest-offset'`, `'format' = 'json'` and `'json.timestamp-format.standard' = 'ISO-8601'`.",
    ),
    shape="a CREATE TABLE statement, as text",
    observe=observe_events,
    judge=judge_events,
    patience_s=60,
    job=EVENTS_QUERY,
    accepts=is_text,
)


# 03.6

QUERIES = {
    "read events": "SELECT transaction_id, transaction_amount FROM payment_events WHERE user_id > 100",
    "count events": "SELECT user_id, COUNT(*) AS payments FROM payment_events GROUP BY user_id",
    "count payments": "SELECT user_id, COUNT(*) AS payments FROM transactions GROUP BY user_id",
    "join": "SELECT t.transaction_id, u.email FROM transactions AS t LEFT JOIN user_profile AS u ON t.user_id = u.user_id",
}
"""Queries over the tables of this lab; the exercise's worked example is the second."""
_KINDS = re.compile(r"changelogMode=\[([A-Z,]+)\]")


def kinds_of(plan: str) -> str:
    """The kinds of changes that a query gives, by its plan: those of its first step from the top."""
    found = _KINDS.search(plan)
    return found[1] if found else ""


def observe_kinds(workspace: Workspace, _answer: object, *definitions: str) -> dict[str, str]:
    """What Flink's plan of each query says. Raises AnswerFailed."""
    from pyflink.table import ExplainDetail

    _, tables = jobs.environments(workspace)
    try:
        for definition in definitions:
            jobs.sql(workspace, tables, definition)
        return {
            name: kinds_of(tables.explain_sql(query, ExplainDetail.CHANGELOG_MODE)) for name, query in QUERIES.items()
        }
    except Exception as error:
        raise AnswerFailed(f"The tables are needed first. {walls.of_flink(str(error)).line}") from error


def judge_kinds(observed: Mapping[str, str], answer: Mapping[str, Any], *_definitions: str) -> Verdict:
    """The letters of each query."""
    why = {
        "read events": Mistake(
            "events_change", "The table only grows, and the query leaves rows out. No row is ever changed."
        ),
        "count payments": Mistake(
            "payments_deleted",
            "`transactions` is a changelog, and a changelog can delete. When a user's last payment is deleted, the count's row must go.",
        ),
        "join": Mistake(
            "join_retracts",
            "Both sides are changelogs. A changed profile makes the join take rows back and give them again, and a deleted payment takes its row with it.",
        ),
    }
    if absent := [name for name in why if name not in answer]:
        return wrong(
            Mistake("query_missing", "A query is missing."), found=", ".join(answer), expected=f"also {absent[0]!r}"
        )
    for name, mistake in why.items():
        said = {one for one in re.split(r"[^A-Z]+", str(answer[name]).upper()) if one}
        if said - {"I", "UB", "UA", "D"}:
            return wrong(
                Mistake("unknown_letters", "There are four kinds of changes."),
                found=repr(answer[name]),
                expected='some of "I", "UB", "UA" and "D"',
            )
        if said != set(observed[name].split(",")):
            return wrong(
                mistake, found=f"{answer[name]!r} for {name!r}", expected="the letters in the plan's first line"
            )
    return right(
        "Only the first can go into a table of events. What updates or deletes needs a sink that can take rows back."
    )


KINDS = Exercise(
    number="03.6",
    title="Which kinds of changes?",
    task="say which kinds of changes each of the three queries sends.",
    hints=(
        "Where does each query read: from a table that only grows, or from a changelog?",
        "A filter passes on the kinds that it gets. A count updates its row; if rows can be deleted, the count's row can be, too.",
        "The first sends only I. The second sends what the example sends, and D. The third sends all four.",
    ),
    shape='a dictionary: the query to its letters, for instance "I, UA"',
    observe=observe_kinds,
    judge=judge_kinds,
)


def outcome(workspace: Workspace) -> None:
    """The join runs, and each payment of the bank is in `transaction_mid` once, with its profile.

    A busy machine may read payments before their profiles. They come again with them, far behind later payments: too late for the windows of
    Lab 04. Then the join begins again, and gets the payments when it has read all profiles.
    """
    workspace.start_pipeline(JOB)
    if not _joined_once(workspace):
        workspace.cancel(JOB)
        payments = workspace.take("transactions")
        workspace.empty("transaction_mid")
        workspace.start_pipeline(JOB)
        wait_until(lambda: _has_read_profiles(workspace), "the join has read all profiles")
        workspace.put_back("transactions", payments)
        _joined_once(workspace)


def _has_read_profiles(workspace: Workspace) -> bool:
    """Whether a checkpoint of the join has all profiles that there are."""
    workspace.checkpoint(JOB)
    committed = committed_offsets(workspace, JOB, "user_profile")
    with closing(workspace.consumer()) as consumer:
        ends = topics.end_offsets(consumer, [workspace.topic("user_profile")])
    return all(committed.get(one.partition, 0) >= end for one, end in ends.items())


def _joined_once(workspace: Workspace) -> bool:
    """Waits until there is a record for each payment; whether each has its profile, so that none comes again."""
    payments = int(workspace.value("SELECT COUNT(*) AS n FROM transactions"))
    wait_until(lambda: workspace.count("transaction_mid") >= payments, "the payments are joined")
    joined = [record.json for record in workspace.records("transaction_mid")]
    return all(payment and payment["user_home_country"] for payment in joined)


LAB = Lab(
    number="03",
    name="sql-join",
    title="The SQL join",
    exercises=(TABLE, WHO_KNOWS, JOIN, COST, READ_EVENTS, KINDS),
    outcome=outcome,
)
