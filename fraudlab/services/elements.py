"""Plain HTML elements. Text is always text: nothing that comes from a record is ever read as markup."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from nicegui import ui
from nicegui.elements.mixins.text_element import TextElement


class Words(TextElement):
    """An element that holds only text, whatever the text is."""

    def __init__(self, tag: str, text: str = "", classes: str = "") -> None:
        super().__init__(tag=tag, text=text)
        self.classes(classes)


@contextmanager
def block(tag: str, classes: str = "", label: str = "") -> Iterator[ui.element]:
    """An element that holds others; `label` is what a screen reader calls it."""
    with ui.element(tag).classes(classes) as element:
        if label:
            element.props["aria-label"] = label
        yield element


@contextmanager
def card(title: str, classes: str = "") -> Iterator[ui.element]:
    """A section of the page under a heading of its own."""
    with block("section", f"card {classes}") as section:
        heading = Words("h2", title)
        section.props["aria-labelledby"] = heading.html_id
        heading.props["id"] = heading.html_id
        yield section


def icon(name: str, classes: str = "") -> ui.icon:
    """A picture that says nothing to a screen reader: words stand beside it."""
    element = ui.icon(name).classes(classes)
    element.props["aria-hidden"] = "true"
    return element


def table(head: Sequence[str], rows: Sequence[Sequence[str]], classes: str = "") -> None:
    """A table of words."""
    with block("table", classes):
        with block("thead"), block("tr"):
            for name in head:
                Words("th", name).props["scope"] = "col"
        with block("tbody"):
            for row in rows:
                with block("tr"):
                    for cell in row:
                        Words("td", cell)


class Table:
    """A chart's figures as a table, which opens on demand and is only then made."""

    def __init__(self, title: str, head: Sequence[str], rows: Callable[[], Sequence[Sequence[str]]]) -> None:
        self._head, self._rows = head, rows
        self._shown: Sequence[Sequence[str]] | None = None
        self._open = False
        with block("details", "as-table") as details:
            Words("summary", f"{title} as a table")
            self._place = ui.element("div").classes("table-place")
        details.on("toggle", self._toggle, js_handler="(event) => emit(event.target.open)")

    def refresh(self) -> None:
        """Shows what is new, where it is open."""
        if not self._open:
            return
        rows = self._rows()
        if rows == self._shown:
            return
        self._shown = rows
        self._place.clear()
        with self._place:
            table(self._head, rows)

    def _toggle(self, event: object) -> None:
        self._open = bool(getattr(event, "args", False))
        self.refresh()
