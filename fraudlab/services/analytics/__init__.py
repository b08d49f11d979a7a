"""The analytics dashboard: a live page of what the pipeline does, from Kafka and MySQL."""
