"""The accounts that are stopped, each with a button that reinstates it."""

from collections.abc import Awaitable, Callable

from nicegui import ui

from fraudlab.services.analytics.formatting import clock, number, person
from fraudlab.services.analytics.geography import country_name
from fraudlab.services.analytics.model import Model, StoppedAccount
from fraudlab.services.elements import Words, block, card

Reinstate = Callable[[int], Awaitable[None]]


class Accounts:
    """The accounts stopped last, the newest first."""

    def __init__(self, model: Model, reinstate: Reinstate) -> None:
        self._model, self._reinstate = model, reinstate
        self._rows: dict[StoppedAccount, ui.element] = {}
        with card("Accounts stopped", "accounts-card"):
            self._sum = Words("p", "", "chart-sum")
            with block("ul", "accounts") as self._list:
                pass

    def refresh(self) -> None:
        """Shows what is new."""
        count = len(self._model.episodes.stopped)
        accounts = self._model.stopped_accounts
        more = f", the newest {len(accounts)} of them here; the search above finds all" if count > len(accounts) else ""
        self._sum.set_text(
            f"{number(count)} stopped{more}. Who is reinstated can pay again." if count else "Nobody is stopped."
        )
        for gone in [one for one in self._rows if one not in accounts]:
            self._rows.pop(gone).delete()
        for index, account in enumerate(accounts):
            if account not in self._rows:
                self._rows[account] = self._row(account)
                self._rows[account].move(target_index=index)

    def _row(self, account: StoppedAccount) -> ui.element:
        name = person(account.name, account.user_id)
        with self._list, block("li", "account") as row:
            with block("div", "who"):
                Words("strong", name)
                Words("span", f"user {account.user_id} · {country_name(account.home_country)}", "quiet")
            Words("time", f"since {clock(account.since_ms)}", "quiet")
            button = ui.button(
                "Reinstate", on_click=lambda: self._reinstate(account.user_id), icon="lock_open", color=None
            )
            button.props("unelevated no-caps dense").classes("plain-button")
            button.props["aria-label"] = f"Reinstate {name}, user {account.user_id}"
        return row
