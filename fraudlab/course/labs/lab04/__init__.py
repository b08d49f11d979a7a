"""Lab 04, The windowed detector."""
