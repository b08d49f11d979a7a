"""A notebook in JupyterLab in the browser."""

import re

from playwright.sync_api import Locator, Page, expect

from tests.support.waiting import patient

CELL_MS = patient(90_000)


class Notebook:
    """A notebook, cell by cell."""

    def __init__(self, page: Page) -> None:
        self._page = page
        page.locator(".jp-Notebook .jp-Cell").first.wait_for(timeout=CELL_MS)
        expect(page.locator("#jp-main-statusbar")).to_contain_text("| Idle", timeout=CELL_MS)

    def run(self, number: int, source: str | None = None) -> Locator:
        """Runs a cell by keyboard, with another text where given; gives its output when it has ended."""
        cell = self._page.locator(f'.jp-Notebook .jp-Cell[data-windowed-list-index="{number}"]')
        cell.locator(".cm-content").click()
        if source is not None:
            self._page.keyboard.press("Control+a")
            self._page.keyboard.insert_text(source)
        prompt = cell.locator(".jp-InputPrompt")
        before = prompt.inner_text()
        self._page.keyboard.press("Shift+Enter")
        expect(prompt).not_to_have_text(before)
        expect(prompt).to_have_text(re.compile(r"\[\d+\]"), timeout=CELL_MS)
        return cell.locator(".jp-Cell-outputArea")
