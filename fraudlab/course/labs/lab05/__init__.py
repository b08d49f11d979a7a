"""Lab 05, The notification consumers."""
