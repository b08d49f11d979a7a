"""The glossary: which lab first explains a term. docs/glossary.md is the one place; it decides where a word may be used."""

import re
from dataclasses import dataclass
from functools import cache

from fraudlab.settings import REPOSITORY

PATH = REPOSITORY / "docs" / "glossary.md"
_ENTRY = re.compile(r"^\*\*(?P<names>[^*]+)\*\* \(Lab (?P<lab>\d\d)\): (?P<text>.+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Term:
    """A term: its names (the first is the term, others mean the same), the lab that explains it, and the explanation."""

    names: tuple[str, ...]
    lab: str
    text: str

    @property
    def pattern(self) -> re.Pattern[str]:
        """Finds any of its names, with a plural's ending."""
        names = "|".join(re.escape(name) for name in self.names)
        return re.compile(rf"\b(?:{names})(?:s|es)?\b", re.IGNORECASE)


def parse(text: str) -> list[Term]:
    """The entries of a glossary: lines `**term, other name** (Lab 03): explanation.`"""
    return [
        Term(tuple(name.strip() for name in entry["names"].split(",")), entry["lab"], entry["text"])
        for entry in _ENTRY.finditer(text)
    ]


@cache
def terms() -> tuple[Term, ...]:
    """The terms of the course."""
    return tuple(parse(PATH.read_text(encoding="utf-8")))


def find(word: str) -> Term | None:
    """The term of a name, in singular or plural, however it is capitalised."""
    return next((term for term in terms() if term.pattern.fullmatch(word.strip())), None)
