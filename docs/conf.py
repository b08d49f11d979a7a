"""How Sphinx makes a site of this folder: `make docs`. Any broken link, anchor or missing page is an error."""

import re
from pathlib import Path
from typing import Any

from sphinx.util import logging

CHAPTERS = {
    "To understand": ["concepts", "architecture", "performance", "glossary"],
    "Jobs and services": [
        "pipeline",
        "records",
        *("jobs/cdc-ingestion", "jobs/transaction-join", "jobs/fraud-detector"),
        *("services/data-generator", "services/flagger", "services/notifier", "services/inbox", "services/dashboard"),
    ],
    "To run": [
        "settings",
        "operations",
        "containers",
        "threat-model",
        "attacked",
        "dependency-review",
        "troubleshooting",
        "scaling-out",
        "updating-versions",
    ],
    "To teach": ["instructor-guide", "class", "grading", "adding-a-lab", "accessibility"],
}
"""The pages as the site lists them. Here and not in index.md, where GitHub would show it as code."""

project = "Fraud detection in real time"
extensions = ["myst_parser"]
myst_heading_anchors = 3  # the same anchors as on GitHub
html_theme = "furo"  # all its files are its own: nothing is fetched from elsewhere
html_title = project
html_static_path: list[str] = []
html_copy_source = False
html_show_sphinx = False
html_show_copyright = False
language = "en"
nitpicky = True


def add_chapters(_app: Any, page: str, source: list[str]) -> None:
    """Appends the list of pages to the first one."""
    if page == "index":
        for caption, pages in CHAPTERS.items():
            listed = "\n".join(pages)
            source[0] += f"\n```{{toctree}}\n:hidden:\n:caption: {caption}\n\n{listed}\n```\n"


def point_to_repository(app: Any, page: str, source: list[str]) -> None:
    """Files beside this folder are no pages: a link to one of them is checked, and shown as the file's name."""
    documents = Path(app.srcdir).resolve()

    def named(link: re.Match[str]) -> str:
        target = (documents / page).parent.joinpath(link[2].partition("#")[0]).resolve()
        if target.is_relative_to(documents):
            return link[0]
        if not target.exists():
            logging.getLogger(__name__).warning("%s leads nowhere", link[2], location=page)
        return f"{link[1]} (`{target.relative_to(documents.parent)}` in the repository)"

    source[0] = re.sub(r"(?<!!)\[([^\]]+)\]\((\.\./[^)\s]+)\)", named, source[0])


def setup(app: Any) -> None:
    """Sphinx calls this."""
    app.connect("source-read", add_chapters)
    app.connect("source-read", point_to_repository)
