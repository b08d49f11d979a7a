"""The page: its parts, and when each looks at the model again. It knows nothing of Kafka or MySQL."""

import asyncio
import time
from collections.abc import Callable
from typing import Literal

from nicegui import app, ui

from fraudlab.services.analytics.bank import BankError, reinstate
from fraudlab.services.analytics.commit_fraud import FraudStage
from fraudlab.services.analytics.model import Model
from fraudlab.services.analytics.parts.accounts import Accounts
from fraudlab.services.analytics.parts.country_map import CountryMap
from fraudlab.services.analytics.parts.figures import Figures
from fraudlab.services.analytics.parts.flow import Flow
from fraudlab.services.analytics.parts.fraud import Fraud
from fraudlab.services.analytics.parts.latency import Latency
from fraudlab.services.analytics.parts.problems import Problems
from fraudlab.services.analytics.parts.quality import Quality
from fraudlab.services.analytics.parts.stream import Stream
from fraudlab.services.analytics.parts.throughput import Throughput
from fraudlab.services.elements import Words, block, icon
from fraudlab.settings import Settings

NEWS_EVERY_S = 0.1
FIGURES_EVERY_S = 0.5
CHARTS_EVERY_S = 1.0
OPENED_WITHIN_S = 30
"""So long a page that was asked for waits for its browser."""

THEMES = {"auto": (None, "brightness_auto"), "light": (False, "light_mode"), "dark": (True, "dark_mode")}


async def build(settings: Settings, model: Model, stage: FraudStage) -> None:
    """The dashboard, for one browser: its parts are made when that shows the page, so that whoever only asks for it costs little."""
    page = _Page(settings, model, stage)
    await ui.context.client.connected(OPENED_WITHIN_S)
    page.fill()
    page.refresh_all()
    ui.timer(NEWS_EVERY_S, page.refresh_news)
    ui.timer(FIGURES_EVERY_S, page.refresh_figures)
    ui.timer(CHARTS_EVERY_S, page.refresh_charts)


class _Page:
    def __init__(self, settings: Settings, model: Model, stage: FraudStage) -> None:
        self._settings, self._model, self._stage = settings, model, stage
        self._seen = -1
        self._head()
        with block("div", "page") as self._content:
            self._content.props["id"] = "content"
            with block("div", "waiting") as self._waiting:
                self._waiting.props["role"] = "status"
                icon("hourglass_top")
                self._waiting_for = Words("span", "loading")

    def fill(self) -> None:
        """Makes all parts."""
        model = self._model
        with self._content:
            self._figures = Figures(model)
            self._fraud = Fraud(self._settings, model, self._stage, self._reinstate)
            self._stream = Stream(model)
            self._country_map = CountryMap(model)
            self._flow = Flow(model)
            self._throughput = Throughput(model)
            self._latency = Latency(model)
            self._accounts = Accounts(model, self._reinstate)
            self._quality = Quality(model)
            self._problems = Problems(model, self._settings.home)
            self._answer = Words("div", "", "only-for-screen-readers")
            self._answer.props["role"] = "status"

    def refresh_all(self) -> None:
        self.refresh_figures()
        self.refresh_charts()
        self.refresh_news()

    def refresh_news(self) -> None:
        """What people wait for: at most a tenth of a second late."""
        if self._seen == self._model.revision:
            return
        self._seen = self._model.revision
        self._stream.refresh()
        self._fraud.refresh()
        self._accounts.refresh()

    def refresh_figures(self) -> None:
        now_ms = time.time_ns() // 1_000_000
        self._figures.refresh(now_ms)
        self._flow.refresh(now_ms)
        waiting = self._model.waiting_for
        self._waiting.set_visibility(bool(waiting))
        self._waiting_for.set_text("; ".join(f"waiting for {source} ({why})" for source, why in waiting.items()))

    def refresh_charts(self) -> None:
        now_ms = time.time_ns() // 1_000_000
        parts: tuple[Callable[[], None], ...] = (
            lambda: self._throughput.refresh(now_ms),
            self._latency.refresh,
            self._country_map.refresh,
            self._quality.refresh,
            self._problems.refresh,
        )
        for refresh in parts:
            refresh()

    def _head(self) -> None:
        chosen = app.storage.user.get("theme", "auto")
        dark = ui.dark_mode(THEMES[chosen][0])
        with ui.header(fixed=False).classes("banner"):
            link = Words("a", "Skip to the content", "skip")
            link.props["href"] = "#content"
            with block("div", "title"):
                icon("shield")
                Words("h1", "Fraud, live")
            with block("nav", "links", "Other pages"):
                self._link("inbox", "Inbox", self._settings.inbox_page)
                self._link("account_tree", "Flink", self._settings.flink_page)
                theme = ui.button(f"Theme: {chosen}", icon=THEMES[chosen][1], color=None).props("flat no-caps dense")
                theme.classes("link")

        def next_theme() -> None:
            names = list(THEMES)
            name = names[(names.index(app.storage.user.get("theme", "auto")) + 1) % len(names)]
            app.storage.user["theme"] = name
            dark.set_value(THEMES[name][0])
            theme.set_text(f"Theme: {name}")
            theme.set_icon(THEMES[name][1])

        theme.on_click(next_theme)

    def _link(self, sign: str, text: str, address: str) -> None:
        with block("a", "link") as link:
            link.props["href"] = address
            icon(sign)
            Words("span", text)

    async def _reinstate(self, user_id: int) -> None:
        try:
            was_stopped = await asyncio.to_thread(reinstate, self._settings, user_id)
        except BankError as error:
            self._say(str(error), "negative")
        else:
            self._say(
                f"User {user_id} can pay again." if was_stopped else f"User {user_id} was not stopped.", "positive"
            )

    def _say(self, text: str, kind: Literal["positive", "negative"]) -> None:
        self._answer.set_text(text)
        ui.notify(text, position="bottom", type=kind)
