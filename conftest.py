"""Loads what all tests have in common, wherever they are."""

pytest_plugins = ["tests.support.plugin"]
