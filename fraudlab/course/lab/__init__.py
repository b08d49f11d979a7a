"""What a notebook calls: `from fraudlab.course import lab`. Everything works without a host, a port or a password.

`lab.help()` shows all of it, by topic. To add a helper, write a function with a docstring for learners whose first argument is the
`Workspace`, bind it below, and name it in `TOPICS`.
"""

import builtins

from fraudlab.course import binlog as binlog_reader
from fraudlab.course import breaking, broadcast_trial, consumers, live
from fraudlab.course import inbox as inbox_reader
from fraudlab.course import jobs as own_jobs
from fraudlab.course.cards import Card, Contents
from fraudlab.course.exercise import NotSolvedYet as NotSolvedYet
from fraudlab.course.lab import bank, contents, exercises, flink, looking, services, starting
from fraudlab.course.lab.binding import tools_at_hand as _tools_at_hand
from fraudlab.course.lab.binding import with_workspace
from fraudlab.course.lab.binding import workspace as workspace
from fraudlab.course.notebook_errors import install as _explain_errors
from fraudlab.course.workspace import Late as Late
from fraudlab.course.workspace import Workspace

if (_shell := getattr(builtins, "get_ipython", lambda: None)()) is not None:
    _explain_errors(_shell)
    _tools_at_hand()

TOPICS = {
    "Start and reset": ("help", "start", "up", "catch_up", "reset"),
    "Exercises": ("check", "hint", "solution", "progress", "help_me", "glossary", "todo"),
    "The bank": (
        "query",
        "table",
        "execute",
        "open_account",
        "pay",
        "pay_until_refused",
        "steal",
        "generate",
        "payments",
    ),
    "The binlog and Kafka": (
        *("binlog_position", "binlog", "topic", "envelopes", "pretty", "lanes", "wait_for_records"),
        *("create_topic", "send", "kafka"),
    ),
    "What the pipeline does": (
        *("flow", "pulse", "joined", "activities", "window", "windows", "largest_hours", "trade_off"),
        *("minutes_since_full_hour", "show"),
    ),
    "Flink": (
        *("flink_page", "jobs", "watermarks", "wait_for_job", "cancel", "stream", "cluster", "mysql", "instead_of"),
        *("checkpoint", "checkpoints", "stop_with_savepoint", "load"),
    ),
    "Jobs of your own": (
        *(
            "environments",
            "read_payments",
            "payment_stream",
            "keyed_transactions",
            "read_rules",
            "rehearse",
            "sql",
            "watch",
            "write_records",
        ),
    ),
    "Consumers": ("share", "offsets", "crash", "service", "stop_service", "dashboard"),
    "Mail and push messages": ("inbox", "inbox_page", "address", "push_topic", "mail_server", "push_server"),
    "Break it": ("kill", "paying_bank", "race", "verify"),
    "Your own names": ("names", "workspace"),
    "Exceptions": ("NotSolvedYet", "Late"),
}
"""Every name that a notebook may use, in the order of `lab.help()`."""

__all__ = [name for names in TOPICS.values() for name in names]


def __dir__() -> list[str]:
    """What `lab.<tab>` offers."""
    return __all__


def answer_of(name: str) -> object:
    """The type of what a helper answers with, as it is annotated; None of an exception."""
    return getattr(globals()[name], "__annotations__", {}).get("return")


def help(name: str = "") -> Card | Contents:
    """Shows what you can call, by topic; with a name, how to call it.

    Example:
        lab.help("pay")
    """
    topics = {topic: {one: globals()[one] for one in names} for topic, names in TOPICS.items()}
    return contents.entry(topics, name) if name else contents.contents(topics)


start = with_workspace(starting.start)
up = with_workspace(starting.up)
catch_up = with_workspace(starting.catch_up)
reset = with_workspace(starting.reset)
names = with_workspace(starting.names)

check = with_workspace(exercises.check)
hint = with_workspace(exercises.hint)
solution = with_workspace(exercises.solution)
progress = with_workspace(exercises.progress)
help_me = with_workspace(exercises.help_me)
glossary = exercises.glossary
todo = exercises.todo

query = with_workspace(bank.query)
table = with_workspace(bank.table)
execute = with_workspace(Workspace.execute)
open_account = with_workspace(Workspace.open_account)
pay = with_workspace(Workspace.pay)
pay_until_refused = with_workspace(bank.pay_until_refused)
generate = with_workspace(bank.generate)
payments = with_workspace(own_jobs.payments)

binlog_position = with_workspace(binlog_reader.position)
binlog = with_workspace(binlog_reader.events)
topic = with_workspace(looking.topic)
envelopes = with_workspace(looking.envelopes)
pretty = looking.pretty
lanes = with_workspace(looking.lanes)
wait_for_records = with_workspace(looking.wait_for_records)
create_topic = with_workspace(breaking.create_topic)
send = with_workspace(own_jobs.send)
kafka = with_workspace(flink.kafka)

flow = with_workspace(looking.flow)
pulse = with_workspace(looking.pulse)
joined = with_workspace(looking.joined)
activities = with_workspace(own_jobs.activities)
steal = with_workspace(looking.steal)
window = with_workspace(looking.window)
windows = with_workspace(looking.windows)
largest_hours = with_workspace(own_jobs.largest_hours)
trade_off = looking.trade_off
minutes_since_full_hour = looking.minutes_since_full_hour
show = looking.show

flink_page = with_workspace(flink.flink_page)
jobs = with_workspace(flink.jobs)
watermarks = with_workspace(flink.watermarks)
wait_for_job = with_workspace(Workspace.wait_for_job)
cancel = with_workspace(Workspace.cancel)
stream = with_workspace(live.stream)
cluster = with_workspace(Workspace.cluster)
mysql = with_workspace(flink.mysql)
instead_of = flink.instead_of
checkpoint = with_workspace(Workspace.checkpoint)
checkpoints = with_workspace(breaking.checkpoints)
stop_with_savepoint = with_workspace(breaking.stop_with_savepoint)
load = with_workspace(breaking.load)

environments = with_workspace(own_jobs.environments)
read_payments = with_workspace(own_jobs.read_payments)
payment_stream = with_workspace(own_jobs.payment_stream)
keyed_transactions = with_workspace(own_jobs.keyed_transactions)
read_rules = with_workspace(own_jobs.read_rules)
rehearse = broadcast_trial.rehearse
sql = with_workspace(own_jobs.sql)
watch = with_workspace(own_jobs.watch)
write_records = with_workspace(own_jobs.write_records)

share = consumers.share
offsets = with_workspace(consumers.offsets)
crash = with_workspace(services.crash)
service = with_workspace(services.service)
stop_service = with_workspace(services.stop_service)
dashboard = with_workspace(services.dashboard)

inbox = with_workspace(services.inbox)
inbox_page = with_workspace(services.inbox_page)
address = with_workspace(inbox_reader.address)
push_topic = with_workspace(inbox_reader.push_topic)
mail_server = with_workspace(inbox_reader.mail_server)
push_server = with_workspace(services.push_server)

kill = with_workspace(breaking.kill)
paying_bank = with_workspace(breaking.paying_bank)
race = with_workspace(breaking.race)
verify = with_workspace(breaking.verify)
