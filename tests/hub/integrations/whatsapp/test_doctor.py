"""The doctor and the template commands, against the Graph stand-in and our own real door."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from click.testing import CliRunner
from flask import Flask

from firmware_sim.providers.graph import Graph as MetaStandIn
from firmware_sim.providers.whatsapp import WhatsApp
from hub.integrations.commands import whatsapp_group
from hub.integrations.whatsapp.account import MetaAccount, limit_of
from hub.integrations.whatsapp.doctor import examine
from hub.integrations.whatsapp.graph import Answer
from hub.integrations.whatsapp.routes import MetaDoor, webhooks
from hub.integrations.whatsapp.settings import MetaNumber, MetaSettings
from hub.integrations.whatsapp.template_shelf import ShelfUnreadable
from hub.refusals import Refusals
from shared.clock import Clock
from tests.fakes.manual_clock import ManualClock
from tests.fakes.scripted_server import scripted_server
from tests.fakes.served_app import served

NUMBER = MetaNumber(name="reps", phone="6281100000002", phone_number_id="1122334455667")
NOW_S = 1_800_000_000


@dataclass
class OpenHub:
    """The hub, as far as the commands know it; its own context object too."""

    clock: Clock
    whatsapp: MetaAccount
    qontak: None = None
    kept: list[bytes] = field(default_factory=list)

    @property
    def hub(self) -> "OpenHub":
        """Itself."""
        return self

    def keep(self, _source: str, body: bytes, _headers: object, *, patient: bool = False) -> str:
        """Be the inbox."""
        del patient
        self.kept.append(body)
        return f"inb_{len(self.kept)}"

    def run(self, *words: str) -> tuple[int, Any]:
        """Exit code, and what `--json` printed."""
        result = CliRunner().invoke(whatsapp_group, [*words, "--json"], obj=self)
        return result.exit_code, json.loads(result.stdout) if result.stdout else result.stderr


@pytest.fixture
def meta() -> Iterator[MetaStandIn]:
    """The account at Meta."""
    clock = ManualClock()
    stand_in = MetaStandIn(WhatsApp(clock), clock=clock)
    stand_in.add_number(NUMBER.phone, NUMBER.phone_number_id)
    stand_in.start()
    yield stand_in
    stand_in.stop()


def settings_of(meta: MetaStandIn, public_url: str = "https://hub.invalid") -> MetaSettings:
    return MetaSettings(
        public_url=public_url,
        waba_id=meta.waba_id,
        access_token=meta.access_token,
        app_secret=meta.app_secret,
        verify_token="verify",
        numbers=(NUMBER,),
        templates={"offer": ["lead_offer_v1"], "won": []},
        lifetimes_s={"offer": 300},
        api_url=meta.url,
    )


@pytest.fixture
def hub(meta: MetaStandIn) -> Iterator[OpenHub]:
    """A hub whose door is served, subscribed and has its templates."""
    app = Flask(__name__)
    hub = OpenHub(ManualClock(), MetaAccount(settings_of(meta)))
    app.register_blueprint(webhooks(MetaDoor(hub, hub.whatsapp.webhook_settings, Refusals())))
    with served(app) as url:
        hub.whatsapp = MetaAccount(settings_of(meta, url))
        hub.whatsapp.shelf.push()
        meta.subscribe(f"{url}/webhooks/whatsapp", "verify")
        yield hub


def verdicts(account: MetaAccount) -> dict[str, str]:
    """The worst verdict of each check."""
    order = ["good", "note", "wrong"]
    found: dict[str, str] = {}
    for finding in examine(account, NOW_S):
        worst = max(order.index(found.get(finding.check, "good")), order.index(finding.verdict))
        found[finding.check] = order[worst]
        assert finding.fix or finding.verdict == "good"
        assert (account.settings.access_token or "\0") not in finding.detail + finding.fix
    return found


def test_an_account_in_order(hub):
    """Everything is good, but for the plain http of a test; the command exits with 0."""
    assert {
        "settings": "note",
        "token": "good",
        "account": "good",
        "webhooks": "good",
        "number reps": "good",
        "templates offer": "good",
        "door": "good",
    } == verdicts(hub.whatsapp)
    exit_code, answer = hub.run("doctor")
    assert 0 == exit_code
    assert {"check", "verdict", "detail", "fix"} == set(answer["items"][0])


@pytest.mark.parametrize(
    ("change", "check"),
    [
        ({"access_token": ""}, "settings"),
        ({"app_secret": ""}, "settings"),
        ({"numbers": ()}, "settings"),
        ({"numbers": (replace(NUMBER, phone_number_id=""),)}, "settings"),
        ({"numbers": (NUMBER, replace(NUMBER, name="again"))}, "settings"),
        ({"access_token": "another"}, "token"),
        ({"waba_id": "5"}, "account"),
        ({"numbers": (replace(NUMBER, phone_number_id="5"),)}, "number reps"),
        ({"numbers": (replace(NUMBER, phone="6281100000009"),)}, "number reps"),
        ({"templates": {}}, "templates offer"),
        ({"templates": {"offer": ["lead_offer_v2"]}}, "templates offer"),
        ({"api_url": "http://127.0.0.1:1"}, "graph"),
        ({"api_url": "nonsense"}, "graph"),
        ({"public_url": "http://127.0.0.1:1"}, "door"),
        ({"verify_token": "another"}, "door"),
    ],
)
def test_what_is_wrong_is_named(hub, change, check):
    """Each mistake is found by its check, with what to do about it."""
    account = MetaAccount(replace(hub.whatsapp.settings, **change))

    assert "wrong" == verdicts(account)[check]


def test_a_subscription_that_is_missing(meta):
    """Without a subscribed app nothing comes in, whatever else is right."""
    assert "wrong" == verdicts(MetaAccount(settings_of(meta)))["webhooks"]


def test_templates_that_need_somebody(hub, meta):
    """Marketing, rejected in one language, other words than ours: each is a note."""
    meta.templates.recategorise(meta.templates.find("lead_offer_v1", "id"), "MARKETING")
    meta.templates.become(meta.templates.find("lead_offer_v1", "en"), "REJECTED")
    slower = MetaAccount(replace(hub.whatsapp.settings, lifetimes_s={"offer": 900}))

    notes = [
        finding.detail for finding in examine(slower, NOW_S) if finding.check == "templates offer"
    ]

    assert [
        "none is approved in en",
        "not a utility template: lead_offer_v1",
        "differs from our file: lead_offer_v1",
        "first in use: lead_offer_v1 (id)",
    ] == notes


@pytest.mark.parametrize(
    ("told", "verdict"),
    [
        ({"is_valid": True, "expires_at": 0}, "good"),
        ({"is_valid": True, "expires_at": NOW_S + 86_400}, "note"),
        ({"is_valid": True, "expires_at": NOW_S + 86_400 * 60}, "good"),
        ({"is_valid": False}, "wrong"),
        ({"is_valid": True, "scopes": ["whatsapp_business_messaging"]}, "wrong"),
        ({}, "wrong"),
    ],
)
def test_what_a_token_may_do(meta, told, verdict):
    """Expiry and permissions, as far as Meta tells them."""
    with scripted_server() as server:
        server.answers = [(200, {"data": told}), (500, b"")]
        account = MetaAccount(replace(settings_of(meta), api_url=server.url))

        assert verdict == verdicts(account)["token"]


@pytest.mark.parametrize(
    "answer", [(200, b"\xff"), (200, [1]), (500, b""), (200, {"data": 5, "status": 7}), (302, b"")]
)
def test_the_doctor_survives_any_answer(meta, answer):
    """Nonsense from whoever answers is a finding."""
    with scripted_server() as server:
        server.answers = [answer]
        account = MetaAccount(replace(settings_of(meta, server.url), api_url=server.url))

        assert "wrong" in verdicts(account).values()


def test_pushing_and_looking(hub, meta):
    """`templates push` is idempotent, `status` shows the state; a refusal exits with 1."""
    assert {"unchanged"} == {row["done"] for row in hub.run("templates", "push")[1]["items"]}
    exit_code, answer = hub.run("templates", "status")
    assert 0 == exit_code
    assert [("lead_offer_v1", "id", "APPROVED"), ("lead_offer_v1", "en", "APPROVED")] == [
        (row["name"], row["language"], row["state"]) for row in answer["items"]
    ]


def test_commands_that_cannot_ask(hub):
    """Without an account, or with a token that Meta refuses: exit 1 with the reason."""
    refused = replace(hub.whatsapp.settings, access_token="another")
    exit_code, said = hub.run("doctor", "--register")
    assert (1, True) == (exit_code, "nobody to register with" in said)
    for settings, reason in ((replace(refused, waba_id=""), "waba_id"), (refused, "190")):
        unable = OpenHub(hub.clock, MetaAccount(settings))
        assert 1 == unable.run("doctor")[0]
        for words in (("templates", "status"), ("templates", "push")):
            exit_code, said = unable.run(*words)
            assert 1 == exit_code
            assert reason in said


@pytest.mark.parametrize(
    ("tier", "limit"),
    [
        ("TIER_250", 250),
        ("TIER_2K", 2000),
        ("TIER_100K", 100_000),
        ("TIER_UNLIMITED", None),
        ("TIER_NOT_SET", 250),
        (7, 250),
    ],
)
def test_how_many_strangers_may_be_written_to(tier, limit):
    """Meta's tier as a number; what is not understood is the first tier."""
    assert limit == limit_of(Answer(200, {"whatsapp_business_manager_messaging_limit": tier}))


def test_the_limit_of_an_account(meta):
    """The first tier's until Meta has said more; what it said last stays while nobody answers."""
    account = MetaAccount(settings_of(meta))
    meta.whatsapp.limits.messaging_limit = 2000
    assert 250 == account.messaging_limit
    account.refresh()
    assert 2000 == account.messaging_limit

    nobody = MetaAccount(replace(settings_of(meta), api_url="http://127.0.0.1:1"))
    nobody.messaging_limit = 2000
    with pytest.raises(ShelfUnreadable):
        nobody.refresh()
    assert 2000 == nobody.messaging_limit
