"""The inbox's page: mail as a mail program shows it, push messages as a phone does, both live."""

import asyncio
from collections.abc import Callable
from datetime import datetime
from email.utils import parseaddr
from importlib import resources

import orjson
from nicegui import ui
from nicegui.elements.mixins.text_element import TextElement

from fraudlab.services.inbox.store import Store, Stored

LOOK_EVERY_S = 0.1
SPEAK_EVERY_S = 5.0
MAILS_SHOWN, PUSHES_SHOWN = 100, 30
LONGEST_TEXT = 100_000
EMOJI = {"rotating_light": "🚨", "warning": "⚠️", "tada": "🎉", "white_check_mark": "✅"}
"""Of ntfy's tags that stand for an emoji, those that are likely here."""


def add_page(store: Store) -> None:
    """Adds the page at `/`."""
    css = resources.files(__package__).joinpath("inbox.css").read_text(encoding="utf-8")

    @ui.page("/", title="Inbox")
    async def inbox(person: str = "") -> None:
        ui.add_css(css)
        await _Page(store, person).build()


class _Page:
    """One open page. It looks at the store ten times a second and sends the browser what has changed."""

    def __init__(self, store: Store, person: str) -> None:
        self._store = store
        self._person = person
        self._seen: tuple[int, str] | None = None
        self._selected: int | None = None
        self._buttons: dict[int | None, ui.element] = {}
        """Of the mails in the list, by number."""
        self._spoken = store.counts()

    async def build(self) -> None:
        with ui.header(fixed=False).classes("top"):
            _text("h1", "Inbox")
            ui.input("Filter by person", value=self._person, on_change=lambda event: self._filter(event.value)).props(
                "outlined dense clearable debounce=200"
            ).classes("filter")
            self._status = _text("p", "").classes("counts")
            self._voice = _text("div", "").classes("only-for-screen-readers").props("aria-live=polite")
        with ui.element("div").classes("desk"):
            with ui.element("section").props("aria-label=Mail").classes("list"):
                _text("h2", "Mail")
                self._mails = ui.element("ul")
            with ui.element("section").props('aria-label="The open mail" id=reader tabindex=-1').classes("reader"):
                self._reader = ui.element("div")
            with ui.element("section").props("aria-label=Phone").classes("phone"), ui.element("div").classes("screen"):
                _text("h2", "Phone")
                self._pushes = ui.element("ol")
        self._open(None)
        await self._look()
        ui.timer(LOOK_EVERY_S, self._look)
        ui.timer(SPEAK_EVERY_S, self._speak)

    def _filter(self, person: str | None) -> None:
        self._person = person or ""

    async def _look(self) -> None:
        wanted = self._store.version, self._person
        if self._seen == wanted:
            return
        mails, pushes = await asyncio.to_thread(self._read, self._person)
        if self._person == wanted[1] and not self._status.is_deleted:
            self._seen = wanted
            self._show(mails, pushes)

    def _read(self, person: str) -> tuple[list[Stored], list[Stored]]:
        return self._store.latest("email", person, MAILS_SHOWN), self._store.latest("push", person, PUSHES_SHOWN)

    def _show(self, mails: list[Stored], pushes: list[Stored]) -> None:
        _update(self._mails, mails, self._mail, "No mail" + (" for this person." if self._person else " yet."))
        self._buttons = {mail.number: self._buttons[mail.number] for mail in mails}
        _update(self._pushes, pushes, _push, "No notifications")
        counts = self._store.counts()
        again = f", {counts['redelivered']} delivered again" if counts["redelivered"] else ""
        self._status.set_text(f"{counts['email']:,} mails, {counts['push']:,} push messages{again}")
        if self._selected is None and mails:
            self._open(self._store.get(mails[0].number))

    def _speak(self) -> None:
        """Tells a screen reader what came, in summary."""
        counts, before = self._store.counts(), self._spoken
        self._spoken = counts
        mails, pushes = (counts[kind] - before[kind] for kind in ("email", "push"))
        if mails > 0 or pushes > 0:
            self._voice.set_text(f"New: {mails} mails, {pushes} push messages.")

    def _mail(self, mail: Stored) -> None:
        with ui.element("button").props("type=button").classes("mail") as button:
            button.on("click", lambda: self._choose(mail.number))
            self._buttons[mail.number] = button
            if mail.number == self._selected:
                button.props["aria-current"] = "true"
            _text("span", parseaddr(mail.addressee)[0] or mail.recipient).classes("who")
            _text("time", _clock(mail.received_ms))
            _text("span", mail.title or "(no subject)").classes("what")
            if mail.deliveries > 1:
                _text("span", f"delivered {mail.deliveries} times, shown once").classes("again")

    def _choose(self, number: int) -> None:
        if number != self._selected:  # the open one stays as it is, with the tab that its reader chose
            self._open(self._store.get(number))
        ui.run_javascript(
            "const it = document.getElementById('reader');"
            "if (matchMedia('(max-width: 700px)').matches) { it.scrollIntoView(); it.focus(); }"
        )

    def _open(self, mail: Stored | None) -> None:
        if self._selected in self._buttons:
            self._buttons[self._selected].props.pop("aria-current", None)
        self._selected = mail.number if mail else None
        if self._selected in self._buttons:
            self._buttons[self._selected].props["aria-current"] = "true"
        self._reader.clear()
        with self._reader:
            if mail is None:
                _text("p", "Mail that comes is shown here, while you watch.").classes("nothing")
                return
            _text("h2", mail.title or "(no subject)")
            fields = (
                ("From", mail.sender),
                ("To", mail.addressee or mail.recipient),
                ("At", _moment(mail.received_ms)),
            )
            with ui.element("dl"):
                for name, value in fields:
                    _text("dt", name)
                    _text("dd", value)
            with ui.tabs().props("dense align=left no-caps breakpoint=0") as tabs:
                for name in ("HTML", "Text", "Headers"):
                    ui.tab(name)
            with ui.tab_panels(tabs, value="HTML" if mail.html else "Text"):
                with ui.tab_panel("HTML"):
                    if mail.html:
                        frame = ui.element("iframe").props('sandbox="" title="The mail as HTML"')
                        frame.props["src"] = f"/api/messages/{mail.number}/html"
                    else:
                        _text("p", "This mail has no HTML.")
                with ui.tab_panel("Text"):
                    _text("pre", _cut(mail.text) or "This mail has no text.")
                with ui.tab_panel("Headers"):
                    _text("pre", _cut(mail.headers))


def _update(listing: ui.element, messages: list[Stored], show: Callable[[Stored], None], nothing: str) -> None:
    """Brings a list, newest first, up to date. What is there already stays as it is, so that it keeps the keyboard's focus."""
    there = {child.props.get("data-key"): child for child in list(listing.default_slot.children)}
    wanted = [f"{one.number}-{one.deliveries}" for one in messages]
    for key, child in there.items():
        if key not in wanted:
            listing.remove(child)
    for place, (key, message) in enumerate(zip(wanted, messages, strict=True)):
        if key not in there:
            with listing, ui.element("li") as item:
                item.props["data-key"] = key
                show(message)
            item.move(target_index=place)
    if not messages:
        with listing:
            _text("li", nothing).classes("nothing")


def _push(push: Stored) -> None:
    answer = orjson.loads(push.headers)
    tags = [EMOJI.get(tag, tag) for tag in answer.get("tags", [])]
    urgent = answer.get("priority", 3) >= 4
    with ui.element("article").classes("urgent" if urgent else ""):
        with ui.element("p").classes("app"):
            _text("span", f"ntfy · {push.recipient}")
            _text("time", _clock(push.received_ms))
        _text("h3", " ".join([*tags, push.title]).strip() or push.recipient)
        _text("p", push.text).classes("body")
        if push.deliveries > 1:
            _text("p", f"delivered {push.deliveries} times, shown once").classes("again")


def _text(tag: str, text: str) -> TextElement:
    """An element with a text in it, which is never read as HTML."""
    return TextElement(tag=tag, text=text)


def _cut(text: str) -> str:
    """A text as long as a browser shows without delay."""
    return text if len(text) <= LONGEST_TEXT else f"{text[:LONGEST_TEXT]}\n(cut; /api/messages has all of it)"


def _clock(received_ms: int) -> str:
    return _local(received_ms).strftime("%H:%M:%S")


def _moment(received_ms: int) -> str:
    return _local(received_ms).strftime("%d %B %Y, %H:%M:%S.") + f"{received_ms % 1000:03}"


def _local(received_ms: int) -> datetime:
    return datetime.fromtimestamp(received_ms / 1000).astimezone()
