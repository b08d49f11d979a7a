"""The detector's rule as a plain kafka-python loop: one process, state in a dict that a crash loses. Run as a process of its own.

Usage: python bench/plain_loop.py SOURCE_TOPIC SINK_TOPIC
"""

import json
import sys
from collections import defaultdict, deque
from datetime import datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal

from kafka import TopicPartition

from fraudlab import system
from fraudlab.pipeline.contracts import EUR_RATE_SCALE, eur_rates
from fraudlab.settings import Settings

CENT = Decimal("0.01")


def main() -> None:
    source, sink = sys.argv[1:]
    settings = Settings()
    kafka = system.kafka(settings)
    hour, threshold, least = timedelta(seconds=settings.window_s), settings.threshold_eur, settings.min_countries
    rates = {currency: Decimal(rate) / EUR_RATE_SCALE for currency, rate in eur_rates().items()}
    consumer = kafka.consumer(enable_auto_commit=False, max_poll_records=5000)
    producer = kafka.producer(linger_ms=5)
    partitions = [TopicPartition(source, number) for number in consumer.partitions_for_topic(source) or ()]
    consumer.assign(partitions)
    consumer.seek_to_beginning()
    left = sum(consumer.end_offsets(partitions).values())
    payments: defaultdict[int, deque[tuple[datetime, Decimal, str]]] = defaultdict(deque)
    while left:
        for records in consumer.poll(timeout_ms=1000).values():
            left -= len(records)
            for record in records:
                transaction = json.loads(record.value)
                now = datetime.fromisoformat(transaction["transaction_time"])
                amount = Decimal(transaction["transaction_amount"]) * rates[transaction["transaction_currency"]]
                window = payments[transaction["user_id"]]
                window.append((now, amount.quantize(CENT, ROUND_HALF_UP), transaction["transaction_country"]))
                while window[0][0] <= now - hour:
                    window.popleft()
                total = sum(paid for _, paid, _ in window)
                countries = {country for _, _, country in window}
                if len(countries) >= least and total >= threshold:
                    activity = {
                        "transaction_id": transaction["transaction_id"],
                        "total_amount_eur": str(total),
                        "countries": sorted(countries),
                    }
                    producer.send(sink, json.dumps(activity).encode(), key=record.key)
    producer.flush()
    producer.close()
    consumer.close()


if __name__ == "__main__":
    main()
