"""What is asked all day goes by an index, on PostgreSQL with plans made of empty tables as well."""

import importlib
import json
import pkgutil
import re
from collections.abc import Iterator
from typing import Any

import pytest

import hub
from hub.outbox import store as outbox
from hub.outbox.withdrawals.store import withdrawal_by
from hub.store import Database, Statement, WideStatement

WHOLE = re.compile(r"SCAN (?!json_each)\w+$")
LITERAL = re.compile(r"'[^']*'(::\w+)?")
OPERAND = re.compile(r"\b[a-z_0-9]+\.[a-z_]+\b|\$\d+|InitPlan|SubPlan")
"""What is compared with a column of the index, which stands without its table."""


def statements() -> Iterator[tuple[str, WideStatement]]:
    """Every statement over many rows that a module of the hub holds."""
    for module in pkgutil.walk_packages(hub.__path__, "hub."):
        if module.name.endswith((".store", ".tables", ".sequencer")):
            held = vars(importlib.import_module(module.name))
            for name, value in held.items():
                if isinstance(value, WideStatement):
                    yield f"{module.name}.{name}", value
    for which in (("ref",), ("ref", "kind"), ("ref", "recipient"), ("ref", "kind", "recipient")):
        yield f"withdrawal by {' and '.join(which)}", withdrawal_by(which)


def scans(node) -> Iterator[dict[str, str]]:
    """Every look into a real table or index of a plan."""
    if node["Node Type"] in {"Seq Scan", "Index Scan", "Index Only Scan", "Bitmap Index Scan"}:
        yield node
    for inner in node.get("Plans", ()):
        yield from scans(inner)


def by_said(node) -> bool:
    """Whether it looks for what was said, and for no word that stands in the statement alone."""
    condition = LITERAL.sub("", node.get("Index Cond", ""))
    return OPERAND.search(condition) is not None


def plan_of(connection, statement: Statement, name: str, said: str) -> dict[str, object]:
    """The plan that is kept."""
    driver = connection.connection.driver_connection
    asked = re.sub(r"%\((\w+)\)s", "$1", statement._postgres)
    driver.execute(f"PREPARE {name} (text) AS {asked}")
    row = driver.execute(f"EXPLAIN (FORMAT JSON) EXECUTE {name} ('{said}')").fetchone()
    found = row[0] if isinstance(row[0], list) else json.loads(row[0])
    plan: dict[str, object] = found[0]["Plan"]
    return plan


@pytest.mark.postgres
def test_a_plan_of_empty_tables_goes_by_what_is_said(postgres_url):
    """Each look goes to rows by an index on what was said, none through a whole table."""
    database = Database(postgres_url)

    def wrong(connection) -> list[str]:
        return [
            f"{name}: {node['Node Type']} of {node.get('Relation Name', node.get('Index Name'))}"
            f" by {node.get('Index Cond')}"
            for number, (name, statement) in enumerate(statements())
            for node in scans(plan_of(connection, statement._statement, f"p{number}", "[]"))
            if not by_said(node)
        ]

    try:
        assert [] == database.write(wrong)
    finally:
        database.close()


def test_sqlite_reads_no_whole_table(sqlite_url):
    """Neither for a statement over many rows nor for what the sender asks in every round."""
    database = Database(sqlite_url)
    asked = {name: statement._statement for name, statement in statements()}
    asked |= {
        f"outbox.{name}": value
        for name, value in vars(outbox).items()
        if isinstance(value, Statement)
    }
    with database.read() as connection:
        driver: Any = connection.connection.driver_connection
        found = []
        for name, statement in asked.items():
            values = dict.fromkeys(re.findall(r":(\w+)", statement._sqlite), "[]")
            rows = driver.execute(f"EXPLAIN QUERY PLAN {statement._sqlite}", values)
            found += [f"{name}: {row[3]}" for row in rows if WHOLE.match(row[3])]
    database.close()

    assert [] == found
