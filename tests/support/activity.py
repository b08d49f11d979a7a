"""An activity as the detector writes it, for the tests of those who read it."""

from typing import Any

import msgspec

from fraudlab.pipeline.records import Activity, example

ACTIVITY: dict[str, Any] = msgspec.to_builtins(example(Activity))
"""The JSON object: tests put into it also what an `Activity` cannot hold."""
