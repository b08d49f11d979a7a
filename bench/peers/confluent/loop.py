"""The detector's rule as a confluent-kafka loop with orjson: one process, state in a dict that a crash loses."""

from collections import defaultdict

import orjson
from confluent_kafka import OFFSET_BEGINNING, Consumer, Producer, TopicPartition
from task import Payment, ready


def main() -> None:
    task = ready()
    consumer = Consumer({**task.kafka, "group.id": "bench-confluent", "enable.auto.commit": False})
    producer = Producer({**task.kafka, "linger.ms": 5})
    partitions = consumer.list_topics(task.source).topics[task.source].partitions
    consumer.assign([TopicPartition(task.source, partition, OFFSET_BEGINNING) for partition in partitions])
    hours: defaultdict[int, list[Payment]] = defaultdict(list)
    left = task.count
    while left:
        for message in consumer.consume(5_000, timeout=1):
            if message.error():
                raise RuntimeError(message.error())
            left -= 1
            record = orjson.loads(message.value())
            user = record["user_id"]
            hours[user], found = task.judged(hours[user], record)
            if found:
                producer.produce(task.sink, orjson.dumps(found), message.key())
                producer.poll(0)
    producer.flush()
    consumer.close()


if __name__ == "__main__":
    main()
