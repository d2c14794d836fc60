"""Customers and reps play a whole lead over the Graph stand-in, and see what goes wrong."""

import csv
import itertools
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import orjson
import pytest
import requests

from firmware_sim.people.contest import Contest
from firmware_sim.people.crowd import Crowd, CrowdPlan, write_models
from firmware_sim.people.customer import Temper
from firmware_sim.people.rep import Habits
from firmware_sim.places import places
from firmware_sim.processes import wait_until
from firmware_sim.providers.graph import Graph
from firmware_sim.providers.http_server import Answer, LoopbackServer, Request
from firmware_sim.providers.whatsapp import WhatsApp
from shared.clock import SystemClock

BRAND, NUMBER_ID = "6281100000001", "1122334455667"


def reply(option_id: str, title: str) -> dict[str, Any]:
    """A button."""
    return {"type": "reply", "reply": {"id": option_id, "title": title}}


def buttons(text: str, *options: dict[str, Any]) -> dict[str, Any]:
    """An interactive message."""
    return {
        "type": "interactive",
        "interactive": {
            "type": "button",
            "body": {"text": text},
            "action": {"buttons": list(options)},
        },
    }


LOCATION = {
    "type": "interactive",
    "interactive": {
        "type": "location_request_message",
        "body": {"text": "Di mana?"},
        "action": {"name": "send_location"},
    },
}
PAYMENT = buttons("Bayar?", reply("pay_cash", "Tunai"), reply("pay_instalments", "Cicilan"))


@dataclass
class Desk:
    """A hub of two questions. `generous` gives the lead to everybody who taps."""

    url: str
    token: str
    reps: list[str]
    generous: bool = False
    mute: bool = False
    winners: dict[str, str] = field(default_factory=dict)
    heard: list[tuple[str, str]] = field(default_factory=list)
    _leads: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def answer(self, request: Request) -> Answer:
        """A webhook."""
        for entry in orjson.loads(request.body)["entry"]:
            for change in entry["changes"]:
                for message in change["value"].get("messages", []):
                    with self._lock:
                        self._take(message)
        return Answer(200)

    def _take(self, message: dict[str, Any]) -> None:
        who, kind = message["from"], message["type"]
        if kind == "interactive":
            self._tap(who, message["interactive"]["button_reply"]["id"])
        elif kind == "location":
            self.heard.append((who, "pin"))
            self.say(who, PAYMENT)
        elif kind == "text":
            self.heard.append((who, message["text"]["body"]))
            if who not in self.reps and message["text"]["body"].startswith("Halo"):
                self.say(who, LOCATION)

    def _tap(self, who: str, option: str) -> None:
        self.heard.append((who, option))
        if option.startswith("pay_"):
            lead = f"led_{next(self._leads)}"
            for rep in self.reps:
                claim, skip = reply(f"CLAIM_{lead}", "Claim"), reply(f"SKIP_{lead}", "Lewati")
                self.say(rep, buttons("Lead baru", claim, skip))
        elif option.startswith("CLAIM_") and not self.mute:
            lead = option.removeprefix("CLAIM_")
            if self.generous or self.winners.setdefault(lead, who) == who:
                self.say(who, buttons("Milik Anda", reply(f"CONTACTED_{lead}", "Contacted")))
            else:
                self.say(who, {"type": "text", "text": {"body": "❌ Too Slow. Rep lebih cepat"}})

    def say(self, to: str, content: dict[str, Any]) -> None:
        """Through the Graph API."""
        answer = requests.post(
            f"{self.url}/v25.0/{NUMBER_ID}/messages",
            json={"messaging_product": "whatsapp", "to": to, **content},
            headers={"Authorization": f"Bearer {self.token}"},
            timeout=10,
        )
        assert answer.status_code == 200, answer.text


@dataclass
class Town:
    """Everybody, and the desk they write to."""

    crowd: Crowd
    contest: Contest
    desk: Desk
    graph: Graph
    lines: list[tuple[str, ...]]

    def until(self, what: str) -> bool:
        """Has a rep's button or a customer's word come to the desk?"""
        return any(said.startswith(what) for _, said in self.desk.heard)

    def wait(self, what: str) -> None:
        """Until it has."""
        wait_until(lambda: self.until(what), what=what, deadline_ms=20_000)


@pytest.fixture
def town() -> Iterator[Town]:
    """One dealer with four quick reps."""
    clock, lines = SystemClock(), []
    whatsapp = WhatsApp(clock)
    graph = Graph(whatsapp, clock=clock)
    graph.add_number(BRAND, NUMBER_ID)
    contest = Contest(lambda *words: lines.append(words))
    plan = CrowdPlan(
        network=places(1),
        reps_per_dealer=4,
        customers_number=BRAND,
        reps_number=BRAND,
        habits=Habits(reaction_ms=(5, 60), follow_up_ms=(5, 20)),
    )
    crowd = Crowd(plan, whatsapp=whatsapp, contest=contest, clock=clock)
    desk = Desk(graph.url, graph.access_token, [rep.person.phone for rep in crowd.reps])
    door = LoopbackServer(desk.answer)
    whatsapp.start()
    graph.start()
    door.start()
    graph.post_to(door.url)
    crowd.come_on_duty()
    wait_until(lambda: len(desk.heard) == 4, what="reps on duty", deadline_ms=20_000)
    try:
        yield Town(crowd, contest, desk, graph, lines)
    finally:
        whatsapp.stop()
        graph.stop()
        door.stop()


def test_a_customer_answers_and_the_fastest_rep_wins(town):
    """Pin and payment as wished; one card, three told that they were too slow, all timed."""
    customer = town.crowd.customer(Temper.PINS)
    customer.begin()
    town.wait("CONTACTED_led_1")
    wait_until(lambda: not town.contest.untold(), what="losers told", deadline_ms=20_000)
    wait_until(
        lambda: len(town.contest.tap_to_decision_ms()) == 4, what="all decided", deadline_ms=20_000
    )

    [race] = town.contest.races()
    assert race.lead == "led_1"
    assert {card.rep for card in race.cards} == {town.desk.winners["led_1"]}
    assert len(race.too_slow) == 3
    assert (customer.person.phone, f"pay_{customer.wishes.payment}") in town.desk.heard
    assert (1, 1, []) == (
        town.contest.leads(),
        town.contest.claimed(),
        town.contest.double_winners(),
    )
    assert [line[2] for line in town.lines].count("too slow") == 3


def test_two_winners_of_one_lead_are_seen(town):
    """A desk that gives the lead to everybody is found out by the reps themselves."""
    town.desk.generous = True
    town.crowd.customer(Temper.PINS).begin()
    wait_until(lambda: bool(town.contest.double_winners()), what="a double", deadline_ms=20_000)

    assert town.contest.double_winners()[0][0] == "led_1"


def test_a_tap_that_nobody_answers_is_seen(town):
    """Every tapper is owed a word."""
    town.desk.mute = True
    town.crowd.customer(Temper.PINS).begin()
    wait_until(lambda: len(town.contest.untold()) == 4, what="four taps", deadline_ms=20_000)

    assert town.contest.claimed() == 0


def test_a_lead_that_came_free_is_won_again_without_blame():
    """After *Lost*, or the customer's *nobody called*, the next card is no double winner."""
    contest = Contest(hold_ms=1_000)
    contest.got_card("led_1", rep="a", store="S", at_ms=0)
    contest.let_go("led_1")
    contest.got_card("led_1", rep="b", store="S", at_ms=500)
    contest.got_card("led_1", rep="b", store="S", at_ms=600)
    assert contest.double_winners() == []

    contest.got_card("led_1", rep="a", store="S", at_ms=700)
    contest.got_card("led_1", rep="b", store="S", at_ms=2_000)
    assert contest.double_winners() == [("led_1", "b", "a")]


@pytest.mark.parametrize(
    ("temper", "said"),
    [(Temper.TYPES, "Jakarta"), (Temper.HUMAN, "ORANG"), (Temper.STUTTERS, "pay_")],
)
def test_customers_have_their_ways(town, temper, said):
    """One types the place, one wants a human, one sends everything twice."""
    town.crowd.customer(temper).begin()

    town.wait(said)
    assert "Halo, saya tertarik motor listrik" in [words for _, words in town.desk.heard]
    if temper is Temper.STUTTERS:
        assert [words for _, words in town.desk.heard].count("pin") >= 2


def test_one_who_stops_says_so_once_and_one_who_is_silent_says_nothing(town):
    """STOP after the first answer; the silent one is only ever heard with hello."""
    silent = town.crowd.customer(Temper.SILENT)
    silent.begin()
    town.crowd.customer(Temper.STOPS).begin()
    town.wait("STOP")

    said = [words for who, words in town.desk.heard if who == silent.person.phone]
    assert said == ["Halo, saya tertarik motor listrik"]


def test_the_lists_are_those_the_hub_reads(town, tmp_path):
    """Columns of the contract; each rep once, opted in, with a phone of their own."""
    town.crowd.write_people(tmp_path / "people.csv")
    write_models(tmp_path / "models.csv")

    with (tmp_path / "people.csv").open(encoding="utf-8") as file:
        people = list(csv.DictReader(file))
    assert [row["phone"] for row in people] == [rep.person.phone for rep in town.crowd.reps]
    assert {(row["role"], row["dealers"], row["regions"]) for row in people} == {
        ("rep", "JKT01", "")
    }
    assert all(row["wa_opt_in_at"] for row in people)
    assert (tmp_path / "models.csv").read_text(encoding="utf-8").startswith("code,name,")
