"""Meta's door over HTTP: signed is stored and answered, all else is refused and counted."""

import pytest
from flask import Flask
from sqlalchemy.exc import OperationalError

from hub.doors import put_before
from hub.inbox.service import Inbox, Outcome
from hub.integrations.deliveries import BODY_BYTES_MAX
from hub.integrations.whatsapp.routes import (
    MetaDoor,
    WebhookSettings,
    is_signed,
    webhooks,
)
from hub.refusals import Refusals
from hub.store import Database
from tests.fakes.manual_clock import ManualClock
from tests.fakes.whatsapp_bodies import (
    VECTOR_BODY,
    VECTOR_SECRET,
    VECTOR_SIGNATURE,
    envelope,
    signed,
    value,
)

DOOR = "/webhooks/whatsapp"


class Kept:
    """An inbox that can be out of order."""

    def __init__(self):
        self.rows = []
        self.patient = []
        self.broken = False

    def keep(self, source, body, headers, *, patient=False):
        """Store, or fail as a database does."""
        if self.broken:
            raise OperationalError("INSERT", {}, OSError("disk full"))
        self.rows.append((source, body, dict(headers)))
        self.patient.append(patient)
        return f"inb_{len(self.rows)}"


@pytest.fixture
def inbox():
    """Nothing in it."""
    return Kept()


@pytest.fixture
def refusals():
    """None yet."""
    return Refusals("signature", "too-large", "challenge", "secret")


def door(inbox, refusals, *, quick=True, **settings):
    app = Flask(__name__)
    app.config["MAX_CONTENT_LENGTH"] = 1024
    shared = {"app_secret": VECTOR_SECRET, "verify_token": "verify"} | settings
    made = MetaDoor(inbox, WebhookSettings(**shared), refusals)
    app.register_blueprint(webhooks(made))
    if quick:
        put_before(app, made.quick())
    return app.test_client()


@pytest.fixture(params=[True, False], ids=["past Flask", "through Flask"])
def client(inbox, refusals, request):
    """The door in an app whose own limit is smaller."""
    return door(inbox, refusals, quick=request.param)


def post(client, body=VECTOR_BODY, signature=VECTOR_SIGNATURE):
    headers = {} if signature is None else {"X-Hub-Signature-256": signature}
    return client.post(DOOR, data=body, headers=headers, content_type="application/json")


def test_a_real_signature_opens_the_door(client, inbox, refusals):
    """Meta's own bytes with Meta's own signature are stored unchanged, with their headers."""
    answer = post(client)

    assert (200, b"") == (answer.status_code, answer.data)
    ((source, body, headers),) = inbox.rows
    assert ("whatsapp", VECTOR_BODY) == (source, body)
    assert {
        "Content-Type": "application/json",
        "X-Hub-Signature-256": VECTOR_SIGNATURE,
    }.items() <= (headers.items())
    assert 0 == sum(refusals.counts().values())


@pytest.mark.parametrize(
    "body", [b"", b"\xff\x00 not JSON", b"[" * 2000, b"x" * BODY_BYTES_MAX, b'{"object":"page"}']
)
def test_what_is_signed_is_kept_whatever_it_is(client, inbox, body):
    """The door reads no body: what nobody can read is stored for an admin to see."""
    answer = post(client, body, signed(body, VECTOR_SECRET))

    assert 200 == answer.status_code
    assert [body] == [row[1] for row in inbox.rows]


@pytest.mark.parametrize(
    ("body", "patient"),
    [
        (envelope({"statuses": [{"id": "wamid.1", "status": "read"}]}), True),
        (VECTOR_BODY, False),
        (envelope(value(statuses=[{"id": "x"}]), value(messages=[{"id": "y"}])), False),
        (envelope({"statuses": [{"id": "x"}]}, field="user_preferences"), False),
        (b"no JSON", False),
    ],
)
def test_only_what_became_of_our_own_messages_can_wait(client, inbox, body, patient):
    """A tap, a word, an opt-out or what nobody knows never waits behind statuses."""
    post(client, body, signed(body, VECTOR_SECRET))

    assert [patient] == inbox.patient


@pytest.mark.parametrize("place", [0, 100, len(VECTOR_BODY) - 1])
def test_a_flipped_byte_is_refused(client, inbox, refusals, place):
    """One bit of the body: 403, counted, and not stored."""
    flipped = bytearray(VECTOR_BODY)
    flipped[place] ^= 1

    answer = post(client, bytes(flipped))

    assert (403, "signature") == (answer.status_code, answer.get_json(force=True)["code"])
    assert [] == inbox.rows
    assert 1 == refusals.counts()["signature"]


@pytest.mark.parametrize(
    "signature",
    [
        None,
        "",
        VECTOR_SIGNATURE.removeprefix("sha256="),
        VECTOR_SIGNATURE.upper(),
        VECTOR_SIGNATURE[:-1],
        VECTOR_SIGNATURE + "0",
        "sha1=" + VECTOR_SIGNATURE.removeprefix("sha256="),
        "sha256=é",
        signed(VECTOR_BODY, "verify"),
    ],
)
def test_other_signatures_are_refused(client, inbox, refusals, signature):
    """Missing, cut, foreign, or made with the verify token: 403, and nothing is stored."""
    assert 403 == post(client, signature=signature).status_code
    assert [] == inbox.rows
    assert 1 == refusals.counts()["signature"]


def test_without_a_secret_nobody_is_let_in(inbox, refusals):
    """A hub whose settings lack the secret believes no signature, nor a challenge."""
    client = door(inbox, refusals, app_secret="", verify_token="")

    assert not is_signed(VECTOR_BODY, signed(VECTOR_BODY, ""), "")
    assert 403 == post(client, signature=signed(VECTOR_BODY, "")).status_code
    assert 403 == ask(client, **{"hub.verify_token": ""}).status_code
    assert [] == inbox.rows


def test_a_body_above_the_limit_is_refused(client, inbox, refusals):
    """413 at the first byte too many, signed or not."""
    body = b"x" * (BODY_BYTES_MAX + 1)

    answer = post(client, body, signed(body, VECTOR_SECRET))

    assert (413, "too-large") == (answer.status_code, answer.get_json(force=True)["code"])
    assert [] == inbox.rows
    assert 1 == refusals.counts()["too-large"]


def test_what_cannot_be_stored_is_not_answered_200(client, inbox):
    """Meta comes again, for days: the delivery is stored when the disk has room again."""
    inbox.broken = True
    refused = post(client)
    inbox.broken = False

    assert 503 == refused.status_code
    assert 200 == post(client).status_code
    assert 1 == len(inbox.rows)


def test_the_real_inbox_stands_behind_the_door(sqlite_url, refusals):
    """A delivery is a row that can be read again, as it came, once the door has answered."""
    database = Database(sqlite_url)
    inbox = Inbox(database, ManualClock())
    read = []

    def handle(_connection, row):
        read.append((row.source, row.body))
        return Outcome("done")

    assert 200 == post(door(inbox, refusals)).status_code
    inbox.step(handle)
    database.close()

    assert [("whatsapp", VECTOR_BODY)] == read


def ask(client, **change):
    query = {"hub.mode": "subscribe", "hub.verify_token": "verify", "hub.challenge": "1158201444"}
    return client.get(DOOR, query_string=query | change)


def test_the_challenge_comes_back_bare(client):
    """200 and the challenge as plain text."""
    answer = ask(client)

    assert (200, b"1158201444", "text/plain") == (
        answer.status_code,
        answer.data,
        answer.mimetype,
    )


@pytest.mark.parametrize(
    "change",
    [
        {"hub.verify_token": "verify2"},
        {"hub.verify_token": ""},
        {"hub.verify_token": "é"},
        {"hub.mode": "unsubscribe"},
        {"hub.challenge": ""},
        {"hub.challenge": "x" * 257},
    ],
)
def test_a_stranger_s_challenge(client, refusals, change):
    """403 and counted."""
    assert 403 == ask(client, **change).status_code
    assert 1 == refusals.counts()["challenge"]


def test_a_door_without_its_question(client):
    """A browser that just looks gets 403."""
    assert 403 == client.get(DOOR).status_code
