"""Fills the configuration templates that ship with the package."""

import json
import re
from importlib import resources
from pathlib import Path
from string import Template

from fraudlab.stack.secret_store import write_private


def render(template: str, **values: object) -> str:
    """The text of a template with its `${name}` filled in. Raises KeyError for a name without a value."""
    text = resources.files(__package__).joinpath("templates", template).read_text(encoding="utf-8")
    return Template(text).substitute({name: str(value) for name, value in values.items()})


def write_config(path: Path, template: str, **values: object) -> None:
    """Write a filled template to `path`, which its owner alone can read; its folder is made where missing."""
    write_private(path, render(template, **values))


def yaml_text(value: object) -> str:
    """A text as YAML reads it, whatever characters it has."""
    return json.dumps(str(value), ensure_ascii=False)


def option_file_text(value: object) -> str:
    """A text as MySQL reads it in an option file, where `#` would begin a comment and a backslash an escape."""
    return '"' + str(value).replace("\\", "\\\\").replace('"', '\\"') + '"'


def properties_text(value: object) -> str:
    """A value as Java reads it in a properties file, which is Latin-1 and has backslashes for escapes."""
    text = str(value).replace("\\", "\\\\")
    return re.sub(r"[^\x20-\x7e]", lambda found: _utf16(found.group()), text)


def _utf16(letter: str) -> str:
    units = letter.encode("utf-16-be").hex()
    return "".join(f"\\u{units[start : start + 4]}" for start in range(0, len(units), 4))
