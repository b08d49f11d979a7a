"""A synthetic bank: users and payments from a seed, with labelled fraud, written to MySQL live or in bulk."""

from data_generator.bank import Bank, User
from data_generator.connection import Connection
from data_generator.report import Report
from data_generator.runner import RunConfig, commit_fraud, run
from data_generator.sink import DatedPayment, GeneratorError, MySqlSink, Outcome
from data_generator.stream import Payment, StreamOptions

__all__ = [
    "Bank",
    "Connection",
    "DatedPayment",
    "GeneratorError",
    "MySqlSink",
    "Outcome",
    "Payment",
    "Report",
    "RunConfig",
    "StreamOptions",
    "User",
    "commit_fraud",
    "run",
]
