"""A hub with leads that many reps hold offers of, and their taps as Meta delivers them."""

import json
import time
from collections.abc import Sequence
from pathlib import Path

from sqlalchemy import Connection

from hub.config import parse_config
from hub.keys import create_keys
from hub.leads import store
from hub.leads.service import Beginning
from hub.leads.timeline import store as timeline
from hub.store.migrate import migrate
from hub.wiring import Hub, open_hub

SETTINGS = """
[server]
public_url = "https://hub.example"
keys_dir = "{folder}/keys"
database = "{database}"
listen = "127.0.0.1:{port}"
[whatsapp]
api_url = "{api_url}"
access_token_file = "{folder}/app.secret"
app_secret_file = "{folder}/app.secret"
verify_token_file = "{folder}/app.secret"
[leads]
reps_per_dealer = {tappers}
[[numbers]]
name = "brand"
channel = "meta"
serves = "both"
phone = "628110000000"
phone_number_id = "1"
"""
DEALERS = """code,name,region,lat,lon,timezone,hours,authorised
SBY01,Surabaya,JATIM,-7.2575,112.7521,WIB,Mon-Sun 00:00-24:00,yes
"""
REP = 6281200000000
SECRET = "bench"  # noqa: S105 - both ends of a bench know it
NOWHERE = "http://127.0.0.1:9"


def write_settings(
    folder: str,
    tappers: int,
    *,
    database: str | None = None,
    port: int = 8080,
    api_url: str = NOWHERE,
) -> Path:
    """A hub.toml in `folder`, with its secret; the database is a file beside it unless named."""
    (Path(folder) / "app.secret").write_text(SECRET, encoding="ascii")
    path = Path(folder) / f"hub-{port}.toml"
    where = database or f"sqlite:///{folder}/hub.db"
    text = SETTINGS.format(
        folder=folder, tappers=tappers, database=where, port=port, api_url=api_url
    )
    path.write_text(text, encoding="utf-8")
    return path


def open_market(folder: str, tappers: int, database: str | None = None) -> Hub:
    """A hub with one dealer that never closes and as many reps as tap."""
    config = parse_config(write_settings(folder, tappers, database=database).read_text("utf-8"))
    create_keys(config.server.keys_dir)
    hub = open_hub(config)
    migrate(hub.database)
    people = "".join(
        f"per_{turn},Rep {turn},rep,SBY01,+{REP + turn},2026-01-01\n" for turn in range(tappers)
    )
    for book, content in (
        (hub.registry.regions, "code,name,timezone\nJATIM,Jawa Timur,WIB\n"),
        (
            hub.registry.dealers,
            DEALERS,
        ),
        (hub.registry.people, "id,name,role,dealers,phone,wa_opt_in_at\n" + people),
    ):
        answer = book.import_file(content.encode())
        assert not answer.refused, answer.refused
    return hub


def offered(hub: Hub, count: int) -> list[str]:
    """Leads that every rep has an offer of."""

    def one(number: int) -> str:
        def work(connection: Connection) -> str:
            now_ms = hub.clock.wall_ms()
            contact = hub.leads.contacts.meet(
                connection, phone=str(6281300000000 + number), now_ms=now_ms
            )
            start = Beginning(contact=contact, source="form", consent_version="2026-11")
            lead = hub.leads.leads.begin(connection, start, now_ms)
            store.change(connection, lead.id, lat_udeg=-7_257_500, lon_udeg=112_752_100)
            known = store.lock(connection, lead.id)
            assert known is not None
            hub.leads.leads.qualify(connection, known, now_ms)
            return lead.id

        made: str = hub.database.write(work)
        return made

    return [one(number) for number in range(count)]


def tap_of(lead: str, turn: int, number: int) -> bytes:
    """A rep's tap as Meta delivers it."""
    reply = {"type": "button_reply", "button_reply": {"id": f"CLAIM_{lead}", "title": "Claim"}}
    sent_at = str(int(time.time()))  # a tap opens its sender's window only when it is new
    message = {"from": str(REP + turn), "id": f"wamid.{number}", "timestamp": sent_at}
    message |= {"type": "interactive", "interactive": reply}  # type: ignore[dict-item]
    value = {"metadata": {"phone_number_id": "1"}, "messages": [message]}
    change = {"field": "messages", "value": value}
    body = {"object": "whatsapp_business_account", "entry": [{"id": "w", "changes": [change]}]}
    return json.dumps(body).encode()


def check(hub: Hub, leads: Sequence[str], tappers: int) -> None:
    """One winner each, and everybody else has heard: a tap decided and an answer to say."""
    with hub.database.read() as connection:
        for lead in leads:
            known = store.get(connection, lead)
            assert known is not None, lead
            assert known.rep is not None, lead
            taps = [
                e.decision for e in timeline.events_of(connection, lead) if e.decision is not None
            ]
            assert taps.count("won") == 1, taps
            assert len(taps) == tappers, taps
            said = hub.leads.outbox.of(connection, lead)
            told = {row.to for row in said if row.kind == "too_slow"}
            assert len(told | {known.rep}) == tappers, told
