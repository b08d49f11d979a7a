"""Cards and pictures of a notebook in the colours of JupyterLab's themes. No stack is needed."""

import sys
from collections.abc import Sequence
from contextlib import closing
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from fraudlab.course import cards, pictures
from fraudlab.course.cards import Card
from fraudlab.course.exercise import Kind, Verdict
from fraudlab.course.pictures import COLOURS, Bar, Dot, Panel, Picture
from tests.e2e.conftest import visit
from tests.e2e.legibility import ILLEGIBLE

NOON = datetime.fromisoformat("2026-01-31T12:00:00")
THEMES = Path(sys.prefix, "share", "jupyter", "lab", "themes", "@jupyterlab")


def every_card() -> Sequence[Card]:
    verdicts = [Verdict(kind, "A sentence with `code`.", found="1", expected="2", advice="An advice.") for kind in Kind]
    return [
        *(cards.of_verdict("00.1", verdict) for verdict in verdicts),
        cards.of_flink_page("http://127.0.0.1", opened=False),
        cards.of_solution("00.1", "code = 1"),
    ]


def every_picture() -> Sequence[Picture]:
    countries = [f"C{number}" for number in range(len(COLOURS))]
    dots = [Dot(NOON - timedelta(minutes=number), country, Decimal(100)) for number, country in enumerate(countries)]
    bars = [Bar("sliding", NOON - timedelta(hours=1), NOON, suspicious) for suspicious in (False, True)]
    before, after = (
        Panel("before", [("DE", Decimal(900))], Decimal(1000), caught, "a verdict") for caught in (False, True)
    )
    return [
        pictures.window("User 1", dots),
        pictures.windows("User 1", dots, bars),
        pictures.lanes("User 1", [[number] for number in range(len(COLOURS))]),
        pictures.pulse([pictures.Lane(country, ((0, 0), (1, 9))) for country in countries], 2),
        pictures.trade_off([(0, 0.5, 1), (8000, 1, 0)]),
        pictures.before_after("User 1", before, after),
    ]


@pytest.mark.parametrize("theme", ["light", "dark", "dark-high-contrast"])
def test_text_of_cards_and_pictures_stands_out_in_each_theme(browser: Browser, theme: str, tmp_path: Path) -> None:
    """WCAG 2.2, success criterion 1.4.3 (AA), as on the dashboard."""
    outputs = [card._repr_html_() for card in every_card()] + [picture.svg for picture in every_picture()]
    style = (THEMES / f"theme-{theme}-extension" / "index.css").read_text(encoding="utf-8")
    colours = "body { background: var(--jp-layout-color0); color: var(--jp-content-font-color1); font-size: 14px }"
    with closing(browser.new_context(viewport={"width": 900, "height": 900})) as context:
        page = visit(context).page
        page.set_content(f"<style>{style}</style><style>{colours}</style>{''.join(outputs)}")
        page.screenshot(path=tmp_path / f"{theme}.png", full_page=True)
        texts = page.evaluate(ILLEGIBLE)
    assert texts["illegible"] == []
    assert texts["read"] > 60
