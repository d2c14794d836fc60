"""What the hub says to its journal: plain lines on stderr."""

import logging
import sys

import structlog


def configure_logs() -> None:
    """For every logger of this process, from now on.

    stdout stays a command's answer. A traceback shows lines of code and never the values of
    variables, which structlog shows wherever the package rich is installed: a customer's phone
    may be among them.
    """
    # It warns of every question that was not asked because one before it failed.
    logging.getLogger("psycopg").setLevel(logging.ERROR)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.dev.ConsoleRenderer(
                colors=False, exception_formatter=structlog.dev.plain_traceback
            ),
        ],
        logger_factory=lambda *_: structlog.PrintLogger(sys.stderr),
    )
