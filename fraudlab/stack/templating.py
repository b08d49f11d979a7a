"""Fills the configuration templates that ship with the package."""

from importlib import resources
from pathlib import Path
from string import Template


def render(template: str, **values: object) -> str:
    """The text of a template with its `${name}` filled in. Raises KeyError for a name without a value."""
    text = resources.files(__package__).joinpath("templates", template).read_text(encoding="utf-8")
    return Template(text).substitute({name: str(value) for name, value in values.items()})


def write_config(path: Path, template: str, **values: object) -> None:
    """Write a filled template to `path`; its folder is made where missing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(render(template, **values), encoding="utf-8")
