"""Lab 02, CDC ingestion."""
