"""A stranger's HTML, reduced to what shows text: only listed elements and attributes stay, and none of them fetches anything.

A content security policy is not enough. Chromium connects to the host of `<link rel=preconnect>` and of a frame, and looks up names for
`dns-prefetch`, whatever the policy says. The policy (`api.NO_HARM`) remains for what style sheets may ask for.
"""

import nh3

TEXT = {
    *("a", "abbr", "address", "article", "aside", "b", "bdi", "bdo", "big", "blockquote", "br", "caption", "center", "cite", "code"),
    *("col", "colgroup", "dd", "del", "details", "dfn", "div", "dl", "dt", "em", "figcaption", "figure", "font", "footer", "h1", "h2"),
    *("h3", "h4", "h5", "h6", "header", "hr", "i", "img", "ins", "kbd", "li", "main", "mark", "nav", "ol", "p", "pre", "q", "s"),
    *("samp", "section", "small", "span", "strike", "strong", "style", "sub", "summary", "sup", "table", "tbody", "td", "tfoot", "th"),
    *("thead", "time", "tr", "tt", "u", "ul", "var", "wbr"),
}  # fmt: skip
ATTRIBUTES = {
    "*": {"align", "bgcolor", "class", "color", "dir", "height", "id", "lang", "role", "style", "title", "valign", "width"},
    "img": {"src", "alt"},
    "table": {"border", "cellpadding", "cellspacing", "summary"},
    "td": {"colspan", "rowspan", "headers"},
    "th": {"colspan", "rowspan", "headers", "scope"},
    "ol": {"start", "type"},
    "font": {"face", "size"},
}  # fmt: skip
"""By element. A link keeps its text and not where it leads: a browser may look up and connect to that before anybody clicks."""
HIDDEN = {
    "script",
    "title",
    "noscript",
    "template",
    "iframe",
    "object",
    "audio",
    "video",
    "svg",
    "math",
    "select",
    "textarea",
}
"""Whose content goes, too."""
LONGEST = 100_000
"""Characters that are shown. The time for elements within elements grows with the square of their number: a minute for a megabyte."""
CLEANER = nh3.Cleaner(
    tags=TEXT, attributes=ATTRIBUTES, clean_content_tags=HIDDEN, url_schemes={"data"}, url_relative="deny", link_rel=None
)  # fmt: skip


def harmless(html: str) -> str:
    """A page that shows what the mail's HTML shows, without anything that fetches, runs, or leads elsewhere."""
    rest = "<p>(cut; /api/messages has all of it)" if len(html) > LONGEST else ""
    return f"<!doctype html><meta charset=utf-8>{CLEANER.clean(html[:LONGEST])}{rest}"
