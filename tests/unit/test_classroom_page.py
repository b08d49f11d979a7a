"""What the instructor's page says of a class, and what instructor and learner tell each other."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest

from fraudlab.classroom import watching
from fraudlab.classroom.caretaking import beyond_their_share, idle_with_jobs, too_large
from fraudlab.classroom.page import matrix
from fraudlab.classroom.reading import learners_jobs
from fraudlab.classroom.watching import COLUMNS, Hard, Learner, hardest, lab_times, queue, table
from fraudlab.clients.flink_rest import Job
from fraudlab.course import cards, learner_files
from fraudlab.course import messages as course_messages
from fraudlab.course.cards import Card
from fraudlab.course.labs import all_labs, lab_of
from fraudlab.course.messages import KEPT, LONGEST, Announcement, Hand, Messages, ShownAfterCells
from fraudlab.course.progress import Progress, Record, latest
from fraudlab.course.workspace import SLOTS_PER_LEARNER
from fraudlab.settings import Settings

NOW = datetime(2026, 3, 1, 10, 0, tzinfo=UTC)


def at(minutes: float) -> str:
    """So many minutes before NOW."""
    return (NOW - timedelta(minutes=minutes)).isoformat()


def learner(name: str, **records: Record) -> Learner:
    """A learner with records: `lab01` for a lab, `e01_2` for an exercise."""
    numbers = {key.removeprefix("lab").removeprefix("e").replace("_", "."): one for key, one in records.items()}
    return Learner(name, records=numbers)


def unsolved(begun: float, tries: int = 1, hints: int = 0) -> Record:
    return Record(tries=tries, hints=hints, begun=at(begun), touched=at(begun))


def solved(begun: float, after: float) -> Record:
    return Record(tries=1, solved=True, begun=at(begun), touched=at(begun - after), solved_at=at(begun - after))


@pytest.mark.parametrize(
    ("record", "is_stuck"),
    [
        (unsolved(1), False),
        (unsolved(1, tries=2), True),
        (unsolved(6), True),
        (unsolved(6, tries=0, hints=1), True),
        (solved(20, after=1), False),
    ],
)
def test_a_learner_is_stuck_after_two_tries_or_five_minutes(record: Record, is_stuck: bool) -> None:
    stuck = learner("ada", e01_2=record).stuck(NOW)
    assert (stuck is not None) is is_stuck
    if stuck:
        assert (stuck.exercise, stuck.since.isoformat()) == ("01.2", record.begun)


def test_a_learner_who_went_on_is_not_stuck_where_they_were() -> None:
    assert learner("ada", e01_1=unsolved(30, tries=3), e01_2=solved(10, after=2)).stuck(NOW) is None
    assert learner("ada", e01_1=unsolved(30, tries=3), lab02=Record(begun=at(2), touched=at(2))).stuck(NOW) is None
    assert Learner("ada").stuck(NOW) is None


def test_the_exercise_in_which_most_are_stuck_comes_first() -> None:
    found = hardest(
        [
            learner("ada", e01_2=unsolved(9)),
            learner("ben", e02_1=unsolved(9)),
            learner("eve", e02_1=unsolved(7)),
            learner("zoe", e02_1=unsolved(1)),
        ],
        NOW,
    )
    assert found == [Hard("02.1", ["ben", "eve"]), Hard("01.2", ["ada"])]


def test_who_has_waited_longest_is_helped_first() -> None:
    hands = [
        Learner("ada", hand=Hand("01.1", since=at(1))),
        Learner("ben"),
        Learner("eve", hand=Hand("00", since=at(5))),
    ]
    assert [name for name, _ in queue(hands)] == ["eve", "ada"]


def test_a_lab_takes_from_its_first_cell_to_its_last_solved_exercise_without_breaks() -> None:
    lab = lab_of("01")
    numbers = [one.number for one in lab.exercises]
    records = {lab.number: Record(begun=at(200), touched=at(1))}
    begins = [190 - 10 * place for place in range(len(numbers) - 1)]
    records |= {number: solved(begun, after=4) for number, begun in zip(numbers, begins, strict=False)}
    working = 200 - begins[-1] + 4
    ada = Learner("ada", records=records | {numbers[-1]: solved(60, after=5)})  # after lunch
    assert ada.minutes(lab) == pytest.approx(working + 5)
    assert Learner("ben", records=records).minutes(lab) is None, "one exercise is left"

    stated = {one.number: 30 for one in all_labs()}
    times = {one.lab: one for one in lab_times([ada, Learner("ben", records=records)], all_labs(), stated)}
    assert (times["01"].median, times["01"].finished) == (ada.minutes(lab), 1)
    assert (times["02"].median, times["02"].finished) == (None, 0)

    rows = [dict(zip(COLUMNS, row, strict=True)) for row in table([ada], all_labs())]
    assert [row["exercise"] for row in rows] == numbers
    assert [row["minutes_of_lab"] for row in rows] == [""] * (len(numbers) - 1) + [f"{working + 5:.1f}"]


def test_the_matrix_shows_what_a_learner_says_as_text() -> None:
    row = learner("ada", e01_2=unsolved(7, tries=3), e01_1=solved(30, after=3))
    html = matrix.html([row], all_labs(), NOW)
    assert 'class="square solved"' in html
    assert 'class="square stuck"' in html
    assert "stuck, 3 tries" in html
    assert "7 min" in html
    assert "&lt;b&gt;" in matrix.html([Learner("<b>")], all_labs(), NOW)


def test_jobs_belong_to_learners_by_their_names() -> None:
    jobs = [
        Job("1", "ada.my-detector", "RUNNING", 0, 1, 1),
        Job("2", "ada.old", "CANCELED", 0, 0, 1),
        Job("3", "fraud-detector", "RUNNING", 0, 1, 1),
        Job("4", "adam.x", "RUNNING", 0, 1, 1),
    ]
    found = learners_jobs(jobs, ["ada"], lambda _: 2)
    assert [(one.id, one.learner, one.name, one.slots) for one in found] == [("1", "ada", "my-detector", 2)]


def test_the_jobs_of_a_learner_who_left_are_ended_and_of_no_other() -> None:
    def job(learner: str, started: float) -> watching.Job:
        return watching.Job("id", learner, "job", "RUNNING", NOW - timedelta(minutes=started))

    def seen(name: str, minutes: float) -> Learner:
        return Learner(name, last_seen=NOW - timedelta(minutes=minutes))

    learners = [seen("left", 130), seen("works", 5), seen("brought", 200), seen("jobless", 200), Learner("never")]
    jobs = [job("left", 180), job("works", 180), job("brought", 180), job("brought", 1), job("never", 125)]
    assert idle_with_jobs(NOW, learners, jobs, timedelta(hours=2)) == ["left", "never"]
    assert idle_with_jobs(NOW, learners, jobs, timedelta(0)) == []


def test_only_the_newest_jobs_beyond_a_learners_share_are_ended() -> None:
    def job(learner: str, number: int, slots: int = 1) -> watching.Job:
        return watching.Job(f"{learner}{number}", learner, "job", "RUNNING", NOW, slots)

    many = [job("ada", number) for number in range(SLOTS_PER_LEARNER + 2)]
    few = [job("ben", number) for number in range(SLOTS_PER_LEARNER)]
    mixed = [job("eve", 0, slots=4), job("eve", 1, slots=4), job("eve", 2, slots=2)]
    assert [one.id for one in beyond_their_share([*many, *few, *mixed])] == [many[-2].id, many[-1].id, "eve1"]


def test_a_kernel_that_holds_too_much_is_ended_unless_there_is_no_limit() -> None:
    kernels = [watching.Kernel(1, "ada", 2001), watching.Kernel(2, "ben", 2000)]
    assert too_large(kernels, 2000) == kernels[:1]
    assert too_large(kernels, 0) == []


# Progress


def test_progress_keeps_when_it_began_and_when_it_was_solved(tmp_path: Path) -> None:
    progress = Progress(tmp_path, "ada")
    progress.began("01")
    first = progress.tried("01.1", solved=False, wrong="x")
    again = progress.tried("01.1", solved=True)
    assert first.begun == again.begun <= again.solved_at == again.touched
    assert progress.tried("01.1", solved=True).solved_at == again.solved_at
    assert latest(progress.records()) == "01.1"
    assert latest({}) == ""


def test_progress_of_an_earlier_version_is_read(tmp_path: Path) -> None:
    (tmp_path / "progress-ada.json").write_text('{"01.1": {"tries": 2, "hints": 1, "solved": true}}', encoding="utf-8")
    record = Progress(tmp_path, "ada").of("01.1")
    assert (record.tries, record.solved, record.solved_at) == (2, True, "")
    assert Learner("ada", records={"01.1": record}).minutes(lab_of("01")) is None


# Messages


def of_ada(folder: Path) -> Messages:
    return Messages(Settings(learner="ada", work=folder))


def test_a_hand_that_is_up_keeps_its_place_in_the_queue(tmp_path: Path) -> None:
    messages = of_ada(tmp_path)
    assert messages.hand() is None
    first = messages.raise_hand("01.1", "?")
    again = messages.raise_hand("01.2", "x" * 2 * LONGEST)
    assert (again.since, again.place, len(again.question)) == (first.since, "01.2", LONGEST)
    assert messages.hand() == again
    messages.lower_hand()
    messages.lower_hand()
    assert messages.hand() is None


@pytest.mark.parametrize("text", ["", "{", "[1, {}]", '{"a": 1}', "null", '[{"text": 1, "unknown": 2}]'])
def test_a_file_that_cannot_be_read_is_no_message(tmp_path: Path, text: str) -> None:
    (folder := tmp_path / course_messages.FOLDER).mkdir()
    for name in ("hand-ada.json", "announcements-ada.json"):
        (folder / name).write_text(text, encoding="utf-8")
    messages = of_ada(tmp_path)
    assert messages.hand() is None
    assert messages.announcements() == []
    (folder / "hand-ada.json").unlink()
    (folder / "hand-ada.json").symlink_to("/dev/zero")  # a file without an end
    assert messages.hand() is None
    messages.announce(Announcement("Break until 11."))
    assert [one.text for one in messages.announcements()] == ["Break until 11."]


def test_an_announcement_is_shown_once_and_only_in_kernels_that_ran(tmp_path: Path) -> None:
    messages, shown = of_ada(tmp_path), list[Card]()
    assert messages.last_sign() is None
    messages.announce(Announcement("before", at=at(100)))
    cells = ShownAfterCells(messages, shown.append)  # type: ignore[arg-type] # it shows cards
    cells.look()
    messages.announce(Announcement("Break <b>until</b> 11."))
    cells.look()
    cells.look()
    (card,) = shown
    assert messages.last_sign() is not None
    assert str(card) == "» From your instructor\nBreak <b>until</b> 11."
    assert "<b>until" not in card._repr_html_()


def test_old_announcements_are_forgotten(tmp_path: Path) -> None:
    messages = of_ada(tmp_path)
    for number in range(KEPT + 5):
        messages.announce(Announcement(str(number)))
    assert len(messages.announcements()) == KEPT


def test_only_a_class_looks_for_announcements(monkeypatch: pytest.MonkeyPatch) -> None:
    registered: list[str] = []
    shell = SimpleNamespace(events=SimpleNamespace(register=lambda event, _: registered.append(event)))
    monkeypatch.delenv(course_messages.OF_CLASS, raising=False)
    course_messages.show_after_cells(shell)
    assert registered == []
    monkeypatch.setenv(course_messages.OF_CLASS, "/somewhere")
    course_messages.show_after_cells(shell)
    assert registered == ["post_run_cell"]


def test_a_class_is_not_sent_to_pages_that_only_the_server_has(monkeypatch: pytest.MonkeyPatch) -> None:
    address = "http://127.0.0.1:18081/?token=key"
    monkeypatch.delenv(course_messages.OF_CLASS, raising=False)
    assert address in str(cards.of_flink_page(address, opened=False))
    monkeypatch.setenv(course_messages.OF_CLASS, "/somewhere")
    for said in (str(cards.of_flink_page(address, opened=False)), cards.of_page(address)):
        assert "127.0.0.1" not in said
        assert "your instructor's screen" in said
    start = cards.of_start(all_labs()[0], Settings(learner="anna"), (5, 12), solved=0)
    assert "127.0.0.1" not in str(start)
    assert "5 of 12 task slots are free" in str(start)


def test_a_learners_broken_files_do_not_blind_the_instructors_page(tmp_path: Path) -> None:
    """A learner writes them, and every look at the class reads them: one number in the place of a time ended all looks."""
    own = Settings(learner="anna", work=tmp_path)
    good = {"tries": 1, "begun": NOW.isoformat(), "touched": NOW.isoformat()}
    bad = [{"touched": 1}, {"touched": "soon"}, {"touched": "2026-01-01"}, {"tries": "1"}, {"unknown": 1}, 7, None, []]
    learner_files.write(
        Progress.of_learner(own).path, {"00.1": good} | {f"00.{place}": one for place, one in enumerate(bad, 2)}
    )
    assert list(Progress.of_learner(own).records()) == ["00.1"]
    for broken in (["00.1"], 7, None):
        learner_files.write(Progress.of_learner(own).path, broken)
        assert Progress.of_learner(own).records() == {}
    folder = tmp_path / course_messages.FOLDER
    for since in ("soon", "2026-01-01", 3):
        learner_files.write(folder / "hand-anna.json", {"place": "00.1", "question": "why?", "since": since})
        assert Messages(own).hand() is None
