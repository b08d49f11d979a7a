"""Every example of every exercise gets the verdict that its author meant for it."""

import ast
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import chain, repeat
from pathlib import Path
from typing import Any, cast

import pytest

from fraudlab.course import cards, lab, labs
from fraudlab.course.answers import Example, answers_of
from fraudlab.course.exercise import (
    PLACEHOLDER,
    AnswerFailed,
    Exercise,
    Kind,
    Lab,
    Mistake,
    NotSolvedYet,
    Verdict,
    call,
    fingerprint,
    not_yet,
    right,
    wrong,
)
from fraudlab.course.lab import checking as policy
from fraudlab.course.lab import exercises
from fraudlab.course.labs import all_labs
from fraudlab.course.labs.lab00.checks import TASKS
from fraudlab.course.labs.lab02.checks import changes_of
from fraudlab.course.labs.lab03.checks import Resent, resent
from fraudlab.course.workspace import JobState, Workspace

LABS = Path(labs.__file__).parent
REPOSITORY = Path(__file__).parents[2]
EXERCISES = [exercise for one in all_labs() for exercise in one.exercises]
ANSWERS = {number: answers for one in all_labs() for number, answers in answers_of(one).items()}


def examples(kind: str) -> list[Any]:
    return [
        pytest.param(exercise, example, id=f"{exercise.number}-{kind}-{place}")
        for exercise in EXERCISES
        for place, example in enumerate(getattr(ANSWERS[exercise.number], kind), 1)
    ]


def named_mistakes(checks: Path) -> list[str]:
    """The names of the mistakes that a lab's checks define: the first arguments of `Mistake`, which are literals."""
    calls = [node for node in ast.walk(ast.parse(checks.read_text(encoding="utf-8"))) if isinstance(node, ast.Call)]
    mistakes = [call.args[0] for call in calls if isinstance(call.func, ast.Name) and call.func.id == "Mistake"]
    return [ast.literal_eval(name) for name in mistakes]


@pytest.mark.parametrize(("exercise", "example"), examples("right"))
def test_a_right_answer_is_accepted_however_it_is_written(exercise: Exercise, example: Example) -> None:
    verdict = exercise.verdict(ANSWERS[exercise.number].observed(example), example.answers)
    assert verdict.kind is Kind.RIGHT, verdict


@pytest.mark.parametrize(("exercise", "example"), examples("wrong"))
def test_a_wrong_answer_is_told_its_own_mistake(exercise: Exercise, example: Example) -> None:
    verdict = exercise.verdict(ANSWERS[exercise.number].observed(example), example.answers)
    if example.waits:
        assert verdict.kind is Kind.NOT_YET, verdict
        assert example.waits in verdict.sentence
        return
    if example.at_rest:
        assert verdict.at_rest is not None, verdict
        verdict = verdict.at_rest
    assert (verdict.kind, verdict.mistake) == (Kind.WRONG, example.mistake), verdict
    assert verdict.sentence


@pytest.mark.parametrize("lab", all_labs(), ids=lambda lab: lab.number)
def test_each_mistake_that_a_lab_knows_has_an_answer_that_makes_it(lab: Lab) -> None:
    made = {example.mistake for answers in answers_of(lab).values() for example in answers.wrong}
    assert set(named_mistakes(LABS / f"lab{lab.number}" / "checks.py")) - made == set()


@pytest.mark.parametrize("lab", all_labs(), ids=lambda lab: lab.number)
def test_a_name_stands_for_one_mistake_of_a_lab(lab: Lab) -> None:
    own = named_mistakes(LABS / f"lab{lab.number}" / "checks.py")
    names = named_mistakes(LABS.parent / "exercise.py") + own
    assert own
    assert len(names) == len(set(names)), [name for name in names if names.count(name) > 1]


CHECK = """
import json, sys
from fraudlab.course import lab
cards = [str(lab.check("01.3", lambda before, after: None)), str(lab.check("04.1", lambda times, delay: []))]
print(json.dumps({"cards": cards, "modules": [name for name in sys.modules if name.startswith("fraudlab.course")]}))
"""


def test_no_check_of_a_learner_loads_answers(tmp_path: Path) -> None:
    environment = os.environ | {"FRAUDLAB_WORK": str(tmp_path)}
    ended = subprocess.run(
        [sys.executable, "-c", CHECK], capture_output=True, text=True, env=environment, cwd=REPOSITORY, check=True
    )
    said = json.loads(ended.stdout)
    assert all("Not right yet" in card for card in said["cards"])
    assert {f"fraudlab.course.labs.lab{one.number}.checks" for one in all_labs()} <= set(said["modules"])
    assert [name for name in said["modules"] if name.endswith("answers")] == []


@pytest.mark.parametrize("exercise", EXERCISES, ids=lambda exercise: exercise.number)
@pytest.mark.parametrize("answer", [..., f"SELECT 1 -- {PLACEHOLDER}"], ids=["dots", "placeholder"])
def test_the_placeholder_is_no_answer(exercise: Exercise, answer: object) -> None:
    with pytest.raises(NotSolvedYet) as unsolved:
        exercise.verdict(None, (answer,))
    assert str(unsolved.value) == exercise.unsolved


@pytest.mark.parametrize("exercise", EXERCISES, ids=lambda exercise: exercise.number)
def test_what_a_right_answer_is_told_has_no_numbers_that_differ_from_run_to_run(exercise: Exercise) -> None:
    sentences = {
        exercise.verdict(ANSWERS[exercise.number].observed(example), example.answers).sentence
        for example in ANSWERS[exercise.number].right
    }
    assert len(sentences) == 1


def test_a_function_that_raises_becomes_a_sentence() -> None:
    def broken(value: int) -> int:
        return value // 0

    with pytest.raises(AnswerFailed, match=r"^Called with \(3,\), broken raised ZeroDivisionError: .*\.$"):
        call(broken, 3)


def test_a_function_that_is_still_to_be_written_says_so() -> None:
    def later(value: int) -> int:
        raise NotSolvedYet("Exercise 09.9 is still to do")

    with pytest.raises(NotSolvedYet, match="still to do"):
        call(later, 3)


# What a check makes of an answer that stays as it is


class Clock:
    """In the place of the module `time`."""

    now_s = 0.0

    def monotonic(self) -> float:
        return self.now_s

    def sleep(self, seconds: float) -> None:
        self.now_s += seconds


@pytest.fixture
def checking(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Exercise], list[str]]]:
    """Checks an exercise of a test, by a clock that only its sleeping moves; gives the card's lines."""
    monkeypatch.setenv("FRAUDLAB_WORK", str(tmp_path))
    monkeypatch.setattr(policy, "time", Clock())
    lab.workspace.cache_clear()

    def check(exercise: Exercise) -> list[str]:
        monkeypatch.setattr(exercises, "exercise_of", lambda number: exercise)
        return str(lab.check(exercise.number, "an answer")).splitlines()

    yield check
    lab.workspace.cache_clear()


def counting(observations: Iterator[int], at_rest: Verdict | None) -> Exercise:
    """An exercise that wants a count of 3."""

    def judge(count: int, _answer: object) -> Verdict:
        return right("All three.") if count == 3 else not_yet(f"{count} of 3 so far.", at_rest=at_rest)

    return Exercise("00.9", "Count", "count.", ("a", "b", "c"), "a number", lambda *_: next(observations), judge)


LEFT_OUT = wrong(Mistake("left_out", "One is left out."), found=2, expected="3")


def test_what_stops_changing_before_all_is_there_is_wrong(checking: Callable[[Exercise], list[str]]) -> None:
    said = checking(counting(chain([0, 1], repeat(2)), LEFT_OUT))
    assert said[:2] == ["✘ Not right yet · Exercise 00.9", "One is left out."]


def test_what_still_changes_is_waited_for(checking: Callable[[Exercise], list[str]]) -> None:
    looks = int(policy.AT_REST_S / policy.POLL_S) - 1
    slowly = chain.from_iterable(repeat(count, looks) for count in (0, 1, 2, 3))
    assert checking(counting(slowly, LEFT_OUT))[0] == "✔ Right · Exercise 00.9"


def test_what_never_comes_counts_as_a_try_so_that_the_solution_opens(
    checking: Callable[[Exercise], list[str]],
) -> None:
    said = [checking(counting(repeat(0), None)) for _ in range(3)]
    assert {lines[0] for lines in said} == {"… Not yet · Exercise 00.9"}
    assert "`lab.hint(" in said[1][-1]
    assert said[2][-1].endswith('`lab.solution("00.9")` is open now.')


@dataclass
class Jobs:
    """In the place of a workspace, of which a check asks here how its job is."""

    states: Iterator[JobState]
    asked: int = 0

    def job_state(self, name: str) -> JobState:
        self.asked += 1
        return next(self.states)


def waited_for(workspace: Jobs, monkeypatch: pytest.MonkeyPatch) -> tuple[Verdict, float]:
    """What a check says of an exercise whose job brings nothing, and after how many seconds."""
    clock = Clock()
    monkeypatch.setattr(policy, "time", clock)
    exercise = replace(counting(repeat(0), None), job="copy")
    return policy.verdict_of(exercise, cast(Workspace, workspace), ("an answer",)), clock.now_s


def test_a_job_that_does_not_exist_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Case course-13."""
    verdict, seconds = waited_for(Jobs(repeat(JobState(known=False))), monkeypatch)
    assert (verdict.kind, seconds) == (Kind.NOT_YET, 0)
    assert verdict.sentence == "No job of yours is named `copy`: run the cell that starts it."
    assert "in a moment" not in str(cards.of_verdict("00.9", verdict)), "nothing is on its way"


def test_a_job_that_keeps_failing_is_told_with_its_cause(monkeypatch: pytest.MonkeyPatch) -> None:
    """Case course-12."""
    fails = JobState(known=True, trouble="keeps failing: IllegalArgumentException: no such topic")
    verdict, seconds = waited_for(Jobs(chain([JobState(known=True)], repeat(fails))), monkeypatch)
    assert (verdict.mistake, seconds) == ("job_fails", policy.POLL_S)
    assert verdict.found == "`copy` keeps failing: IllegalArgumentException: no such topic"


def test_a_job_that_runs_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    verdict, seconds = waited_for(Jobs(repeat(JobState(known=True))), monkeypatch)
    assert verdict.sentence == "0 of 3 so far."
    assert seconds > 20


class Table:
    """In the place of a table of pandas: it cannot be hashed."""

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return "country payments\nDE 7"


@pytest.mark.parametrize(
    ("number", "answer"), [("00.3", Table()), ("00.3", object()), ("03.1", 7), ("05.2", "commit()")]
)
def test_an_answer_of_another_kind_is_told_what_is_wanted(number: str, answer: object) -> None:
    """Case course-11."""
    exercise = next(one for one in EXERCISES if one.number == number)
    verdict = policy.verdict_of(exercise, cast(Workspace, None), (answer,))  # MySQL and Flink are not asked
    assert (verdict.mistake, verdict.expected) == ("unreadable", exercise.shape)
    assert "\n" not in verdict.found


@pytest.mark.parametrize(
    ("number", "said"),
    [
        ("00.1", lambda: {task: f" {kind.title()} " for task, (kind, _) in TASKS.items()}),
        ("02.3", lambda: {"ada": "U", "ben": "", "cem": "d c", "dan": "u u d"}),
        ("03.2", lambda: {"inner": "Complete", "left": "complete ", "temporal": "MISSING", "impatient": "nameless"}),
    ],
)
def test_an_answer_that_means_the_right_thing_is_right(number: str, said: Callable[[], Any]) -> None:
    exercise = next(one for one in EXERCISES if one.number == number)
    answer = (said(), None) if number == "03.2" else (said(),)
    assert exercise.verdict(ANSWERS[number].observe(*answer), answer).kind is Kind.RIGHT


def test_the_same_wrong_answer_once_more_is_not_another_try(checking: Callable[[Exercise], list[str]]) -> None:
    wrong_exercise = counting(repeat(2), None)
    always = replace(wrong_exercise, judge=lambda _count, _answer: LEFT_OUT)
    for _ in range(5):
        assert "`lab.hint(" in checking(always)[-1]
    for found in ("1", "0"):
        other = replace(LEFT_OUT, found=found)
        said = checking(replace(always, judge=lambda _count, _answer, other=other: other))
    assert said[-1].endswith('`lab.solution("00.9")` is open now.')


def function(source: str) -> Any:
    namespace: dict[str, Any] = {}
    exec(source, namespace)  # noqa: S102 - below
    return namespace["answer"]


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("def answer(a): return a + 1", "def answer(a): return a + 1", True),
        ("def answer(a): return a + 1", "def answer(a): return a + 2", False),
        ("def answer(a): return a.x", "def answer(a): return a.y", False),
        ("class answer:\n def f(self): return 1", "class answer:\n def f(self): return 1", True),
        ("class answer:\n def f(self): return 1", "class answer:\n def f(self): return 2", False),
        ("answer = 5", "answer = 5", True),
        ("answer = 5", "answer = 6", False),
    ],
)
def test_a_fingerprint_is_that_of_what_an_answer_does(one: str, other: str, same: bool) -> None:
    prints = {fingerprint((function(source),), LEFT_OUT) for source in (one, other)}
    assert len(prints) == (1 if same else 2)


# What Labs 02 and 03 read from topics


def envelope(op: str, name: str, place: int, transaction: int | None = None) -> dict[str, Any]:
    row = {"first_name": name}
    source = {"file": "binlog.1", "pos": place, "row": 0, "gtid": f"server:{transaction or place}"}
    return {
        "op": op,
        "source": source,
        "before": None if op == "c" else row,
        "after": None if op == "d" else row,
    }


CEM = [envelope("c", "Cem", 1), envelope("c", "Cem", 5, transaction=4), envelope("d", "Cem", 4)]
DAN = [envelope("c", "Dan", 2), envelope("u", "Dan", 6), envelope("u", "Dan", 7), envelope("d", "Dan", 8)]


def test_a_replaced_row_is_no_new_account() -> None:
    assert changes_of(CEM + DAN) == {"cem": "dc", "dan": "uud"}


def test_only_the_newest_account_of_a_name_counts_also_where_the_one_before_was_closed() -> None:
    later = [
        one | {"source": one["source"] | {"pos": one["source"]["pos"] + 100, "gtid": f"later {one['source']['gtid']}"}}
        for one in CEM + DAN
    ]
    assert changes_of([*later, *CEM, *DAN]) == {"cem": "dc", "dan": "uud"}


def joined(transaction_id: int, name: str | None) -> dict[str, Any]:
    return {"transaction_id": transaction_id, "user_first_name": name}


def test_a_change_of_a_profile_ends_where_each_payment_has_a_name_again() -> None:
    change = [None, None, joined(1, None), joined(2, None), None, None, joined(1, "Eve"), joined(2, "Eve")]
    known = [joined(1, None), joined(2, "Eve"), joined(1, "Eve")]
    assert resent([*known, *change], 3) == Resent(2, 8)
    assert resent([*known, *change, *change], 3) == Resent(2, 8), "the next change is another statement's"
    assert resent([*known, *change[:-1]], 3) == Resent(2, 7, all_sent=False)
