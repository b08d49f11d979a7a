"""The one error that is meant for the person at the keyboard."""

from __future__ import annotations


class UserError(Exception):
    """Something that the user can fix: `str()` says what happened and what it means, `advice` what to do next."""

    def __init__(self, what: str, advice: str) -> None:
        super().__init__(what)
        self.advice = advice

    def _render_traceback_(self) -> list[str]:
        """How a notebook shows it: no traceback, and the advice."""
        return [str(self), f"Next: {self.advice}"]
