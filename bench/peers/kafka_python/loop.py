"""The detector's rule as a plain kafka-python loop, in the product's environment: one process, state in a dict that a crash loses."""

import json
from collections import defaultdict

from kafka import TopicPartition
from task import Payment, ready

from fraudlab import system
from fraudlab.settings import Settings


def main() -> None:
    task = ready()
    kafka = system.kafka(Settings())
    consumer = kafka.consumer(enable_auto_commit=False, max_poll_records=5000)
    producer = kafka.producer(linger_ms=5)
    partitions = [TopicPartition(task.source, number) for number in consumer.partitions_for_topic(task.source) or ()]
    consumer.assign(partitions)
    consumer.seek_to_beginning()
    hours: defaultdict[int, list[Payment]] = defaultdict(list)
    left = task.count
    while left:
        for records in consumer.poll(timeout_ms=1000).values():
            left -= len(records)
            for message in records:
                record = json.loads(message.value)
                user = record["user_id"]
                hours[user], found = task.judged(hours[user], record)
                if found:
                    producer.send(task.sink, json.dumps(found).encode(), key=message.key)
    producer.flush()
    producer.close()
    consumer.close()


if __name__ == "__main__":
    main()
