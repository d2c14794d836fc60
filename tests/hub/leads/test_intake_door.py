"""POST /api/v1/lead from outside: each answer of the contract, nothing stored for strangers."""

import hashlib
import hmac
import json

import pytest
from flask import Flask
from sqlalchemy import text

from hub.config import LeadsConfig
from hub.contacts.service import Contacts
from hub.errors import ConfigError
from hub.leads.desk import Desk
from hub.leads.intake import Intake
from hub.leads.places import locate
from hub.leads.routes import A_MINUTE, BODY_BYTES_MAX, IntakeDoor, intake_blueprint, read_keys
from hub.leads.service import Leads
from hub.ledger.service import Ledger
from tests.fakes.lead_market import Remembered, Town, a_dealer, a_rep
from tests.fakes.manual_clock import ManualClock

SECRET = b"correct-horse"
LEAD = {
    "source": "form",
    "name": "Siti",
    "phone": "0812-9999-0001",
    "place": "Wonokromo, Surabaya",
    "consent_version": "2026-11",
}


class Nobody:
    """No customers, no alerts."""

    def customer(self, _connection, _contact):
        return None

    def phones(self, _connection, _contacts):
        return {}

    def transcript(self, _connection, _lead, _limit):
        return []

    def unit(self, _connection, _serial):
        return None

    def raise_(self, *_arguments, **_values):
        return "alr_0"


@pytest.fixture
def door(database):
    """The door over a real database, with one dealer."""
    town = Town()
    town.add(a_dealer("D1"), a_rep(1, "D1"))
    clock, nobody = ManualClock(), Nobody()
    desk = Desk(
        directory=town,
        outbox=Remembered(),
        alerts=nobody,
        facts=Ledger,
        customers=nobody,
        settings=LeadsConfig(),
        clock=clock,
    )
    leads = Leads(database, desk, nobody)
    intake = Intake(desk, leads, Contacts(b"k" * 32), locate=locate)
    app = Flask("door")
    keys = {"sheet": SECRET}
    app.register_blueprint(
        intake_blueprint(IntakeDoor(database=database, intake=intake, keys=keys, clock=clock))
    )
    app.config["CLOCK"] = clock
    return app


def post(door, values, *, key="sheet", secret=SECRET, idempotency=None, skew_s=0, tamper=b""):
    """One signed request."""
    body = values if isinstance(values, bytes) else json.dumps(values).encode()
    stamp = str(door.config["CLOCK"].wall_ms() // 1000 + skew_s)
    signature = hmac.new(secret, stamp.encode() + b"." + body, hashlib.sha256).hexdigest()
    headers = {
        "X-Kickstand-Key": key,
        "X-Kickstand-Timestamp": stamp,
        "X-Kickstand-Signature": f"sha256={signature}",
    }
    if idempotency is not None:
        headers["Idempotency-Key"] = idempotency
    return door.test_client().post("/api/v1/lead", data=body + tamper, headers=headers)


def leads(database) -> int:
    """How many are stored."""
    with database.read() as connection:
        return connection.execute(text("SELECT count(*) FROM lead")).scalar()


def test_a_lead_is_new_once_and_its_replay_answers_the_same(door, database):
    """201, then 200 with the very answer; the same key with another body is 409."""
    first = post(door, LEAD, idempotency="row-7")
    again = post(door, LEAD, idempotency="row-7")
    other = post(door, LEAD | {"name": "Budi"}, idempotency="row-7")

    assert (first.status_code, again.status_code, other.status_code) == (201, 200, 409)
    assert first.json == again.json
    assert first.json["state"] == "QUALIFIED"
    assert leads(database) == 1


def test_the_same_person_again_is_a_duplicate(door):
    """By any writing of the number."""
    first = post(door, LEAD)
    second = post(door, LEAD | {"phone": "+62 812 9999 0001", "source": "tiktok"})

    assert (second.status_code, second.json["state"]) == (200, "DUPLICATE")
    assert second.json["duplicate_of"] == first.json["lead_id"]


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"key": "nobody"}, 401),
        ({"secret": b"wrong"}, 401),
        ({"tamper": b" "}, 401),
        ({"skew_s": 301}, 401),
        ({"skew_s": -301}, 401),
        ({"idempotency": "x" * 201}, 422),
    ],
)
def test_who_may_not_send_is_refused_and_nothing_is_stored(door, database, change, status):
    """A stranger, a changed body, an old signature."""
    assert post(door, LEAD, **change).status_code == status
    assert leads(database) == 0


@pytest.mark.parametrize(
    "body",
    [
        b"no json",
        b"[]",
        LEAD | {"phone": "021-5550000"},
        LEAD | {"phone": None, "email": None},
        LEAD | {"lat": "0", "lon": "0"},
        LEAD | {"payment": "gold"},
    ],
)
def test_what_cannot_be_a_lead_is_422_and_names_the_field(door, database, body):
    """So that the sheet can show the row in red with a reason."""
    answer = post(door, body)

    assert answer.status_code == 422
    assert answer.json["detail"]
    assert leads(database) == 0


def test_a_body_too_large_is_413(door):
    """Before it is read."""
    assert post(door, b" " * (BODY_BYTES_MAX + 1)).status_code == 413


def test_a_key_that_never_stops_is_asked_to_wait(door):
    """And is let in again afterwards."""
    statuses = [post(door, b"[]").status_code for _ in range(A_MINUTE)]
    refused = post(door, b"[]")
    door.config["CLOCK"].advance(60_000)

    assert set(statuses) == {422}
    assert (refused.status_code, refused.headers["Retry-After"]) == (429, "60")
    assert post(door, b"[]").status_code == 422


def test_a_keys_file_that_cannot_be_one_is_an_error(tmp_path):
    """Named with its line; comments and empty lines are fine."""
    path = tmp_path / "keys"
    path.write_text("# partners\n\nsheet correct-horse\n")
    assert read_keys(path) == {"sheet": SECRET}
    path.write_text("sheet\n")
    with pytest.raises(ConfigError, match="keys:1"):
        read_keys(path)
