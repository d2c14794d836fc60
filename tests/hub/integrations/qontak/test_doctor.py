"""What keeps Qontak's messages from coming or going is named, with what to do about it."""

import pytest
from flask import Flask

from firmware_sim.providers.qontak import Qontak
from firmware_sim.providers.whatsapp import WhatsApp
from hub.config import parse_config
from hub.integrations.qontak.account import connect
from hub.integrations.qontak.doctor import examine, register
from hub.integrations.qontak.routes import QontakDoor, webhooks
from hub.refusals import Refusals
from hub.store import Database
from tests.fakes.manual_clock import ManualClock
from tests.fakes.served_app import served

BRAND = "6281100000001"
SETTINGS = """
[server]
public_url = "{door}"
[qontak]
api_url = "{api}"
client_id = "simulated-client"
client_secret_file = "{folder}/secret"
{word}
[[numbers]]
name = "brand"
channel = "qontak"
serves = "customers"
phone = "6281100000001"
channel_integration_id = "{integration}"
"""


class Unkept:
    """An inbox that nothing reaches: the doctor only looks at its door."""

    def keep(self, source, body, headers, *, patient=False):
        raise AssertionError((source, body, headers, patient))


class Place:
    """A Qontak, a hub's door, and the settings between them."""

    def __init__(self, folder, door):
        self.folder, self.door = folder, door
        self.clock = ManualClock()
        self.qontak = Qontak(WhatsApp(self.clock), clock=self.clock)
        self.integration = self.qontak.add_channel(BRAND)
        for name in ("lead_greeting_v1", "customer_update_v1"):
            for language in ("id", "en"):
                self.qontak.templates.approved(name, language, "Halo {{1}}")
        self.secret = "simulated-secret"
        self.word = f'webhook_secret_file = "{folder}/word"'

    def account(self):
        """The hub's side."""
        (self.folder / "secret").write_text(self.secret)
        (self.folder / "word").write_text("a-word")
        text = SETTINGS.format(
            door=self.door, api=self.qontak.url, folder=self.folder, word=self.word,
            integration=self.integration,
        )  # fmt: skip
        database = Database(f"sqlite:///{self.folder}/hub.db")
        return connect(parse_config(text), database, self.clock)

    def verdicts(self):
        """By check."""
        found = examine(self.account(), self.door)
        assert all(finding.fix for finding in found if finding.verdict != "good")
        assert "a-word" not in repr(found)
        # Of several findings of one check the worst: good before note before wrong.
        found.sort(key=lambda finding: finding.verdict)
        return {finding.check: finding.verdict for finding in found}


@pytest.fixture
def place(tmp_path):
    """Everything as it should be."""
    app = Flask("hub")
    app.register_blueprint(webhooks(QontakDoor(Unkept(), "a-word", Refusals())))
    with served(app) as door:
        made = Place(tmp_path, door)
        made.qontak.start()
        yield made
        made.qontak.stop()


WELL = {
    "qontak settings": "note",  # a test's door is not https
    "qontak account": "good",
    "number brand": "good",
    "qontak templates greeting": "good",
    "qontak templates customer_update": "good",
    "qontak door": "good",
    "qontak webhooks": "note",
}


def test_all_is_well_and_what_qontak_does_not_say_is_not_called_good(place):
    """Nothing is wrong; which webhooks are registered cannot be asked."""
    assert WELL == place.verdicts()


def test_registering_tells_qontak_our_address(place):
    """Twice is as good as once; customers, statuses and broadcasts come to the door's secret."""
    for _ in range(2):
        found = register(place.account(), place.door)

    assert {"qontak webhooks": "good", "qontak rooms": "note"} == {
        finding.check: finding.verdict for finding in found
    }
    assert f"{place.door}/webhooks/qontak/a-word" == place.qontak.courier.url
    telling = place.qontak.telling
    assert all((telling.from_customer, telling.statuses, telling.broadcasts))


def _wrong_secret(place):
    place.secret = "another"


def _no_word(place):
    place.word = ""


def _wrong_number(place):
    place.integration = "b3a2"


def _no_template(place):
    for template in place.qontak.templates.all():
        if template.name == "lead_greeting_v1":
            template.status = "REJECTED"


def _no_hub(place):
    place.door = "http://127.0.0.1:1"


@pytest.mark.parametrize(
    ("spoil", "check"),
    [
        (_wrong_secret, "qontak account"),
        (_no_word, "qontak settings"),
        (_wrong_number, "number brand"),
        (_no_template, "qontak templates greeting"),
        (_no_hub, "qontak door"),
    ],
)
def test_what_is_wrong_is_named_with_its_fix(place, spoil, check):
    """One thing spoilt, and that one is found."""
    spoil(place)

    assert "wrong" == place.verdicts()[check]


def test_nothing_is_registered_without_a_secret_or_against_a_refusal(place):
    """An address that anybody may post to is not given away; a refusal is told."""
    place.word = ""
    [finding] = register(place.account(), place.door)
    assert ("qontak settings", "wrong") == (finding.check, finding.verdict)
    assert place.qontak.courier is None

    _no_word(place)
    place.word = f'webhook_secret_file = "{place.folder}/word"'
    place.secret = "another"
    [finding] = register(place.account(), place.door)
    assert "wrong" == finding.verdict
