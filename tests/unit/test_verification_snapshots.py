"""mysql-11: the judge knows the order of payments even if a later snapshot has read some of them."""

import orjson

from fraudlab.pipeline.contracts import Names
from fraudlab.verification.records import Records


def records(*payments: tuple[int, str, int | None]) -> Records:
    """Payments of one partition: id, file of the binlog ("": a snapshot) and position."""
    found, names = Records(), Names()
    for offset, (transaction_id, file, position) in enumerate(payments):
        source = {"file": file, "pos": position, "row": 0}
        envelope = {
            "op": "c" if file else "r",
            "after": {"transaction_id": transaction_id, "user_id": 1},
            "source": source,
        }
        found.add(names, names.transactions, f"{names.transactions}-0-{offset}", orjson.dumps(envelope))
    return found


def test_mysql_11_a_payment_from_a_later_snapshot_came_after_those_from_the_binlog_before_it() -> None:
    hole = records((10, "b.1", 5), (12, "b.1", 9), (10, "", 0), (12, "", 0), (20, "", 0), (21, "b.3", 7))
    assert hole.overtaken() == {}


def test_mysql_11_a_binlog_that_begins_again_changes_no_order() -> None:
    assert records((10, "b.7", 5), (10, "", 0), (20, "", 0), (21, "b.1", 4), (22, "b.1", 8)).overtaken() == {}


def test_a_payment_that_was_committed_late_is_behind_the_higher_id() -> None:
    assert records((10, "b.1", 5), (12, "b.1", 9), (11, "b.1", 12)).overtaken() == {11: (12, 1)}
    assert records((1, "", 0), (3, "", 0), (2, "b.1", 4)).overtaken() == {2: (3, 1)}
