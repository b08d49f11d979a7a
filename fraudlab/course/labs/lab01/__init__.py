"""Lab 01, The data generator."""
