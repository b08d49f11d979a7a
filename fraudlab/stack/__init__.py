"""MySQL, Kafka and Flink as local processes: install, start, wait, look at, stop. Knows nothing of fraud."""
