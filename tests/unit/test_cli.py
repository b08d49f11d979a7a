"""The command's answers that need no running system."""

import pytest
from typer.testing import CliRunner

from fraudlab.cli import app


def test_a_setting_that_cannot_be_used_is_named_and_no_traceback_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FRAUDLAB_MYSQL_PORT", "abc")
    done = CliRunner().invoke(app, ["doctor"])
    assert done.exit_code == 1
    assert "The setting FRAUDLAB_MYSQL_PORT cannot be used: Input should be a valid integer" in done.output
    assert "Next:" in done.output
    assert "Traceback" not in done.output
