"""Qontak's door over HTTP: the right word is stored and answered, all else is nowhere."""

import pytest
from flask import Flask
from sqlalchemy.exc import OperationalError

from hub.doors import put_before
from hub.integrations.deliveries import BODY_BYTES_MAX
from hub.integrations.qontak.routes import QontakDoor, webhooks
from hub.refusals import Refusals
from tests.fakes.qontak_bodies import body, interaction

SECRET = "a-word-nobody-guesses"
DOOR = f"/webhooks/qontak/{SECRET}"


class Kept:
    """An inbox that can be out of order."""

    def __init__(self):
        self.rows = []
        self.broken = False

    def keep(self, source, body, headers, *, patient=False):
        """Store, or fail as a database does."""
        assert not patient, "it may hold a customer's words"
        if self.broken:
            raise OperationalError("INSERT", {}, OSError("disk full"))
        self.rows.append((source, body, dict(headers)))
        return f"inb_{len(self.rows)}"


@pytest.fixture
def inbox():
    """Nothing in it."""
    return Kept()


@pytest.fixture
def refusals():
    """None yet."""
    return Refusals("signature", "too-large", "challenge", "secret")


def door(inbox, refusals, secret=SECRET, *, quick=True):
    app = Flask(__name__)
    app.config["MAX_CONTENT_LENGTH"] = 1024
    made = QontakDoor(inbox, secret, refusals)
    app.register_blueprint(webhooks(made))
    if quick:
        put_before(app, made.quick())
    return app.test_client()


@pytest.fixture(params=[True, False], ids=["past Flask", "through Flask"])
def client(inbox, refusals, request):
    """The door in an app whose own limit is smaller."""
    return door(inbox, refusals, quick=request.param)


@pytest.mark.parametrize(
    "sent", [body(interaction()), b"", b"\xff\x00 not JSON", b"[" * 2000, b"x" * BODY_BYTES_MAX]
)
def test_the_right_word_opens_the_door(client, inbox, refusals, sent):
    """Whatever comes is stored as it came, and answered 200; the word is not stored with it."""
    answer = client.post(DOOR, data=sent, content_type="application/json")

    assert (200, b"") == (answer.status_code, answer.data)
    ((source, stored, headers),) = inbox.rows
    assert ("qontak", sent) == (source, stored)
    assert "application/json" == headers["Content-Type"]
    assert SECRET not in repr(headers)
    assert 0 == sum(refusals.counts().values())


@pytest.mark.parametrize("given", ["x", SECRET[:-1], SECRET + "x", SECRET.upper(), "é", "%00", "-"])
def test_another_word_leads_nowhere(client, inbox, refusals, given):
    """404, counted, nothing stored."""
    answer = client.post(f"/webhooks/qontak/{given}", data=b"{}")

    assert 404 == answer.status_code
    assert [] == inbox.rows
    assert 1 == refusals.counts()["secret"]


@pytest.mark.parametrize("path", ["/webhooks/qontak", "/webhooks/qontak/", f"{DOOR}/more"])
def test_no_word_leads_nowhere(client, inbox, path):
    """404 as for any address that does not exist."""
    assert 404 == client.post(path, data=b"{}").status_code
    assert [] == inbox.rows


@pytest.mark.parametrize("given", ["", "x", "%20"])
def test_without_a_secret_nobody_is_let_in(inbox, refusals, given):
    """A hub whose settings lack the secret believes nobody."""
    answer = door(inbox, refusals, secret="").post(f"/webhooks/qontak/{given}", data=b"{}")

    assert 404 == answer.status_code
    assert [] == inbox.rows


def test_a_body_above_the_limit_is_refused(client, inbox, refusals):
    """413 at the first byte too many: it cannot be stored, and so is not answered 200."""
    answer = client.post(DOOR, data=b"x" * (BODY_BYTES_MAX + 1))

    assert 413 == answer.status_code
    assert [] == inbox.rows
    assert 1 == refusals.counts()["too-large"]


def test_what_cannot_be_stored_is_not_answered_200(client, inbox):
    """Qontak comes again when the disk has room again."""
    inbox.broken = True
    refused = client.post(DOOR, data=b"{}")
    inbox.broken = False

    assert 503 == refused.status_code
    assert 200 == client.post(DOOR, data=b"{}").status_code
