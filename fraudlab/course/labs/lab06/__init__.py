"""Lab 06, Break it."""
