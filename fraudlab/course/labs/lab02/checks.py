"""Lab 02, CDC ingestion: from MySQL's binlog to two topics, and what a crash repeats."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from fraudlab.course.exercise import (
    NO_RETURN,
    NOT_YOUR_JOB,
    AnswerFailed,
    Exercise,
    Lab,
    Mistake,
    Verdict,
    call,
    is_text,
    not_yet,
    nothing_to_observe,
    right,
    to_do_first,
    wrong,
)
from fraudlab.course.workspace import Job, Workspace, wait_until

JOB = "cdc-ingestion"
TABLES = {"user_profile": "user_id", "transactions": "transaction_id"}
"""The captured tables, and the column that identifies a row."""


# 02.1

TOPICS = {"user_profile": "anna.user_profile", "transactions": "anna.transactions"}


def _message(table: str, op: str, before: Mapping[str, Any] | None, after: Mapping[str, Any] | None) -> str:
    import orjson

    source = {"table": table, "db": "anna_payment", "pos": 4711}
    return orjson.dumps({"before": before, "after": after, "source": source, "op": op}).decode()


_PAYMENT = {"transaction_id": 900, "user_id": 7, "amount": "12.00", "currency": "EUR"}
_PROFILE = {"user_id": 8, "email": "old@example.com"}
MESSAGES = {
    "an inserted payment": _message("transactions", "c", None, _PAYMENT),
    "a profile of the snapshot": _message("user_profile", "r", None, _PROFILE),
    "a changed profile": _message("user_profile", "u", _PROFILE, _PROFILE | {"email": "new@example.com"}),
    "a deleted profile": _message("user_profile", "d", _PROFILE, None),
}
_ROUTES = {
    "an inserted payment": ("anna.transactions", "7"),
    "a profile of the snapshot": ("anna.user_profile", "8"),
    "a changed profile": ("anna.user_profile", "8"),
    "a deleted profile": ("anna.user_profile", "8"),
}


def judge_routing(_observed: None, router: Callable[..., Any]) -> Verdict:
    """Each envelope must give one row: the topic of its table, the user's id as text, the envelope as it is."""
    from pyflink.common import Row

    routed = call(router, TOPICS)

    def flat_map(message: str) -> list[Any]:
        return list(routed.flat_map(message) or ())

    for name, message in MESSAGES.items():
        try:
            rows = call(flat_map, message)
        except AnswerFailed as failure:
            if "deleted" not in name:
                raise
            return wrong(
                Mistake(
                    "no_row_after", "A deleted row has no row after it: `after` is null, and the row is in `before`."
                ),
                found=str(failure.__cause__),
                expected="the row before, where there is none after",
            )
        if len(rows) != 1:
            return wrong(
                Mistake(
                    "not_one_row",
                    "A flat_map gives its rows with `yield`, and here it must give exactly one for each envelope.",
                ),
                found=f"{len(rows)} rows for {name}",
                expected="one row for each envelope",
            )
        verdict = _judge_route(name, message, rows[0], isinstance(rows[0], Row))
        if verdict:
            return verdict
    return right(
        "Inserted, changed or deleted: each envelope goes to its topic, and everything about one user has one key."
    )


def _judge_route(name: str, message: str, row: Any, is_row: bool) -> Verdict | None:
    topic, key, value = row
    wanted_topic, wanted_key = _ROUTES[name]
    if topic in TABLES:
        return wrong(
            Mistake(
                "table_for_topic", "That is the table's name. Its topic may have another name: `self._topics` has it."
            ),
            found=f"{topic!r} for {name}",
            expected="the topic that `self._topics` has for this table",
        )
    if topic != wanted_topic:
        return wrong(
            Mistake("wrong_topic", "The envelope goes to the wrong topic."),
            found=f"{topic!r} for {name}",
            expected="the topic of its own table",
        )
    expected = "the `user_id` of the row, as text"
    if key == 7 or key == 8:
        return wrong(
            Mistake("key_not_text", "The key is the right number, but a key is text here."),
            found=repr(key),
            expected=expected,
        )
    if key == "900":
        return wrong(
            Mistake(
                "keyed_by_payment",
                "That is the payment. With this key, one user's payments go to different partitions and lose their order.",
            ),
            found=f"{key!r} for {name}",
            expected=expected,
        )
    if key != wanted_key:
        return wrong(Mistake("wrong_key", "The key is not the user."), found=f"{key!r} for {name}", expected=expected)
    if value != message:
        return wrong(
            Mistake(
                "envelope_changed",
                "Pass the envelope on as it came. Readers of the topic also need the row before, the kind and the source.",
            ),
            found=f"{str(value)[:60]} …",
            expected="the text that `flat_map` was given",
        )
    if not is_row:
        return wrong(
            Mistake(
                "tuple_for_row",
                "The values are right, but Flink's table needs a `Row`: the running job would refuse a tuple.",
            ),
            found=f"a {type(row).__name__}",
            expected="Row(topic, key, envelope)",
        )
    return None


ROUTING = Exercise(
    number="02.1",
    title="Where does an envelope go?",
    task="write the part of `flat_map` that gives each envelope its topic and its key.",
    hints=(
        "The table's name is in `envelope[\"source\"]`. The user's id is in the row: but which row does a deletion have?",
        '`envelope["after"] or envelope["before"]` is always a row. Its `user_id`, as text, is the key.',
        "`yield Row(self._topics[…], str(row[…]), value)`: the topic of the table, the user, and the envelope as it came.",
    ),
    shape="the class `RouteByTable`, whose `flat_map` yields rows of topic, key and envelope",
    observe=nothing_to_observe,
    judge=judge_routing,
)


# 02.2


@dataclass(frozen=True, slots=True)
class Topic:
    """What the topic of a table contains.

    Attributes:
        rows: How many rows the table has in MySQL.
        arrived: How many different rows of it the topic has, by their ids.
        strangers: Tables other than its own that the topic has changes of.
        bad_keys: Records whose key is not the row's user.
        no_envelopes: Records that are not envelopes.

    Only what the running job has written counts: an earlier job may have made mistakes.
    """

    rows: int
    arrived: int
    strangers: tuple[str, ...] = ()
    bad_keys: int = 0
    no_envelopes: int = 0


@dataclass(frozen=True, slots=True)
class Ingestion:
    """How many runs of the job have not ended; what the topic of each table contains; whether a notebook started the job."""

    runs: int
    topics: Mapping[str, Topic]
    own: bool = True


def observe_ingestion(workspace: Workspace, *_answers: object) -> Ingestion:
    """Counts jobs in Flink, rows in MySQL and records in Kafka."""
    runs = [job for job in workspace.jobs() if job.name == JOB]
    if len(runs) != 1:
        return Ingestion(len(runs), {})
    return Ingestion(1, {table: _topic(workspace, table, runs[0]) for table in TABLES}, workspace.is_own(runs[0]))


def _topic(workspace: Workspace, table: str, job: Job) -> Topic:
    ids, strangers, bad_keys, no_envelopes = set(), set(), 0, 0
    for record in workspace.records_of_run(table, job):
        # One that goes on from a checkpoint has written rows before, but the mistakes may be those of the job before it.
        fresh = record.written_ms >= job.started_ms
        envelope = record.json
        if not isinstance(envelope, dict) or "op" not in envelope:
            no_envelopes += fresh
            continue
        row = envelope["after"] or envelope["before"]
        name = envelope["source"]["table"]
        if name == table:
            ids.add(row[TABLES[table]])
        elif fresh:
            strangers.add(name)
        bad_keys += fresh and record.key != str(row["user_id"])
    rows = int(workspace.value(f"SELECT COUNT(*) AS n FROM {table}"))  # noqa: S608
    return Topic(rows, len(ids), tuple(sorted(strangers)), bad_keys, no_envelopes)


def judge_ingestion(observed: Ingestion, submit: object) -> Verdict:
    """One job of the learner's runs, and each topic holds every row of its table, as envelopes, keyed by user."""
    if not callable(submit):
        raise TypeError("not a function")
    if observed.runs == 0:
        return to_do_first(
            f"No job of yours is named `{JOB}`: run the cell that calls `submit`. Does `submit` start the job, under this name?"
        )
    if observed.runs > 1:
        return wrong(
            Mistake("submitted_twice", "The job was submitted more than once, and each of the jobs reads the binlog."),
            found=f"{observed.runs} jobs named `{JOB}`",
            expected=f'one: `lab.cancel("{JOB}")` ends them, then submit it again',
        )
    if not observed.own:
        return wrong(
            NOT_YOUR_JOB,
            found=f"a job `{JOB}` that `lab.catch_up` has started",
            expected="one that your own cell has started",
        )
    for table, topic in observed.topics.items():
        if topic.no_envelopes:
            return wrong(
                Mistake("no_envelopes", "These are not envelopes: a record has lost its `op`."),
                found=f"{topic.no_envelopes} such records in `{table}`",
                expected="the envelope of each change, as the connector gave it",
            )
        if topic.strangers:
            return wrong(
                Mistake("topics_mixed_up", "The tables and their topics are mixed up."),
                found=f"changes of {' and '.join(topic.strangers)} in the topic `{table}`",
                expected="in each topic the changes of one table",
            )
        if topic.bad_keys:
            return wrong(
                Mistake(
                    "bad_keys", "A record's key is not its user, so one user's records are in different partitions."
                ),
                found=f"{topic.bad_keys} such records in `{table}`",
                expected="the user's id as the key",
            )
    counts = {
        table: f"{min(t.arrived, t.rows):,} of {t.rows:,} rows of `{table}`" for table, t in observed.topics.items()
    }
    if any(topic.arrived < topic.rows for topic in observed.topics.values()):
        sentence = f"The topics have {' and '.join(counts.values())} so far."
        empty = [table for table, topic in observed.topics.items() if not topic.arrived and topic.rows]
        if len(empty) == len(observed.topics):
            return not_yet(sentence)
        if empty:
            mistake = wrong(
                Mistake(
                    "table_forgotten", "One of the two tables does not arrive: the source was not told to read it."
                ),
                found=counts[empty[0]],
                expected="the rows of both tables, each in its own topic",
            )
        else:
            mistake = wrong(
                Mistake("rows_missing", "Rows are missing, and no more arrive."),
                found=" and ".join(counts.values()),
                expected="every row of both tables, each in its own topic",
            )
        return not_yet(sentence, at_rest=mistake)
    return right("The job is running: every row of the bank is in Kafka, and every change from now on will be, too.")


INGESTION = Exercise(
    number="02.2",
    title="Start the job",
    task="write the parts of `submit` that lead from the binlog to records with a topic and a key, and that start the job.",
    hints=(
        "Draw the chain first: the environment, a source of both tables, a stream from that source, `RouteByTable` on the stream. And a chain runs only when you execute it.",
        "`cluster.table_environment()` gives `environment, tables`. `mysql_cdc_source(endpoint, list(TABLES), server_ids(names))` is the source. The first look above shows how a stream comes from it.",
        "`changes.flat_map(RouteByTable(topics), RECORD)` gives `records`; `topics` is a dictionary: table to `getattr(names, table)`. The last line is `return environment.execute_async(names.job(JOB))`.",
    ),
    shape="the function `submit`",
    observe=observe_ingestion,
    judge=judge_ingestion,
    patience_s=45,
    job=JOB,
    accepts=callable,
)


# 02.3

STATEMENTS = {
    "ada": Mistake("one_change", "One changed row is one envelope: `u`, with the row before and after."),
    "ben": Mistake(
        "nothing_changed",
        "The address is the same as before. MySQL writes nothing into its binlog when no row changes, so there is nothing to capture.",
    ),
    "cem": Mistake(
        "replaced",
        "REPLACE deletes the old row and inserts a new one, in one transaction. The binlog has both: two envelopes.",
    ),
    "dan": Mistake(
        "statements_merged",
        "Each statement was a transaction of its own, so each is in the binlog, however quickly the next one came.",
    ),
}
"""The people in the exercise's statements, and the mistake of predicting other envelopes for them."""


def observe_changes(workspace: Workspace, _answer: object) -> dict[str, str]:
    """The kinds of envelopes of each person since their account was opened, in order; none where there is no such account."""
    return changes_of([record.json for record in workspace.records("user_profile")])


def changes_of(envelopes: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """The letters of each person of `STATEMENTS`, from envelopes in any order, since the newest account of this name was opened."""
    # A replaced row is two envelopes of one transaction. So `c` opens an account if there is no `d` in its transaction.
    changes = sorted(
        (
            one["source"]["file"],
            one["source"]["pos"],
            one["source"]["row"],
            one["op"],
            one["source"]["gtid"],
            str((one["after"] or one["before"])["first_name"]).lower(),
        )
        for one in envelopes
        if one["source"]["file"]
    )
    ended = {(transaction, name) for *_, op, transaction, name in changes if op == "d"}
    letters: dict[str, str] = {}
    for *_, op, transaction, name in dict.fromkeys(changes):
        opened = op == "c" and (transaction, name) not in ended
        if name in STATEMENTS:
            letters[name] = "" if opened else letters.get(name, "") + op
    return letters


def judge_changes(observed: Mapping[str, str], answer: Mapping[str, Any]) -> Verdict:
    """The prediction must match the topic."""
    if missing := [name for name in STATEMENTS if name not in answer]:
        return wrong(
            Mistake("name_missing", "A name is missing."), found=", ".join(answer), expected=f"also {missing[0]!r}"
        )
    if not set(STATEMENTS) <= set(observed) or len(observed["dan"]) < 3:
        return not_yet(
            "The envelopes of the statements are still on their way: run the cell with the statements first."
        )
    for name, why in STATEMENTS.items():
        predicted = "".join(letter for letter in "".join(answer[name]).lower() if letter.isalpha())
        if set(predicted) - set("crud"):
            return wrong(
                Mistake("unknown_kind", "An envelope's kind is one of four letters."),
                found=f"{answer[name]!r} for {name}",
                expected='"c", "r", "u", "d" or ""',
            )
        if predicted != observed[name]:
            return wrong(
                why,
                found=f"{answer[name]!r} for {name}",
                expected="the kinds of envelopes that the statements give, in order",
            )
    return right("The binlog has exactly the changes: not the statements, and not only the final state.")


CHANGES = Exercise(
    number="02.3",
    title="How many envelopes?",
    task="predict which envelopes the statements for Ada, Ben, Cem and Dan give.",
    hints=(
        "The binlog has what changed in the tables, not what the statements asked for. For which of the four does nothing change?",
        "One of the four changes the primary key. What does a reader need if it stores each row under its key?",
        "Ben's row stays the same: `\"\"`. Cem's disappears under one key and appears under another: first `d`, then `c`.",
    ),
    job=JOB,
    shape='a dictionary: name to the letters of `op`, for instance "ud", and "" for none',
    observe=observe_changes,
    judge=judge_changes,
)


# 02.4

Envelope = Mapping[str, Any]


def envelope_of(transaction_id: int, amount: str, op: str = "c") -> Envelope:
    """An envelope of a payment with all the fields of a real one; the payments of one user are on several days."""
    time = f"2026-01-{10 + transaction_id % 20}T12:00:00Z"
    row = {
        "transaction_id": transaction_id,
        "user_id": 17,
        "amount": amount,
        "currency": "EUR",
        "type": "online",
        "country": "DE",
        "merchant": "Books and more",
        "transaction_time": time,
        "created_at": time,
    }
    from_snapshot = op == "r"
    source = {
        "table": "transactions",
        "db": "anna_payment",
        "ts_ms": 0 if from_snapshot else 1_769_860_800_000,
        "file": "" if from_snapshot else "binlog.000002",
        "pos": 0 if from_snapshot else 1000 + transaction_id,
        "row": 0,
    }
    return {"op": op, "before": None, "after": row, "source": source, "ts_ms": 1_769_860_800_050}


_CASES: tuple[tuple[str, list[Envelope], Decimal, Mistake], ...] = (
    (
        "three payments, none twice",
        [envelope_of(901, "10.00"), envelope_of(902, "20.50"), envelope_of(1003, "5.25")],
        Decimal("35.75"),
        Mistake("wrong_sum", "The sum is wrong even if nothing comes twice."),
    ),
    (
        "two payments of the snapshot, and one made after it",
        [envelope_of(11, "10.00", op="r"), envelope_of(12, "20.50", op="r"), envelope_of(13, "5.25")],
        Decimal("35.75"),
        Mistake(
            "snapshot_left_out",
            "A payment that the snapshot has read comes as `r`: it was made before the job began, and counts like any other.",
        ),
    ),
    (
        "a payment that comes twice in a row",
        [envelope_of(1, "10.00"), envelope_of(1, "10.00"), envelope_of(2, "20.00")],
        Decimal("30.00"),
        Mistake("counted_twice", "A payment that was delivered twice is still one payment."),
    ),
    (
        "two payments of the same amount",
        [envelope_of(1, "10.00"), envelope_of(2, "10.00"), envelope_of(3, "4.00")],
        Decimal("24.00"),
        Mistake("counted_by_amount", "Two payments may have the same amount. Their ids make them two."),
    ),
    (
        "three payments, and all three again after a crash",
        [
            envelope_of(1, "10.00"),
            envelope_of(2, "20.00"),
            envelope_of(3, "30.00"),
            envelope_of(1, "10.00"),
            envelope_of(2, "20.00"),
            envelope_of(3, "30.00"),
        ],
        Decimal("60.00"),
        Mistake(
            "compared_with_last",
            "After a crash, Flink replays a whole stretch: a duplicate is seldom right behind the first.",
        ),
    ),
    (
        "a payment of the snapshot, and the same one from the binlog",
        [envelope_of(1, "10.00", op="r"), envelope_of(1, "10.00")],
        Decimal("10.00"),
        Mistake("counted_by_kind", "The same payment may come as `r` and as `c`, if it was made during the snapshot."),
    ),
    ("no payment at all", [], Decimal("0.00"), Mistake("no_sum", "Without a payment the sum is 0.")),
)


@dataclass(frozen=True, slots=True)
class Repeated:
    """The envelopes of a user who has duplicates in the topic, and what this user paid according to MySQL."""

    envelopes: Sequence[Envelope]
    truth: Decimal


def observe_repeated(workspace: Workspace, _answer: object) -> Repeated:
    """The user with the most duplicates in the topic."""
    envelopes = [record.json for record in workspace.records("transactions") if record.value]
    ids = Counter(one["after"]["transaction_id"] for one in envelopes if one["after"])
    repeated = Counter(
        one["after"]["user_id"] for one in envelopes if one["after"] and ids[one["after"]["transaction_id"]] > 1
    )
    if not repeated:
        return Repeated((), Decimal(0))
    ((user, _),) = repeated.most_common(1)
    total = workspace.value("SELECT SUM(amount) AS total FROM transactions WHERE user_id = %s", user)
    return Repeated([one for one in envelopes if one["after"] and one["after"]["user_id"] == user], Decimal(total))


def judge_total(observed: Repeated, total: Callable[[Sequence[Envelope]], Any]) -> Verdict:
    """The function must count each payment once, in the made-up cases and for the topic's own user."""
    cases = (
        *_CASES,
        (
            "the user of the crash",
            observed.envelopes,
            observed.truth,
            Mistake("other_sum", "For your topic, the sum differs from MySQL's."),
        ),
    )
    for name, envelopes, truth, mistake in cases:
        found = call(total, list(envelopes))
        if found is None:
            return wrong(NO_RETURN, found=None, expected="a sum")
        if isinstance(found, float):
            return wrong(
                Mistake(
                    "float_money", "A float is not money: it cannot hold a tenth exactly, and long sums lose cents."
                ),
                found=f"{found!r} for {name}",
                expected="a Decimal",
            )
        if Decimal(found) != truth:
            return wrong(mistake, found=f"{found} for {name}", expected="the sum of all payments, each counted once")
    if not observed.envelopes:
        return not_yet("Your topic has no payment twice yet: run the cells of the crash first.")
    return right("The topic has duplicates, and the sum still equals MySQL's: delivered at least once, counted once.")


ONCE = Exercise(
    number="02.4",
    title="Count each payment once",
    task="write the function that adds up a user's payments, each counted once, however often it was delivered.",
    hints=(
        "What stays the same each time a payment is delivered, and differs from every other payment?",
        "Remember the `transaction_id`s that you have seen, or use a dictionary with the amount under each id.",
        '`{row["transaction_id"]: Decimal(row["amount"]) for …}` has each payment once. Add up its values.',
    ),
    shape="a function of a list of envelopes that gives a Decimal",
    observe=observe_repeated,
    judge=judge_total,
)


# 02.5

COLUMN = "newsletter"
_KNOWN = (
    "user_id",
    "first_name",
    "last_name",
    "email",
    "phone_number",
    "home_country",
    "suspicious_activities",
    "created_at",
    "updated_at",
)


@dataclass(frozen=True, slots=True)
class Altered:
    """What the learner's statement made of `user_profile`, and what the topic says of it.

    Attributes:
        column: Type, `YES` where NULL is allowed, and default of the new column; None where there is none of this name.
        others: Further columns that the table did not have.
        rows: How many rows the table has.
        touched: Envelopes of rows that had no such column before, and have it after.
        with_column: Envelopes of rows that have it.
    """

    column: tuple[str, str, str | None] | None
    others: tuple[str, ...]
    rows: int
    touched: int
    with_column: int


def observe_altered(workspace: Workspace, *_answers: object) -> Altered:
    """Asks MySQL for the table's columns, and reads the topic."""
    columns = {
        str(row["name"]): (
            str(row["kind"]),
            str(row["can_be_null"]),
            None if row["given"] is None else str(row["given"]),
        )
        for row in workspace.rows(
            "SELECT column_name AS name, CAST(column_type AS CHAR) AS kind, is_nullable AS can_be_null,"
            " CAST(column_default AS CHAR) AS given FROM information_schema.columns"
            " WHERE table_schema = DATABASE() AND table_name = 'user_profile'"
        )
    }
    touched = with_column = 0
    for envelope in (record.json for record in workspace.records("user_profile")):
        if COLUMN in (envelope["after"] or {}):
            with_column += 1
            touched += COLUMN not in (envelope["before"] or {}) and envelope["op"] != "c"
    others = tuple(sorted(columns.keys() - {*_KNOWN, COLUMN}))
    rows = int(workspace.value("SELECT COUNT(*) AS n FROM user_profile"))
    return Altered(columns.get(COLUMN), others, rows, touched, with_column)


def judge_altered(observed: Altered, statement: str, brought: Any) -> Verdict:
    """The column is as it was asked for, and the number of envelopes is predicted."""
    if not isinstance(statement, str):
        raise TypeError("not a statement")
    expected = "the number of envelopes that the statement brings, before any row changes"
    if observed.column is None:
        if observed.others:
            return wrong(
                Mistake("other_column", "The table has a new column, but its name is another one."),
                found=f"`{observed.others[0]}`",
                expected=f"`{COLUMN}`",
            )
        return to_do_first(f"The table has no column `{COLUMN}`: run the cell above that runs your statement.")
    kind, can_be_null, given = observed.column
    if not kind.startswith("tinyint"):
        return wrong(
            Mistake("other_type", "The new column has another type. MySQL stores a BOOLEAN as TINYINT(1)."),
            found=kind,
            expected="BOOLEAN",
        )
    if can_be_null == "YES":
        return wrong(
            Mistake("null_allowed", "A customer could have neither TRUE nor FALSE: the column takes NULL."),
            found="NULL is allowed",
            expected="NOT NULL",
        )
    if given != "1":
        return wrong(
            Mistake("no_default", "The rows that are there already need a value, too. The default is what they get."),
            found=f"the default {given}",
            expected="TRUE",
        )
    if not observed.with_column:
        return not_yet("No envelope has the new column yet.")
    if int(brought) == observed.touched:
        return right(
            "The statement touched no row, so it brings no envelope. The next change of a row has the column, even in the row before."
        )
    if int(brought) > 1 and abs(int(brought) - observed.rows) <= observed.rows // 2:
        return wrong(
            Mistake(
                "each_row",
                "Each row has the column now, but none was written again: MySQL changed the table's definition, and the binlog has no event of a row.",
            ),
            found=int(brought),
            expected=expected,
        )
    if int(brought) == 1:
        return wrong(
            Mistake(
                "an_envelope_of_its_own",
                "The statement is in the binlog, and the connector reads it to know the new column. But an envelope is about a row.",
            ),
            found=1,
            expected=expected,
        )
    return wrong(Mistake("other_count", "Another number of envelopes came."), found=int(brought), expected=expected)


ALTERED = Exercise(
    number="02.5",
    title="The bank adds a column",
    task="write the ALTER TABLE that adds the column, and predict how many envelopes it brings.",
    hints=(
        "An envelope has a row before and a row after. Which row does the statement change?",
        "`ALTER TABLE user_profile ADD COLUMN …`: the name, the type, NOT NULL, and the DEFAULT.",
        "`ALTER TABLE user_profile ADD COLUMN newsletter BOOLEAN NOT NULL DEFAULT TRUE`. It changes no row.",
    ),
    shape="the statement as text, and a whole number",
    observe=observe_altered,
    judge=judge_altered,
    job=JOB,
    accepts=is_text,
)


def outcome(workspace: Workspace) -> None:
    """The ingestion is running, and everything in the bank is in the two topics."""
    workspace.start_pipeline(JOB)
    rows = {table: int(workspace.value(f"SELECT COUNT(*) AS n FROM {table}")) for table in TABLES}  # noqa: S608
    wait_until(
        lambda: all(workspace.count(table) >= count for table, count in rows.items()), "the snapshot is in the topics"
    )


LAB = Lab(
    number="02",
    name="cdc-ingestion",
    title="CDC ingestion",
    exercises=(ROUTING, INGESTION, CHANGES, ONCE, ALTERED),
    outcome=outcome,
)
