"""Each "cannot" of the threat model names a test, and the test exists."""

import re

from fraudlab.settings import REPOSITORY

PAGE = REPOSITORY / "docs" / "threat-model.md"
SOURCES = [*REPOSITORY.glob("tests/**/*.py"), *REPOSITORY.glob("data-generator/tests/*.py")]
AWAITED = {
    "test_sec_01_another_user_reads_no_key_and_no_password",
    "test_sec_01_no_jar_is_taken_even_from_the_owner",
    "test_sec_01_no_port_of_flink_answers_another_user",
    "test_sec_01_no_process_list_and_no_log_has_a_password_or_the_token",
    "test_sec_02_a_page_of_another_origin_gets_nowhere",
    "test_sec_02_another_name_for_this_machine_is_not_answered",
    "test_sec_03_another_user_reads_and_writes_no_topic",
}
"""Of the guard before Flink and of Kafka's log-in, which are not merged yet."""


def test_each_test_that_the_threat_model_names_exists() -> None:
    named = set(re.findall(r"`(test_\w+)`", PAGE.read_text(encoding="utf-8")))
    there = {name for path in SOURCES for name in re.findall(r"def (test_\w+)", path.read_text(encoding="utf-8"))}
    assert len(named) > 20
    assert named - there <= AWAITED
    assert named >= AWAITED


def test_each_cannot_names_a_test() -> None:
    rows = re.findall(r"^\| (.+?) \| (.+) \|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    told = [row for row in rows if "cannot" not in row[0]]
    assert len(told) > 15
    assert not [what for what, proof in told if "`test_" not in proof]
