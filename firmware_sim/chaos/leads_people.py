"""Customers, reps and the vendor between them and the hub, without a thread or a socket."""

import itertools
import json
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Final

from firmware_sim.chaos.clocks import TrueTime
from firmware_sim.chaos.disk import PowerCut
from hub.inbox.service import Inbox
from hub.integrations.whatsapp.routes import tells_statuses_only
from hub.outbox.messages import Accepted, Address, Failed, Rendered
from hub.outbox.sender import Sender

REPEATED: Final = 0.25
INTEGRATION: Final = "0f4d2c1e-0000-4000-8000-000000000001"
NEARBY: Final = (-7.2575, 112.7521)
ERASE_ME: Final = "HAPUS DATA SAYA"


@dataclass(slots=True)
class Party:
    """Somebody with WhatsApp."""

    phone: str
    rep: bool
    erases: bool
    answers: int = 0
    tapped: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    """By lead the ids of this rep's taps on *Claim* that reached the hub."""
    skips: set[str] = field(default_factory=set)
    """Ids of this rep's taps on *Skip* that reached the hub: late, they are decided like claims."""
    erased: bool = False
    """Whether they have asked for it, and the hub has taken that."""
    wrote: set[str] = field(default_factory=set)
    came_back: bool = False
    """Whether something new of theirs came after that: then they are known anew."""


@dataclass(frozen=True, slots=True)
class Webhook:
    """A body on its way, and what it is if it is a tap on *Claim*."""

    body: bytes
    party: Party | None = None
    wamid: str = ""
    claims: str | None = None
    kind: str = ""
    """skip, erase or nothing of note."""
    source: str = "whatsapp"


class Network:
    """Webhooks in any order, some of them again, each until it was answered 200."""

    def __init__(self, random: Random, true: TrueTime, *, by_qontak: bool = False) -> None:
        """Nothing is on its way. `by_qontak`: customers' messages come by its two roads."""
        self._random, self._true, self._by_qontak = random, true, by_qontak
        self._numbers = itertools.count(1)
        self.waiting: list[Webhook] = []
        self.faulty = False
        self.reps: set[str] = set()
        """Their phones."""
        self.heard: set[str] = set()
        """Phones of those whose words the hub has taken."""

    def says(self, party: Party, text: str) -> None:
        """Words."""
        kind = "erase" if text == ERASE_ME else ""
        self._message(party, {"type": "text", "text": {"body": text}}, kind=kind)

    def pins(self, party: Party) -> None:
        """A place."""
        where = {"latitude": NEARBY[0], "longitude": NEARBY[1]}
        self._message(party, {"type": "location", "location": where})

    def taps(self, party: Party, button: str, title: str) -> None:
        """A button."""
        reply = {"type": "button_reply", "button_reply": {"id": button, "title": title}}
        lead = button.removeprefix("CLAIM_") if button.startswith("CLAIM_") else None
        kind = "skip" if button.startswith("SKIP_") else ""
        content: dict[str, object] = {"type": "interactive", "interactive": reply}
        self._message(party, content, claims=lead, kind=kind)

    def _message(
        self,
        party: Party,
        content: dict[str, object],
        *,
        claims: str | None = None,
        kind: str = "",
    ) -> None:
        wamid = f"wamid.{next(self._numbers)}"
        stamp = str(self._true.now_ms // 1000)
        message = {"from": party.phone, "id": wamid, "timestamp": stamp} | content
        bodies, source = [_body({"messages": [message]})], "whatsapp"
        if self._by_qontak and not party.rep:
            bodies, source = list(qontak_bodies(party.phone, message)), "qontak"
        self.waiting += [Webhook(body, party, wamid, claims, kind, source) for body in bodies]

    def tells(self, provider_id: str, out_id: str, status: str, *, to: str) -> None:
        """What became of a message."""
        if self._by_qontak and out_id and to not in self.reps:
            body = qontak_status(to, provider_id, status)
            self.waiting.append(Webhook(body, source="qontak"))
            return
        told = {"id": provider_id, "status": status, "biz_opaque_callback_data": out_id}
        self.waiting.append(Webhook(_body({"statuses": [told]})))

    def deliver(self, inbox: Inbox) -> None:
        """One of those on their way; it stays there unless it was answered, or is repeated."""
        if not self.waiting:
            return
        place = self._random.randrange(len(self.waiting)) if self.faulty else 0
        webhook = self.waiting[place]
        patient = webhook.source == "whatsapp" and tells_statuses_only(webhook.body)
        inbox.keep(webhook.source, webhook.body, {}, patient=patient)
        if webhook.party is not None:
            self.heard.add(webhook.party.phone)
            webhook.party.came_back |= webhook.party.erased and (
                webhook.wamid not in webhook.party.wrote
            )
            webhook.party.wrote.add(webhook.wamid)
            if webhook.claims is not None:
                webhook.party.tapped[webhook.claims].add(webhook.wamid)
            if webhook.kind == "skip":
                webhook.party.skips.add(webhook.wamid)
            webhook.party.erased |= webhook.kind == "erase"
        if not (self.faulty and self._random.random() < REPEATED):
            del self.waiting[place]


def _body(value: dict[str, object]) -> bytes:
    value = {"metadata": {"phone_number_id": "1"}} | value
    change = {"field": "messages", "value": value}
    entry = {"id": "w", "changes": [change]}
    return json.dumps({"object": "whatsapp_business_account", "entry": [entry]}).encode()


def _room(phone: str) -> dict[str, object]:
    return {
        "id": f"room-{phone}",
        "status": "unassigned",
        "session": "open",
        "account_uniq_id": phone,
        "channel_integration_id": INTEGRATION,
    }


def qontak_bodies(phone: str, message: Mapping[str, object]) -> tuple[bytes, bytes]:
    """One message by both roads: what it shows, and Meta's own words of it."""
    text, interactive = message.get("text"), message.get("interactive")
    shown = text["body"] if isinstance(text, dict) else ""
    if isinstance(interactive, dict):
        shown = interactive["button_reply"]["title"]
    plain = {
        "id": f"own-{message['id']}",
        "external_id": message["id"],
        "type": "location" if "location" in message else "text",
        "room_id": f"room-{phone}",
        "participant_type": "customer",
        "text": shown,
        **({"location": message["location"]} if "location" in message else {}),
    }
    interaction = {**plain, "room": _room(phone), "channel_integration": {"id": INTEGRATION}}
    value = {"contacts": [{"wa_id": phone}], "messages": [dict(message)]}
    updated = {**_room(phone), "last_message": {**plain, "raw_message": value}}
    return json.dumps(interaction).encode(), json.dumps(updated).encode()


def qontak_status(phone: str, provider_id: str, status: str) -> bytes:
    """What became of a message of ours."""
    told = {
        "id": provider_id,
        "room_id": f"room-{phone}",
        "participant_type": "agent",
        "status": status,
        "room": _room(phone),
        "channel_integration": {"id": INTEGRATION},
    }
    return json.dumps(told).encode()


class Vendor:
    """Takes messages, or does not, or does and says nothing; looks at the disk meanwhile."""

    def __init__(self, random: Random, network: Network, database: Path) -> None:
        """Nobody has a phone yet."""
        self._random, self._network, self._database = random, network, database
        self._numbers = itertools.count(1)
        self.people: dict[str, Party] = {}
        self.faulty = False
        self.arrivals: Counter[str] = Counter()
        """By out_… id how often it arrived."""
        self.unstored: list[str] = []
        """What was sent although the disk did not hold it as being sent."""

    name = "any"

    def serve(self, sender: Sender) -> None:
        """Be every channel of this sender."""
        channels = sender._channels  # noqa: SLF001 - the network's end is what is simulated
        sender._channels = dict.fromkeys(channels, self)  # noqa: SLF001 - as above

    def send(
        self, address: Address, rendered: Rendered, *, window_open: bool, out_id: str
    ) -> Accepted | Failed:
        """One message."""
        del window_open
        if not self._stored(out_id):
            self.unstored.append(out_id)
        chance = self._random.random() if self.faulty else 1.0
        if chance < 0.04:
            return Failed("retry", 131000, "something went wrong")
        if chance < 0.07:
            return Failed("unknown", None, "no answer")
        if chance < 0.08:
            raise PowerCut
        provider_id = self._arrive(address, rendered, out_id)
        if chance < 0.12:
            return Failed("unknown", None, "no answer")
        if chance < 0.13:
            raise PowerCut
        return Accepted(provider_id)

    def _stored(self, out_id: str) -> bool:
        query = "SELECT 1 FROM outbox WHERE id = ? AND state = 'sending'"
        other = sqlite3.connect(self._database)
        try:
            return other.execute(query, (out_id,)).fetchone() is not None
        finally:
            other.close()

    def _arrive(self, address: Address, rendered: Rendered, out_id: str) -> str:
        provider_id = f"wamid.out{next(self._numbers)}"
        self.arrivals[out_id] += 1
        for status in ("sent", "delivered"):
            self._network.tells(provider_id, out_id, status, to=address.phone or "")
        party = self.people.get(address.phone or "")
        if party is not None:
            (self._rep if party.rep else self._customer)(party, rendered)
        return provider_id

    def _rep(self, rep: Party, rendered: Rendered) -> None:
        for button in rendered.buttons[: 1 if self._random.random() < 0.9 else 2]:
            if button.id.startswith(("CLAIM_", "SKIP_", "CONTACTED_")):
                for _ in range(self._random.choice((0, 1, 1, 1, 2))):
                    self._network.taps(rep, button.id, button.title)

    def _customer(self, customer: Party, rendered: Rendered) -> None:
        customer.answers += 1
        if customer.erases and customer.answers == 3:
            self._network.says(customer, ERASE_ME)
        elif rendered.asks == "location":
            self._network.pins(customer)
        elif rendered.buttons:
            button = self._random.choice(rendered.buttons)
            self._network.taps(customer, button.id, button.title)
        elif rendered.rows:
            row = self._random.choice(rendered.rows)
            self._network.taps(customer, row.id, row.title)
