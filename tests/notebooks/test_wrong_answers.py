"""Real answers on the real stack: the check recognises a plausible mistake, and does not refuse what is right.

A lab has a learner of its own, and a kernel. In it run the cells of the lab's solution, from the exercise to its check, with one thing
changed in the exercise's cell. To add an answer, add it to `ANSWERS`; the answers of a lab are given in this order, in one workspace.
"""

import json
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nbformat
import pytest

from fraudlab.course import notebooks
from fraudlab.course.labs import lab_of
from fraudlab.course.workspace import Workspace
from fraudlab.settings import Settings
from tests.support.lab import drop
from tests.support.waiting import patient

pytestmark = pytest.mark.timeout(900)  # the first test waits for all learners

AT_ONCE = 2
"""Learners at work at the same time: the machine is small, and each may hold several task slots."""
PATIENCE_S = patient(60)
"""How long a check may go on saying "Not yet"."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a learner does in an exercise.

    Attributes:
        exercise: Its number.
        what: What they do, in a few words.
        mistake: The name of the mistake that the check must find; empty where the answer is right.
        changed: What stands in the solution's cell, and what the learner has there instead. Nothing: they solve it.
        before: Run before it: cells of the solution, by their ids, or code.
        instead: Code in the place of the cells from the exercise to its check; the last line is the check.
        where: The lab in whose world it is given, where that is another one: catching up takes longer than an answer.
    """

    exercise: str
    what: str
    mistake: str = ""
    changed: Mapping[str, str] = field(default_factory=dict)
    before: tuple[str, ...] = ()
    instead: str = ""
    where: str = ""

    @property
    def lab(self) -> str:
        return self.exercise[:2]

    @property
    def world(self) -> str:
        """The lab in whose workspace it is given."""
        return self.where or self.lab

    @property
    def id(self) -> str:
        return f"{self.exercise}-{self.what}".replace(" ", "-")


BEGIN: dict[str, tuple[str, ...]] = {
    "06": ("lab06-01", "lab.catch_up('05')"),
    "05": ("lab05-01", "lab.catch_up('05')"),
    "03": (
        "lab03-01",
        "lab.reset()",
        "lab.generate(payments=200, users=50, seed=7)",
        "lab.workspace().start_pipeline('cdc-ingestion')",
        "ada, stranger = lab.open_account(first_name='Ada'), 2_000_000",
        "lab.pay(ada, '30.00', 'EUR', 'DE')",
        "lab.execute('UPDATE user_profile SET suspicious_activities = TRUE WHERE user_id = %s', ada)",
        "lab03-17",
        "lab03-33",
    ),
    "02": (
        "lab02-01",
        "lab.reset()",
        "lab.generate(payments=200, users=50, seed=7)",
        "from pyflink.common import Types, WatermarkStrategy",
        "from fraudlab.pipeline.cdc import server_ids",
        "from fraudlab.pipeline.flink import mysql_cdc_source",
        "lab02-11",
    ),
    "04": ("lab04-01", "lab.catch_up('04')", "lab04-04", "lab04-14", "lab04-16", "lab04-23", "warm-up", "lab04-27"),
    "00": ("lab00-01", "lab.reset()", "lab.generate(payments=200, users=50, seed=1)"),
}
"""What a lab's learner runs first: cells of the solution, by their ids, or code. What takes longest comes first."""

CLOSED_HOUR = {"INTERVAL '59:59.999' MINUTE TO SECOND(3)": "INTERVAL '1' HOUR"}

ANSWERS = (
    Answer("00.3", "amounts added up", "sum_for_count", {"COUNT(*)": "SUM(amount)"}),
    Answer("00.3", "payments left out", "payments_left_out", {"GROUP BY": "WHERE type <> 'online' GROUP BY"}),
    Answer("02.2", "one table forgotten", "table_forgotten", {"list(TABLES)": '["transactions"]'}),
    Answer(
        "02.2",
        "topics mixed up",
        "topics_mixed_up",
        {"for table in TABLES}": "for table in TABLES}\n    topics = dict(zip(TABLES, reversed(topics.values())))"},
    ),
    Answer(  # Case course-12.
        "02.2",
        "a topic that does not exist",
        "job_fails",
        {
            "getattr(names, table)": 'getattr(names, table) + "_new"',
            "topics.values()": "[names.user_profile, names.transactions]",
        },
    ),
    Answer("02.2", "right after mistakes that are still in the topics"),
    Answer("02.3", "right after the statements were run twice", before=("lab02-25", "lab02-25")),
    Answer(
        "02.2",
        "right after the crash, from which the job goes on",
        before=("lab02-33", "lab02-35"),
        instead="lab.check('02.2', submit)",
    ),
    Answer(
        "02.5",
        "NULL allowed",
        "null_allowed",
        {" NOT NULL": ""},
        before=("ada = lab.open_account(first_name='Ada')",),
    ),
    Answer(
        "02.5",
        "an envelope for each row",
        "each_row",
        {"brought = 0": "brought = len(lab.query('SELECT user_id FROM user_profile'))"},
    ),
    Answer("02.5", "right", changed={"ADD COLUMN newsletter BOOLEAN": "ADD newsletter BOOL"}),
    Answer("02.2", "nothing but a job of catch_up", "not_your_job", instead="lab.check('02.2', print)", where="03"),
    Answer(
        "03.1",
        "the flag read as BOOLEAN",
        "boolean_flag",
        {"suspicious_activities TINYINT": "suspicious_activities BOOLEAN"},
    ),
    Answer("03.1", "the format of events", "plain_json", {"'debezium-json'": "'json'"}),
    Answer("03.1", "no key", "no_key", {",\n  PRIMARY KEY (user_id) NOT ENFORCED": ""}),
    Answer("03.1", "no place to start", "not_from_the_start", {"  'scan.startup.mode' = 'earliest-offset',\n": ""}),
    Answer(
        "03.1",
        "right in other words",
        changed={
            "CREATE TABLE user_profile (\n  user_id INT,": "create table `user_profile` (\n  created_at STRING, user_id BIGINT,",
            "email STRING": "email VARCHAR(254)",
            "TINYINT": "INTEGER",
            "'format' =": "'value.format' =",
        },
    ),
    Answer(
        "03.3", "an inner join", "inner_join", {"LEFT JOIN": "JOIN"}, before=("lab.cancel('exercise-03-1')", "lab03-12")
    ),
    Answer("03.3", "the payment as the key", "other_key", {"CAST(t.user_id AS": "CAST(t.transaction_id AS"}),
    Answer("03.3", "the wrong key", "wrong_columns", {"t.user_id = u.user_id": "t.transaction_id = u.user_id"}),
    Answer("03.3", "any flag", "any_flag", {"<> 0": "IS NOT NULL"}),
    Answer("03.3", "right after mistakes that are still in the topic"),
    Answer("03.4", "right after the next statement", before=("lab03-41", "lab03-49")),
    Answer("03.5", "read as envelopes", "no_envelope", {"'json',": "'debezium-json',"}),
    Answer(
        "03.5", "times in another format", "time_format", {",\n  'json.timestamp-format.standard' = 'ISO-8601'": ""}
    ),
    Answer("03.5", "text for the time", "time_type", {"TIMESTAMP_LTZ(3)": "STRING"}),
    Answer(
        "03.5", "right with an exact number", changed={"transaction_amount STRING": "transaction_amount DECIMAL(12, 2)"}
    ),
    Answer("03.6", "a count that is never deleted", "payments_deleted", {"I, UA, D": "I, UA"}),
    Answer(
        "04.2",
        "tumbling windows",
        "tumbling",
        {"SlidingEventTimeWindows.of(Time.hours(1), Time.minutes(5))": "TumblingEventTimeWindows.of(Time.hours(1))"},
    ),
    Answer("04.2", "a slide of ten minutes", "other_slide", {"Time.minutes(5)": "Time.minutes(10)"}),
    Answer("04.2", "one key for all", "not_by_user", {'lambda payment: payment["user_id"]': "lambda payment: 7"}),
    Answer("04.2", "right after mistakes"),
    Answer("04.6", "no idle timeout", "stalled", {"  'scan.watermark.idle-timeout' = '2 s',\n": ""}),
    Answer("04.6", "a delay of a minute", "other_delay", {"INTERVAL '5' MINUTE\n": "INTERVAL '1' MINUTE\n"}),
    Answer("04.6", "right after mistakes"),
    Answer("04.5", "one key for all", "others_raised", {'payment["user_id"]': "7"}),
    Answer(
        "04.5", "one key for each country", "keys_apart", {'"user_id"]': '"country"]', "Types.INT()": "Types.STRING()"}
    ),
    Answer("04.5", "right after mistakes"),
    Answer(
        "07.3",
        "another rule",
        "other_customers",
        {"Rule()": "Rule(threshold_eur_cents=300_000)"},
        before=("lab07-limit", "lab07-ex2"),
        where="05",
    ),
    Answer(
        "07.3",
        "no rule to begin with",
        "job_fails",
        {"ChangeableDetector(Rule())": "ChangeableDetector(None)"},
        where="05",
    ),
    Answer("07.3", "right", where="05"),
    Answer("07.4", "closed hour", "closed_hour", CLOSED_HOUR, before=("changeable.stop()", "lab07-edgar"), where="05"),
    Answer("07.4", "not by user", "not_partitioned", {"  PARTITION BY user_id\n": ""}, where="05"),
    Answer(
        "07.4",
        "a view of suspicious hours only",
        "not_each_payment",
        {"FROM payments": "FROM (SELECT * FROM payments WHERE eur_cents > 999)"},
        where="05",
    ),
    Answer(
        "07.5",
        "more than the threshold",
        "more_than_threshold_pair",
        {">= 100000": "> 100000"},
        before=("lab07-frida",),
        where="05",
    ),
    Answer("07.5", "the second payment begins no pair", "pairs_skipped", {"TO NEXT ROW": "PAST LAST ROW"}, where="05"),
    Answer(
        "06.1",
        "nothing was killed",
        "not_killed",
        instead="lab.check('06.1', 1.0, datetime.now(UTC))",
    ),
    Answer(
        "06.3",
        "an alarm without the late one",
        "alarm_of_another",
        {
            '"600.00", "EUR", "FR", minutes_ago=20)': '"5.00", "EUR", "DE", minutes_ago=20)\nlab.pay(latecomer, "600.00", "EUR", "FR")'
        },
    ),
    Answer("06.4", "the source", "waits_for_room", {'bottleneck = "ask the office"': 'bottleneck = "transaction_mid"'}),
    Answer("06.4", "the last one", "waits_for_input", {'"ask the office"\n### END': '"count the letters"\n### END'}),
    Answer(
        "06.4",
        "right with the last two in one task",
        changed={
            '.name("ask the office").disable_chaining()': '.name("ask the office")',
            '.name("count the letters").disable_chaining()': '.name("count")',
        },
    ),
    Answer(
        "06.5", "not in transactions", "no_transactions", {"'exactly-once'": "'at-least-once'"}, before=("lab06-fast",)
    ),
    Answer(
        "06.5", "into the other topic", "elsewhere", {"'${learner}.safe'": "'${learner}.fast'"}, before=("lab06-fast",)
    ),
    Answer(
        "06.5",
        "not every record",
        "not_all",
        {"FROM captured": "FROM captured WHERE MOD(CHAR_LENGTH(envelope), 2) = 0"},
        before=("lab06-fast",),
    ),
    Answer(
        "06.6",
        "without the savepoint",
        "from_nothing",
        {"lab.cluster(execution__state_recovery__path=savepoint)": "lab.cluster()"},
    ),
    Answer("06.6", "the old rule", "old_rule", {"replace(rule, threshold_eur_cents=60_000)": "rule"}),
    Answer("06.6", "the threshold in EUR", "too_low", {"60_000": "600"}),
    Answer("06.6", "not wider", "not_rescaled", {"parallelism=2": "parallelism=1"}),
    Answer("06.6", "right after mistakes, from the last savepoint"),
    Answer(
        "05.2",
        "committed before the work",
        "committed_before",
        {
            "for records in consumer.poll(timeout_ms=500).values()": (
                "batch = consumer.poll(timeout_ms=500)\n    consumer.commit()\n    for records in batch.values()"
            ),
            "handle(record)\n    consumer.commit()": "handle(record)",
        },
    ),
    Answer(
        "05.2",
        "committed after each partition",
        "committed_each_partition",
        {"\n    consumer.commit()": "\n        consumer.commit()"},
    ),
    Answer(
        "05.4",
        "counted by what it changed",
        changed={
            'WHERE user_id = %s AND NOT suspicious_activities",': 'WHERE user_id = %s",'
        },  # rowcount: changed, not found
    ),
    Answer("05.4", "never committed", "not_stopped", {"self._connection.commit()": "pass"}),
    Answer(
        "05.4", "stopped by an old activity", "stopped_by_replay", {"if newly_flagged and reinstated_since": "if False"}
    ),
    Answer(
        "05.4",
        "everybody stopped",
        "everybody_stopped",
        {
            'WHERE user_id = %s AND NOT suspicious_activities",\n                (user_id,),': 'WHERE NOT suspicious_activities",'
        },
    ),
)


def sources(answer: Answer) -> list[str]:
    """What is run for an answer, the check last."""
    if answer.instead:
        return [*named(answer.lab, answer.before), answer.instead]
    cells = list(notebooks.code_cells(solution(answer.lab)))
    begin = next(at for at, cell in enumerate(cells) if notebooks.exercise_number(cell) == answer.exercise)
    end = next(at for at, cell in enumerate(cells) if answer.exercise in notebooks.checked_numbers(cell))
    exercise, *rest = (cell.source for cell in cells[begin : end + 1])
    for old, new in answer.changed.items():
        assert old in exercise, f"the solution of {answer.exercise} has no {old!r}"
        exercise = exercise.replace(old, new)
    return [*named(answer.lab, answer.before), exercise, *rest]


def named(lab: str, wanted: tuple[str, ...]) -> list[str]:
    """The cells of a lab's solution that have these ids; what is no id is code."""
    known = {cell.id: cell.source for cell in solution(lab).cells}
    return [known.get(one, one) for one in wanted]


def solution(lab: str) -> notebooks.Notebook:
    """A lab's solution."""
    return notebooks.read(notebooks.SOLUTIONS / lab_of(lab).file)


ASKED = """
import json, sys, time
asked, until = In[max(Out)], time.monotonic() + {patience_s}
card = Out[max(Out)]
while "Not yet" in str(card) and time.monotonic() < until:
    card = get_ipython().run_cell(asked).result
print("\\n" + json.dumps([str(card), card.mistake, [name for name in sys.modules if name.endswith("answers")]]))
"""
"""Runs after each check. Where a card says "Not yet", it runs the check again, as the learner is told to."""


@dataclass(frozen=True, slots=True)
class Said:
    """What a check said: its card, the name of the mistake, and the modules with answers that its kernel had loaded."""

    card: str
    mistake: str
    loaded: list[str]


def give(settings: Settings, lab: str, folder: Path) -> dict[str, Said]:
    """Gives the answers of a lab, one after the other; what the checks say, by the answers' ids."""
    own = settings.model_copy(update={"learner": f"wrong{lab}", "work": folder})
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in named(lab, BEGIN[lab])])
    asked: dict[str, Any] = {}
    for answer in (one for one in ANSWERS if one.world == lab):
        notebook.cells += [
            nbformat.v4.new_code_cell(source) for source in (*sources(answer), ASKED.format(patience_s=PATIENCE_S))
        ]
        asked[answer.id] = notebook.cells[-1]
    try:
        notebooks.execute(notebook, folder, own.environment(), cell_s=2 * PATIENCE_S)
    finally:
        Workspace(own).reset()  # the jobs would hold slots that others need
        drop(own)
    return {
        one: Said(*json.loads("".join(output.get("text", "") for output in asked[one].outputs).splitlines()[-1]))
        for one in asked
    }


@pytest.fixture(scope="module")
def said(
    request: pytest.FixtureRequest, settings: Settings, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Said]]:
    """What the check says to each answer, by the answer's id. Only the labs of the tests that are to run are done."""
    wanted = {item.callspec.params["answer"].world for item in request.session.items if item.path == request.path}  # type: ignore[attr-defined]
    labs = [lab for lab in BEGIN if lab in wanted]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        learners = [pool.submit(give, settings, lab, tmp_path_factory.mktemp(f"wrong{lab}")) for lab in labs]
        yield {one: check for learner in learners for one, check in learner.result().items()}


@pytest.mark.parametrize("answer", ANSWERS, ids=lambda answer: answer.id)
def test_an_answer_is_told_its_own_mistake(answer: Answer, said: dict[str, Said]) -> None:
    check = said[answer.id]
    assert check.mistake == answer.mistake, check.card
    assert f"{'Not right yet' if answer.mistake else 'Right'} · Exercise {answer.exercise}" in check.card
    assert check.loaded == [], "a learner's check has loaded answers"
