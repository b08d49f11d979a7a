"""The pipeline: contracts, CDC ingestion, SQL join, rule and detector. Knows nothing of notebooks, services or the local stack."""
