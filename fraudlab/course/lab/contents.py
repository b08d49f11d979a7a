"""What there is to call: all of it by topic, or one name."""

import difflib
import inspect
from collections.abc import Mapping
from typing import Any

from fraudlab.course.cards import Card, Contents


def contents(topics: Mapping[str, Mapping[str, Any]]) -> Contents:
    """Topic to its names and what they stand for, as a table: each with the first sentence of its docstring."""
    return Contents(
        "What you can call in a notebook",
        {
            topic: [(f"lab.{name}", _first_sentence(thing)) for name, thing in things.items()]
            for topic, things in topics.items()
        },
        '`lab.help("pay")` says more about one of them.',
    )


def entry(topics: Mapping[str, Mapping[str, Any]], name: str) -> Card:
    """One name: how to call it, and its whole docstring. An unknown one gets the names that look like it."""
    known = {one: thing for things in topics.values() for one, thing in things.items()}
    name = name.removeprefix("lab.").removesuffix("()")
    if name not in known:
        similar = difflib.get_close_matches(name, known)
        advice = f"Do you mean {' or '.join(f'`lab.{one}`' for one in similar)}? " if similar else ""
        return Card(f"There is no `lab.{name}`.", (f"{advice}`lab.help()` shows all names.",))
    first, _, more = (inspect.getdoc(known[name]) or "").partition("\n\n")
    return Card(f"lab.{name}{_call(known[name])}", (" ".join(first.split()),), code=more)


def _first_sentence(thing: Any) -> str:
    paragraph = " ".join((inspect.getdoc(thing) or "").partition("\n\n")[0].split())
    return paragraph.partition(". ")[0].removesuffix(".") + "."


def _call(thing: Any) -> str:
    """A function's arguments and their defaults; types would only be in a learner's way. Nothing for an exception."""
    if isinstance(thing, type):
        return ""
    signature = inspect.signature(thing)
    plain = [one.replace(annotation=inspect.Parameter.empty) for one in signature.parameters.values()]
    return str(signature.replace(parameters=plain, return_annotation=inspect.Signature.empty))
