"""What a notebook calls: `from fraudlab.course import lab`. Everything works without a host, a port or a password.

`lab.help()` shows all of it, by topic. To add a helper, write a function with a docstring for learners whose first argument is the
`World`, bind it below, and name it in `TOPICS`.
"""

from fraudlab.course import binlog as binlog_reader
from fraudlab.course import breaking, consumers, live
from fraudlab.course import inbox as inbox_reader
from fraudlab.course import jobs as own_jobs
from fraudlab.course.cards import Card, Contents
from fraudlab.course.exercise import NotSolvedYet as NotSolvedYet
from fraudlab.course.lab import bank, contents, exercises, flink, looking, services, starting
from fraudlab.course.lab.binding import with_world
from fraudlab.course.lab.binding import world as world
from fraudlab.course.world import Late as Late
from fraudlab.course.world import World

TOPICS = {
    "Start and reset": ("help", "start", "up", "catch_up", "reset"),
    "Exercises": ("check", "hint", "solution", "progress", "glossary", "todo"),
    "The bank": ("query", "table", "execute", "open_account", "pay", "pay_until_refused", "generate", "payments"),
    "The binlog and Kafka": (
        *("binlog_position", "binlog", "topic", "envelopes", "pretty", "lanes", "wait_for_records"),
        *("create_topic", "send", "kafka"),
    ),
    "What the pipeline does": (
        *("flow", "pulse", "joined", "activities", "window", "windows", "largest_hours", "trade_off"),
        *("minutes_since_full_hour", "show"),
    ),
    "Flink": (
        *("flink_page", "jobs", "wait_for_job", "cancel", "stream", "cluster", "mysql", "instead_of"),
        *("checkpoint", "checkpoints", "stop_with_savepoint"),
    ),
    "Jobs of your own": (
        *("environments", "read_payments", "keyed_transactions", "read_rules", "sql", "watch", "write_records"),
    ),
    "Consumers": ("share", "offsets", "crash", "service", "stop_service", "dashboard"),
    "Mail and push messages": ("inbox", "inbox_page", "address", "push_topic", "mail_server", "push_server"),
    "Break it": ("kill", "paying_bank", "race", "verify"),
    "Your own names": ("names", "world"),
    "Exceptions": ("NotSolvedYet", "Late"),
}
"""Every name that a notebook may use, in the order of `lab.help()`."""

__all__ = [name for names in TOPICS.values() for name in names]


def __dir__() -> list[str]:
    """What `lab.<tab>` offers."""
    return __all__


def help(name: str = "") -> Card | Contents:
    """Shows what you can call, by topic; with a name, how to call it.

    Example:
        lab.help("pay")
    """
    topics = {topic: {one: globals()[one] for one in names} for topic, names in TOPICS.items()}
    return contents.entry(topics, name) if name else contents.contents(topics)


start = with_world(starting.start)
up = with_world(starting.up)
catch_up = with_world(starting.catch_up)
reset = with_world(starting.reset)
names = with_world(starting.names)

check = with_world(exercises.check)
hint = with_world(exercises.hint)
solution = with_world(exercises.solution)
progress = with_world(exercises.progress)
glossary = exercises.glossary
todo = exercises.todo

query = with_world(bank.query)
table = with_world(bank.table)
execute = with_world(World.execute)
open_account = with_world(World.open_account)
pay = with_world(World.pay)
pay_until_refused = with_world(bank.pay_until_refused)
generate = with_world(bank.generate)
payments = with_world(own_jobs.payments)

binlog_position = with_world(binlog_reader.position)
binlog = with_world(binlog_reader.events)
topic = with_world(looking.topic)
envelopes = with_world(looking.envelopes)
pretty = looking.pretty
lanes = with_world(looking.lanes)
wait_for_records = with_world(looking.wait_for_records)
create_topic = with_world(breaking.create_topic)
send = with_world(own_jobs.send)
kafka = with_world(flink.kafka)

flow = with_world(looking.flow)
pulse = with_world(looking.pulse)
joined = with_world(looking.joined)
activities = with_world(own_jobs.activities)
window = with_world(looking.window)
windows = with_world(looking.windows)
largest_hours = with_world(own_jobs.largest_hours)
trade_off = looking.trade_off
minutes_since_full_hour = looking.minutes_since_full_hour
show = looking.show

flink_page = with_world(flink.flink_page)
jobs = with_world(flink.jobs)
wait_for_job = with_world(World.wait_for_job)
cancel = with_world(World.cancel)
stream = with_world(live.stream)
cluster = with_world(World.cluster)
mysql = with_world(flink.mysql)
instead_of = flink.instead_of
checkpoint = with_world(World.checkpoint)
checkpoints = with_world(breaking.checkpoints)
stop_with_savepoint = with_world(breaking.stop_with_savepoint)

environments = with_world(own_jobs.environments)
read_payments = with_world(own_jobs.read_payments)
keyed_transactions = with_world(own_jobs.keyed_transactions)
read_rules = with_world(own_jobs.read_rules)
sql = with_world(own_jobs.sql)
watch = with_world(own_jobs.watch)
write_records = with_world(own_jobs.write_records)

share = consumers.share
offsets = with_world(consumers.offsets)
crash = with_world(services.crash)
service = with_world(services.service)
stop_service = with_world(services.stop_service)
dashboard = with_world(services.dashboard)

inbox = with_world(services.inbox)
inbox_page = with_world(services.inbox_page)
address = with_world(inbox_reader.address)
push_topic = with_world(inbox_reader.push_topic)
mail_server = with_world(inbox_reader.mail_server)
push_server = with_world(services.push_server)

kill = with_world(breaking.kill)
paying_bank = with_world(breaking.paying_bank)
race = with_world(breaking.race)
verify = with_world(breaking.verify)
