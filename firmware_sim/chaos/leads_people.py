"""Customers, reps and the vendor between them and the hub, without a thread or a socket."""

import itertools
import json
import sqlite3
from collections import Counter, defaultdict
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


class Network:
    """Webhooks in any order, some of them again, each until it was answered 200."""

    def __init__(self, random: Random, true: TrueTime) -> None:
        """Nothing is on its way."""
        self._random, self._true = random, true
        self._numbers = itertools.count(1)
        self.waiting: list[Webhook] = []
        self.faulty = False
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
        body = _body({"messages": [message]})
        self.waiting.append(Webhook(body, party, wamid, claims, kind))

    def tells(self, provider_id: str, out_id: str, status: str) -> None:
        """What became of a message."""
        told = {"id": provider_id, "status": status, "biz_opaque_callback_data": out_id}
        self.waiting.append(Webhook(_body({"statuses": [told]})))

    def deliver(self, inbox: Inbox) -> None:
        """One of those on their way; it stays there unless it was answered, or is repeated."""
        if not self.waiting:
            return
        place = self._random.randrange(len(self.waiting)) if self.faulty else 0
        webhook = self.waiting[place]
        patient = tells_statuses_only(webhook.body)
        inbox.keep("whatsapp", webhook.body, {}, patient=patient)
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


class Vendor:
    """Takes messages, or does not, or does and says nothing; looks at the disk meanwhile."""

    name = "brand"

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

    def serve(self, sender: Sender) -> None:
        """Be the only channel of this sender."""
        sender._channels = {self.name: self}  # noqa: SLF001 - the network's end is what is simulated

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
            self._network.tells(provider_id, out_id, status)
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
