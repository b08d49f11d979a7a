"""The .sql files of the pipeline, statement by statement."""

from collections.abc import Mapping
from importlib import resources
from string import Template


def statements(file: str, values: Mapping[str, object]) -> list[str]:
    """The statements of a file in `fraudlab/pipeline/sql`, with `${name}` filled in; they end with a line that holds only `//`."""
    text = resources.files("fraudlab.pipeline").joinpath("sql", file).read_text(encoding="utf-8")
    return fill(text, values)


def fill(text: str, values: Mapping[str, object]) -> list[str]:
    """The statements of a text in the form of those files."""
    filled = Template(text).substitute(values)
    return [statement.strip() for statement in filled.split("\n//") if statement.strip()]
