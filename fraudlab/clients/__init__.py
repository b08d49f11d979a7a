"""One client for each thing outside: Flink's REST API, Kafka's topics, the bank's tables, and time.

None of them knows this project's settings, so the stack, the course, the tests, the benchmarks and the deployment all use the same one.
`flink_rest` gets an address and a key, `topics` a consumer, `bank` a connection to MySQL.
"""
