"""Taps that are decided together: what becomes of them is what became of each alone."""

import json
from collections.abc import Mapping, Sequence

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from hub.inbox.service import InboxRow
from hub.store import pipeline
from tests.fakes.manual_clock import ManualClock
from tests.fakes.one_dealer import open_network

SETTINGS = """
[server]
public_url = "https://hub.example"
keys_dir = "{folder}/keys"
database = "{database}"
[leads]
reps_per_dealer = 3
[[numbers]]
name = "brand"
channel = "meta"
serves = "both"
phone = "628110000000"
phone_number_id = "1"
"""
PEOPLE = (
    b"per_budi,Budi Santoso,rep,SBY01,081234567801,2026-01-01\n"
    b"per_ani,Ani,rep,SBY01,081234567802,2026-01-01\n"
    b"per_cici,Cici,rep,SBY01,081234567803,2026-01-01\n"
    b"per_dedi,Dedi,dealer_manager,SBY01,081234567804,2026-01-01\n"
)
REPS = ("6281234567801", "6281234567802", "6281234567803")
MANAGER, CUSTOMER, STRANGER = "6281234567804", "6281299990001", "6281299990009"
SENDERS = (*REPS, MANAGER, CUSTOMER, STRANGER)
TABLES = {
    "lead": "SELECT * FROM lead ORDER BY id",
    "lead_event": "SELECT * FROM lead_event ORDER BY lead, seq",
    "lead_offer": "SELECT * FROM lead_offer ORDER BY id",
    "outbox": "SELECT key, recipient, role, kind, ref, data, created_ms, not_before_ms,"
    " not_after_ms, state, reason, due_ms, urgent, channel FROM outbox ORDER BY seq",
    "outbox_pair": "SELECT * FROM outbox_pair ORDER BY number, party",
    "outbox_moved": "SELECT DISTINCT recipient, role, channel FROM outbox_moved ORDER BY 1, 2, 3",
    "seen_message": "SELECT * FROM seen_message ORDER BY key",
    "person_bsuid": "SELECT * FROM person_bsuid ORDER BY bsuid",
    "contact_key": "SELECT kind, value FROM contact_key ORDER BY kind, value",
    "ledger_pending": "SELECT type, data, at_ms FROM ledger_pending ORDER BY id",
}
"""What may differ is left out: ids that are drawn, numbers that a rolled back insert took."""
LEADS = 3
START_MS = 1_800_000_000_000


WAYS_MAX = 6
"""To PostgreSQL and back for a run of taps, however many and whoever wins (decision 0019)."""


class Undone(Exception):
    """Takes back what was tried."""


def delivery(
    number: int,
    sender: str,
    content: Mapping[str, object],
    *,
    wamid: int,
    at_ms: int,
    lag_ms: int = 0,
    bsuid: str | None = None,
):
    """A row of the inbox with one message of Meta's, written `lag_ms` before it came in."""
    written = str((at_ms - lag_ms) // 1000)
    message = {"from": sender, "id": f"wamid.{wamid}", "timestamp": written, **content}
    if bsuid is not None:
        message["from_user_id"] = bsuid
    value = {
        "messaging_product": "whatsapp",
        "metadata": {"display_phone_number": "628110000000", "phone_number_id": "1"},
        "contacts": [{"profile": {"name": "?"}, "wa_id": sender}],
        "messages": [message],
    }
    change = {"field": "messages", "value": value}
    body = {"object": "whatsapp_business_account", "entry": [{"id": "w", "changes": [change]}]}
    return InboxRow(
        id=f"inb_{number}",
        seq=number,
        source="whatsapp",
        received_ms=at_ms,
        body=json.dumps(body).encode(),
        headers={},
    )


def pressed(button: str) -> dict[str, object]:
    """A reply button."""
    reply = {"type": "button_reply", "button_reply": {"id": button, "title": "?"}}
    return {"type": "interactive", "interactive": reply}


class Town:
    """A hub with leads that three reps have been offered."""

    def __init__(self, folder, url: str) -> None:
        self.clock = ManualClock()
        self.hub = open_network(SETTINGS.format(folder=folder, database=url), PEOPLE, self.clock)
        for turn in range(LEADS):
            self._wish(turn)
        self.leads = [row[0] for row in self.rows("SELECT id FROM lead ORDER BY received_ms, id")]
        assert len(self.leads) == LEADS

    def _wish(self, turn: int) -> None:
        number, place = f"628129999000{turn + 1}", {"latitude": -7.2575, "longitude": 112.7521}
        words = {"type": "text", "text": {"body": "Halo, E8 Pro ada? bayar tunai, sekarang"}}
        for part, content in enumerate((words, {"type": "location", "location": place})):
            wamid = -turn * 2 - part
            row = delivery(0, number, content, wamid=wamid, at_ms=self.clock.wall_ms())
            self.hub.leads.inbox.keep("whatsapp", row.body, {})
        while self.hub.leads.step():
            pass

    def rows(self, sql: str):
        """What a table holds."""
        with self.hub.database.read() as connection:
            return list(connection.execute(text(sql)))

    def after(self, rows: Sequence[InboxRow], *, together: bool):
        """What is in the tables and said of each row once they are acted on, and how many runs."""
        gateway, seen, runs = self.hub.leads.gateway, {}, 0

        def act(connection) -> None:
            nonlocal runs
            left, outcomes = list(rows), []
            while left:
                run = gateway.handle_run(connection, left) if together else []
                runs += bool(run)
                given = run or [gateway.handle(connection, left[0])]
                outcomes += given
                left = left[len(given) :]
            for name, sql in TABLES.items():
                seen[name] = [tuple(row) for row in connection.execute(text(sql))]
            seen["outcomes"] = [(each.state, each.reason, each.subjects) for each in outcomes]
            raise Undone

        with pytest.raises(Undone):
            self.hub.database.write(act)
        return seen, runs


@pytest.fixture
def town(tmp_path, database_url):
    """On each engine; what is tried on it is taken back."""
    made = Town(tmp_path, database_url)
    yield made
    made.hub.close()


# Mostly reps who tap on the first lead, again and again.
MOVE = st.tuples(
    st.sampled_from(REPS * 3 + SENDERS),
    st.sampled_from(("claim",) * 9 + ("skip", "say", "elsewhere")),
    st.sampled_from((0, 0, 1, 2)),
    st.sampled_from((0, 1, 40, 61_000)),
    st.sampled_from((None, None, "ID.1", "ID.2")),
    st.sampled_from((0, 0, 5_000)),
    st.integers(0, 9),
)


def rows_of(town: Town, moves) -> list[InboxRow]:
    """The deliveries: claims, skips, words; some of them a second time."""
    rows, at_ms = [], START_MS
    for number, (sender, what, lead, later_ms, bsuid, lag_ms, again) in enumerate(moves, 1):
        at_ms += later_ms
        content: dict[str, Mapping[str, object]] = {
            "claim": pressed(f"CLAIM_{town.leads[lead]}"),
            "skip": pressed(f"SKIP_{town.leads[lead]}"),
            "elsewhere": pressed("CLAIM_led_" + "a" * 26),
            "say": {"type": "text", "text": {"body": "apa ini"}},
        }
        # One in ten repeats the wamid of an earlier one.
        wamid = 1 if again == 0 else number
        # A stranger whose words begin a lead would draw ids for it.
        said = "claim" if (sender, what) == (STRANGER, "say") else what
        rows.append(
            delivery(
                number,
                sender,
                content[said],
                wamid=1000 + wamid,
                at_ms=at_ms,
                lag_ms=lag_ms,
                bsuid=bsuid,
            )
        )
    town.clock.set_wall(at_ms)
    return rows


@given(moves=st.lists(MOVE, min_size=2, max_size=14))
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_run_leaves_what_its_taps_leave_one_by_one(town, moves):
    """Winners, margins, answers, their order, windows, facts: everything but ids that are drawn."""
    rows = rows_of(town, moves)
    assert town.after(rows, together=True)[0] == town.after(rows, together=False)[0]


def test_taps_behind_each_other_are_a_run(town):
    """The comparison above compares something: three leads, three reps, all in one go."""
    moves = [(rep, "claim", lead, 1, None, 0, 1) for lead in range(LEADS) for rep in REPS]
    left, runs = town.after(rows_of(town, moves), together=True)

    assert 1 == runs
    decisions = [row[6] for row in left["lead_event"] if row[3] == "tap.received"]
    assert (LEADS, LEADS * 2) == (decisions.count("won"), decisions.count("too_slow"))


@pytest.mark.postgres
def test_a_run_of_taps_and_a_delivery_go_few_ways(tmp_path, postgres_url, monkeypatch):
    """What needs no answer of its own goes with the next question."""
    town = Town(tmp_path, postgres_url)
    leads, ways, flush = town.hub.leads, 0, pipeline.flush

    def counted(connection):
        nonlocal ways
        ways += bool(connection.info.get(pipeline._WAITING))
        flush(connection)

    monkeypatch.setattr(pipeline, "flush", counted)
    taps = [(lead, rep) for lead in town.leads for rep in REPS]
    for number, (lead, rep) in enumerate(taps):
        row = delivery(
            number,
            rep,
            pressed(f"CLAIM_{lead}"),
            wamid=1000 + number,
            at_ms=town.clock.wall_ms(),
        )
        ways = 0
        leads.inbox.keep("whatsapp", row.body, {})
        assert 2 == ways
    ways = 0
    assert len(taps) == leads.decide()
    assert ways <= WAYS_MAX
    assert LEADS == len(town.rows("SELECT id FROM lead WHERE state = 'CLAIMED'"))
    town.hub.close()
