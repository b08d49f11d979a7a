"""Lab 03, The SQL join."""
