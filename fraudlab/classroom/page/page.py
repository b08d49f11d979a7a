"""The page: its parts, and when each looks at the class again."""

import asyncio
import csv
import sys
from collections.abc import Callable, Sequence
from datetime import datetime
from io import StringIO
from typing import Literal

from nicegui import ui

from fraudlab.classroom import telling
from fraudlab.classroom.page import matrix
from fraudlab.classroom.page.matrix import ago
from fraudlab.classroom.reading import Class, Reader
from fraudlab.classroom.room import Room
from fraudlab.classroom.watching import COLUMNS, hardest, lab_times, queue, table
from fraudlab.clients.flink_rest import NoAnswer
from fraudlab.course.exercise import HINTS
from fraudlab.course.labs import all_labs
from fraudlab.course.messages import LONGEST
from fraudlab.services import elements
from fraudlab.services.elements import Words, block, card, icon

LOOK_EVERY_S = 1.0
EVERYBODY = "everybody"


class Page:
    """The page in one browser. `stated` maps a lab's number to the minutes that its notebook states."""

    def __init__(self, room: Room, reader: Reader, stated: dict[str, int]) -> None:
        self._room, self._reader, self._stated, self._labs = room, reader, stated, all_labs()
        self._parts: list[_Changing] = []
        self._seen: Class | None = None
        with ui.header(fixed=False).classes("banner"), block("div", "title"):
            icon("school")
            Words("h1", "The class")
        with block("div", "page"):
            self._problems()
            self._hands()
            self._hard()
            self._machine()
            with card("Learners and exercises", "matrix-card"):
                self._matrix = ui.html(sanitize=False)
                Words("p", "✔ solved · a number: wrong tries so far · h: only hints so far · red: stuck", "quiet")
            self._tell()
            self._jobs()
            self._times()
        self.refresh()
        ui.timer(LOOK_EVERY_S, self.refresh)

    def refresh(self) -> None:
        """Shows what is new of the class."""
        seen = self._reader.seen
        if seen is self._seen:
            return
        self._seen = seen
        self._matrix.set_content(matrix.html(seen.learners, self._labs, seen.at))
        for part in self._parts:
            part.refresh(seen)

    def _problems(self) -> None:
        with block("div", "waiting") as box:
            box.props["role"] = "status"
            icon("hourglass_top")
            words = Words("span")

        def show(problems: Sequence[str]) -> None:
            box.set_visibility(bool(problems))
            words.set_text("; ".join(problems))

        self._parts.append(_Changing(lambda seen: seen.problems, show))

    def _hands(self) -> None:
        with card("Raised hands", "third-card"):
            place = ui.column().classes("list")

        def show(hands: Sequence[tuple[str, str, str, str]]) -> None:
            place.clear()
            with place:
                if not hands:
                    Words("p", "Nobody asks for help.", "empty")
                for name, where, waits, question in hands:
                    with block("div", "hand"):
                        Words("strong", name)
                        Words("span", f"{where or 'before Lab 00'} · {waits}", "quiet")
                        Words("p", question, "question")
                        _button("Helped", lambda name=name: self._do(telling.lower_hand, self._room, name))

        self._parts.append(
            _Changing(
                lambda seen: [
                    (name, hand.place, ago(seen.at - datetime.fromisoformat(hand.since)), hand.question)
                    for name, hand in queue(seen.learners)
                ],
                show,
            )
        )

    def _hard(self) -> None:
        with card("Where most are stuck", "third-card"):
            place = ui.column().classes("list")

        def show(found: Sequence[tuple[str, tuple[str, ...]]]) -> None:
            place.clear()
            with place:
                if not found:
                    Words("p", "Nobody is stuck.", "empty")
                for exercise, names in found:
                    with block("div", "hand"):
                        Words("strong", f"Exercise {exercise}")
                        Words("span", f"{len(names)}: {', '.join(names)}", "quiet")
                        with block("div", "buttons"):
                            Words("span", "show everybody hint", "quiet")
                            for number in range(1, HINTS + 1):
                                _button(str(number), lambda one=exercise, number=number: self._hint(one, number))

        self._parts.append(
            _Changing(lambda seen: [(one.exercise, tuple(one.names)) for one in hardest(seen.learners, seen.at)], show)
        )

    def _machine(self) -> None:
        names = ("CPU", "memory", "disk free", "task slots free", "JupyterLabs", "kernels", "jobs")
        with card("The machine", "third-card"), block("dl", "machine"):
            values = {}
            for name in names:
                Words("dt", name)
                values[name] = Words("dd", "")

        def show(shown: Sequence[str]) -> None:
            for name, text in zip(names, shown, strict=True):
                values[name].set_text(text)

        def figures(seen: Class) -> list[str]:
            one = seen.machine
            return [
                f"{one.cpu:.0%}",
                f"{one.memory:.0%} of {one.memory_gib:.0f} GiB",
                f"{one.disk_free:.0%}",
                f"{one.slots_free} of {one.slots}",
                f"{sum(learner.runs for learner in seen.learners)} of {len(seen.learners)} run",
                f"{len(seen.kernels)}, {sum(kernel.mib for kernel in seen.kernels) / 1024:.1f} GiB",
                str(len(seen.jobs)),
            ]

        self._parts.append(_Changing(figures, show))

    def _tell(self) -> None:
        with card("Tell and bring", "half-card"):
            with block("div", "row-of"):
                whom = ui.select([EVERYBODY, *self._room.names()], value=EVERYBODY, label="whom").props(
                    "outlined dense"
                )
                Words("span", "Announcements appear below the next cell that they run.", "quiet")

            def tell() -> None:
                if text := (sentence.value or "").strip():
                    self._do(telling.announce, self._room, self._names(whom.value), text)
                    sentence.set_value("")

            with block("div", "row-of"):
                sentence = ui.input("a sentence for their notebooks").props(f"outlined dense maxlength={LONGEST}")
                sentence.classes("wide").on("keydown.enter", tell)
                _button("Announce", tell)
            labs = {lab.number: f"Lab {lab.number} · {lab.title}" for lab in self._labs}
            with block("div", "row-of"):
                lab = ui.select(labs, value="00", label="to the beginning of").props("outlined dense").classes("wide")
                _button("Bring them there", lambda: self._ask_to_bring(str(whom.value), str(lab.value)))
            self._brought = ui.log(max_lines=100).classes("brought")
            self._brought.set_visibility(False)

    def _ask_to_bring(self, whom: str, lab: str) -> None:
        with ui.dialog(value=True) as dialog, ui.card():
            Words(
                "p", f"This empties the database, topics and jobs of {whom}, and takes up to a minute for each learner."
            )
            Words("p", "Notebooks and progress stay.")
            with block("div", "buttons"):
                _button("Bring them there", lambda: dialog.submit(True))
                _button("Leave them", lambda: dialog.submit(False))

        async def bring() -> None:
            if await dialog:
                await self._bring(self._names(whom), lab)

        ui.timer(0, bring, once=True)

    async def _bring(self, names: Sequence[str], lab: str) -> None:
        self._brought.clear()
        self._brought.set_visibility(True)
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-m", "fraudlab", "class", "catch-up", lab, *names),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        assert process.stdout is not None
        async for line in process.stdout:
            self._brought.push(line.decode("utf-8", "replace").rstrip())
        await process.wait()

    def _jobs(self) -> None:
        with card("Learners' jobs", "half-card"):
            place = ui.column().classes("list")

        def show(jobs: Sequence[tuple[str, str, str, str, str]]) -> None:
            place.clear()
            with place:
                if not jobs:
                    Words("p", "No learner's job runs.", "empty")
                for id, learner, name, state, since in jobs:
                    with block("div", "job"):
                        Words("strong", learner)
                        Words("span", name)
                        Words("span", f"{state.lower()} for {since}", "quiet")
                        _button("End", lambda id=id: self._do(telling.end_job, self._room, id))

        self._parts.append(
            _Changing(
                lambda seen: [
                    (one.id, one.learner, one.name, one.state, ago(seen.at - one.started)) for one in seen.jobs
                ],
                show,
            )
        )

    def _times(self) -> None:
        with card("Minutes of each lab", "times-card"):
            place = ui.column().classes("list")
            _button("Download as CSV", self._download)

        def show(times: Sequence[tuple[str, ...]]) -> None:
            place.clear()
            with place:
                elements.table(("lab", "", "stated", "median", "finished by"), times, "times")

        def figures(seen: Class) -> list[tuple[str, ...]]:
            return [
                (
                    one.lab,
                    one.title,
                    f"{one.stated} min",
                    "" if one.median is None else f"{one.median:.0f} min",
                    str(one.finished or ""),
                )
                for one in lab_times(seen.learners, self._labs, self._stated)
            ]

        self._parts.append(_Changing(figures, show))

    def _download(self) -> None:
        text = StringIO()
        rows = csv.writer(text)
        rows.writerow(COLUMNS)
        rows.writerows(table(self._reader.seen.learners, self._labs))
        ui.download.content(text.getvalue(), "class.csv", "text/csv")

    def _hint(self, exercise: str, number: int) -> None:
        self._do(telling.open_hint, self._room, self._names(EVERYBODY), exercise, number)

    def _names(self, whom: object) -> list[str]:
        return self._room.names() if whom == EVERYBODY else [str(whom)]

    def _do(self, what: Callable[..., None], *arguments: object) -> None:
        kind: Literal["positive", "negative"] = "positive"
        try:
            what(*arguments)
            said = "Done."
        except (OSError, NoAnswer) as error:
            kind, said = "negative", f"That failed: {error}"
        ui.notify(said, position="bottom", type=kind)


class _Changing:
    """A part of the page. It is built again when what it shows has changed."""

    def __init__(self, look: Callable[[Class], object], show: Callable[..., None]) -> None:
        self._look, self._show = look, show
        self._shown: object = None

    def refresh(self, seen: Class) -> None:
        if (found := self._look(seen)) != self._shown:
            self._shown = found
            self._show(found)


def _button(text: str, do: Callable[..., object]) -> ui.button:
    return ui.button(text, on_click=lambda: do(), color=None).props("flat no-caps dense").classes("plain-button")
