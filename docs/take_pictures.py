"""Takes the README's picture of the dashboard, anew after the page has changed: `python docs/take_pictures.py`.

The demo must be running (`fraudlab demo --seconds 180`), in an empty home, so that no test's users are in the picture. A fraud
is committed through the button. Names are of many scripts: have fonts for them (Debian: fonts-droid-fallback,
fonts-tlwg-loma-ttf, fonts-lohit-deva).
With --views, the page is also taken wide and narrow, light and dark, to be looked at.
"""

import argparse
import os
import re
import sys
from pathlib import Path
from typing import Literal

from playwright.sync_api import Browser, Page, expect, sync_playwright

from fraudlab.settings import Settings
from fraudlab.stack.provision.system import chromium

PICTURE = Path(__file__).parent / "pictures" / "dashboard.png"
MOST_BYTES = 400_000
PATIENCE_MS = 120_000
ACTIVITIES = 60
"""So many fill lists and charts, a minute after the demo's start."""
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
VIEWPORTS = ((1440, 900), (390, 844))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--views", type=Path, metavar="FOLDER", help="take four views of the whole page, too")
    arguments = parser.parse_args()
    expect.set_options(timeout=PATIENCE_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium(), args=["--no-sandbox"] if os.geteuid() == 0 else []
        )
        page = opened(browser, 1440, 1060, "dark")
        page.wait_for_function(
            """(wanted) => [...document.querySelectorAll(".figure")].some((figure) =>
              figure.innerText.includes("Suspicious activities")
                && parseInt(figure.querySelector(".value").textContent.replace(",", "")) >= wanted)""",
            arg=ACTIVITIES,
        )
        commit_fraud(page)
        page.screenshot(path=PICTURE)
        if arguments.views:
            for scheme in SCHEMES:
                for width, height in VIEWPORTS:
                    view = opened(browser, width, height, scheme)
                    view.screenshot(path=arguments.views / f"dashboard-{width}-{scheme}.png", full_page=True)
        browser.close()
    size = PICTURE.stat().st_size
    print(f"{PICTURE}: {size // 1000} kB")
    if size > MOST_BYTES:
        sys.exit(f"That is more than {MOST_BYTES // 1000} kB.")


def opened(browser: Browser, width: int, height: int, scheme: Literal["light", "dark"]) -> Page:
    """The dashboard in a window of its own, when all of it is drawn."""
    page = browser.new_page(
        viewport={"width": width, "height": height}, color_scheme=scheme, reduced_motion="reduce", locale="en-GB"
    )
    page.set_default_timeout(PATIENCE_MS)
    page.goto(Settings().dashboard_url)
    page.locator(".waiting").wait_for(state="hidden")
    page.locator(".stage.is-unknown").first.wait_for(state="detached")
    page.locator(".chart svg text").first.wait_for()
    page.evaluate("document.fonts.ready")
    return page


def commit_fraud(page: Page) -> None:
    """Robs somebody through the button, and returns when each of the six steps has its milliseconds."""
    page.get_by_role("button", name="Commit fraud").click()
    steps = page.get_by_role("list", name="What becomes of it").get_by_role("listitem")
    for number in range(6):
        expect(steps.nth(number).locator(".step-after")).to_have_text(re.compile(r"\d m?s$"))


if __name__ == "__main__":
    main()
