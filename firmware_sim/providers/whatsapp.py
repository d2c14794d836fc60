"""WhatsApp itself: windows, rates, limits and people. Vendors are doors to it.

One instance is one business portfolio. Two vendors may open doors to the same number: then both
hear what is written to it, as in life.
"""

import base64
import itertools
import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal, Protocol

from firmware_sim.providers.handset import Person, Sent
from firmware_sim.providers.message_forms import Form
from firmware_sim.providers.refusals import Refusal
from firmware_sim.providers.templates import Template
from firmware_sim.providers.timeline import Timeline
from shared.clock import Clock

DAY_MS = 24 * 3_600_000
TTL_MS = 30 * DAY_MS
StatusWord = Literal["sent", "delivered", "read", "failed"]


@dataclass(slots=True, kw_only=True)
class Limits:
    """What the network enforces. May be changed at any time."""

    window_ms: int = DAY_MS
    pair_ms: int = 6_000
    pair_burst: int = 45
    per_second: int = 80
    messaging_limit: int | None = 250
    """Unique people per 24 h outside windows, for the whole portfolio; None is unlimited."""
    window_refused: Literal["later", "at once"] = "later"
    """A closed window is usually told by a failed status, after a 200."""


@dataclass(slots=True, kw_only=True)
class Pace:
    """How long things take."""

    sent_ms: int = 0
    delivered_ms: int = 0
    read_ms: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusNews:
    """What became of a message."""

    sent: Sent
    word: StatusWord
    wall_ms: int
    person: Person | None
    refusal: Refusal | None = None


class Door(Protocol):
    """A vendor's ear at a business number. Called on the network's thread: must not wait."""

    def heard(self, number: str, person: Person, message: Mapping[str, Any]) -> None:
        """Somebody wrote; `message` is Meta's object."""
        ...

    def news(self, status: StatusNews) -> None:
        """A message of any door to this number got on."""
        ...


@dataclass(slots=True)
class _Bucket:
    """Lets one pass every `every_ms`, and `burst` at once after a rest."""

    free_ms: float = 0

    def passes(self, now_ms: int, every_ms: float, burst: int) -> bool:
        begin_ms = max(self.free_ms, now_ms)
        if begin_ms - now_ms > every_ms * (burst - 1):
            return False
        self.free_ms = begin_ms + every_ms
        return True


@dataclass(slots=True)
class _Number:
    phone: str
    doors: list[Door] = field(default_factory=list)
    throughput: _Bucket = field(default_factory=_Bucket)
    pairs: dict[str, _Bucket] = field(default_factory=dict)
    heard_ms: dict[str, int] = field(default_factory=dict)


class WhatsApp:
    """Safe from any thread. What people and vendors hear comes on one thread, in order."""

    def __init__(
        self, clock: Clock, *, limits: Limits | None = None, pace: Pace | None = None
    ) -> None:
        """Nobody is there yet; `start` before the first message."""
        self._clock, self._lock = clock, threading.RLock()
        self.limits, self.pace = limits or Limits(), pace or Pace()
        self.timeline = Timeline(clock)
        self._numbers: dict[str, _Number] = {}
        self._people: dict[str, Person] = {}
        self._by_bsuid: dict[str, Person] = {}
        self._serial = itertools.count(1)
        self._initiated_ms: dict[str, int] = {}
        self._marketed_ms: dict[str, int] = {}
        self._fail_later: list[tuple[str | None, Refusal]] = []
        self.sent: list[Sent] = []
        """Every message taken, in order."""
        self.statuses: dict[str, list[StatusWord]] = {}
        """By wamid, in the order they happened."""
        self.refused: Counter[int] = Counter()
        """Codes answered at once."""
        self.failed: Counter[int] = Counter()
        """Codes told later."""
        self.timestamp_skew_s = 0
        """How wrong the vendor's timestamps are."""

    def start(self) -> None:
        """Begin."""
        self.timeline.start()

    def stop(self) -> None:
        """What has not arrived never does."""
        self.timeline.stop()

    def open_door(self, number: str, door: Door) -> None:
        """A vendor listens to this business number."""
        with self._lock:
            self._numbers.setdefault(number, _Number(number)).doors.append(door)

    def add_person(self, phone: str, **traits: Any) -> Person:
        """Somebody with WhatsApp; `traits` are Person's fields."""
        person = Person(phone=phone, network=self, **traits)
        with self._lock:
            self._people[phone] = person
            if person.bsuid is not None:
                self._by_bsuid[person.bsuid] = person
        return person

    def person(self, phone: str) -> Person | None:
        """Who has this phone."""
        return self._people.get(phone)

    def window_open(self, number: str, phone: str) -> bool:
        """Has this person written to the number within the window?"""
        with self._lock:
            heard_ms = self._numbers[number].heard_ms.get(phone)
            return heard_ms is not None and (
                self._clock.wall_ms() - heard_ms < self.limits.window_ms
            )

    def to(self, phone: str) -> list[Sent]:
        """What was taken for this person, delivered or not."""
        with self._lock:
            return [sent for sent in self.sent if sent.to == phone]

    def fail_later(self, refusal: Refusal, *, to: str | None = None, times: int = 1) -> None:
        """The next messages (to this person) are taken, and then fail."""
        with self._lock:
            self._fail_later.extend([(to, refusal)] * times)

    # What people do.

    def write(self, person: Person, number: str, content: Mapping[str, Any]) -> str:
        """A person's message reaches every door of the number. Returns its wamid."""
        with self._lock:
            wall_ms = self._clock.wall_ms()
            message: dict[str, Any] = {"id": self._wamid(person.phone)}
            if not person.hides_phone:
                message["from"] = person.phone
            if person.bsuid is not None:
                message["from_user_id"] = person.bsuid
            message["timestamp"] = str(wall_ms // 1000 + self.timestamp_skew_s)
            message.update(content)
            line = self._numbers[number]
            line.heard_ms[person.phone] = wall_ms
            doors = list(line.doors)
        for door in doors:
            self.timeline.after(0, partial(door.heard, number, person, message))
        return str(message["id"])

    def switch_on(self, person: Person) -> None:
        """A phone that was off gets what is still alive."""
        with self._lock:
            person.online = True
            waiting, person.waiting = person.waiting, []
        now_ms = self._clock.wall_ms()
        for sent in waiting:
            if now_ms - sent.wall_ms <= (sent.ttl_ms or TTL_MS):
                self.timeline.after(0, partial(self._arrive, sent, person))

    def change_number(self, person: Person, phone: str, bsuid: str | None = None) -> None:
        """The person moves to another phone; every number they wrote to is told."""
        with self._lock:
            old = person.phone
            self._people.pop(old, None)
            person.phone, person.bsuid = phone, bsuid or person.bsuid
            self._people[phone] = person
            if person.bsuid is not None:
                self._by_bsuid[person.bsuid] = person
            lines = [line for line in self._numbers.values() if old in line.heard_ms]
        for line in lines:
            system = {
                "body": f"User changed from {old} to {phone}",
                "wa_id": phone,
                "type": "user_changed_number",
            }
            self.write(person, line.phone, {"from": old, "type": "system", "system": system})
            line.heard_ms.pop(phone, None)

    # What vendors do.

    def send(
        self,
        number: str,
        form: Form,
        *,
        phone: str | None = None,
        bsuid: str | None = None,
        template: Template | None = None,
    ) -> Sent | Refusal:
        """A business speaks. `template` is the one that `form` names, if it is kept at all."""
        with self._lock:
            person = self._addressed(phone, bsuid)
            to = person.phone if person is not None else phone or bsuid or ""
            refusal = self._refusal_at_once(number, to, form, template)
            if refusal is not None:
                self.refused[refusal.code] += 1
                return refusal
            later = self._refusal_later(number, to, person, template or form)
            sent = self._taken(number, to, form, template)
        if later is not None:
            self.timeline.after(self.pace.sent_ms, lambda: self._fails(sent, person, later))
        else:
            assert person is not None
            self.timeline.after(self.pace.sent_ms, lambda: self._tell(sent, "sent", person))
            self.timeline.after(
                self.pace.sent_ms + self.pace.delivered_ms, lambda: self._arrive(sent, person)
            )
        return sent

    def _addressed(self, phone: str | None, bsuid: str | None) -> Person | None:
        if phone is not None:
            return self._people.get(phone)
        return self._by_bsuid.get(bsuid or "")

    def _refusal_at_once(
        self, number: str, to: str, form: Form, template: Template | None
    ) -> Refusal | None:
        if to == number:
            return Refusal(131021, "the recipient is the sender")
        if form.kind == "template":
            unfit = (
                Refusal(132001, f"{form.template} ({form.language}) does not exist")
                if template is None
                else template.refusal(form)
            )
            if unfit is not None:
                return unfit
        is_open = self.window_open(number, to)
        if form.kind != "template" and not is_open and self.limits.window_refused == "at once":
            return Refusal(131047, "more than 24 hours have passed")
        if form.kind == "template" and not is_open and self._is_over_limit(to):
            return Refusal(131048, f"messaging limit of {self.limits.messaging_limit} in 24 h")
        return self._too_fast(number, to)

    def _too_fast(self, number: str, to: str) -> Refusal | None:
        line, now_ms = self._numbers[number], self._clock.mono_ms()
        pair = line.pairs.setdefault(to, _Bucket())
        if not pair.passes(now_ms, self.limits.pair_ms, self.limits.pair_burst):
            return Refusal(131056, "too many messages to this person")
        per_second = self.limits.per_second
        if not line.throughput.passes(now_ms, 1000 / per_second, per_second):
            return Refusal(130429, f"more than {per_second} messages a second")
        return None

    def _is_over_limit(self, to: str) -> bool:
        limit, now_ms = self.limits.messaging_limit, self._clock.wall_ms()
        if limit is None:
            return False
        self._initiated_ms = {
            who: at_ms for who, at_ms in self._initiated_ms.items() if now_ms - at_ms < DAY_MS
        }
        return to not in self._initiated_ms and len(self._initiated_ms) >= limit

    def _refusal_later(
        self, number: str, to: str, person: Person | None, used: Form | Template
    ) -> Refusal | None:
        for place, (whom, refusal) in enumerate(self._fail_later):
            if whom in {None, to}:
                del self._fail_later[place]
                return refusal
        if person is None or not person.on_whatsapp:
            return Refusal(131026, "the person is not on WhatsApp")
        if isinstance(used, Template):
            return self._marketing_refusal(person) if used.category == "MARKETING" else None
        if self.window_open(number, to):
            return None
        return Refusal(131047, "more than 24 hours have passed")

    def _marketing_refusal(self, person: Person) -> Refusal | None:
        if person.stopped_marketing:
            return Refusal(131050)
        now_ms = self._clock.wall_ms()
        last_ms = self._marketed_ms.get(person.phone)
        if last_ms is not None and now_ms - last_ms < DAY_MS:
            return Refusal(131049)
        self._marketed_ms[person.phone] = now_ms
        return None

    def _taken(self, number: str, to: str, form: Form, template: Template | None) -> Sent:
        wall_ms = self._clock.wall_ms()
        if form.kind == "template" and not self.window_open(number, to):
            self._initiated_ms.setdefault(to, wall_ms)
        ttl_s = None if template is None else template.ttl_s
        sent = Sent(
            id=self._wamid(to),
            number=number,
            to=to,
            form=form,
            text=form.text if template is None else template.hydrated(form),
            options=form.options if template is None else template.options(form),
            wall_ms=wall_ms,
            mono_ms=self._clock.mono_ms(),
            ttl_ms=None if ttl_s is None else ttl_s * 1000,
        )
        self.sent.append(sent)
        return sent

    def _arrive(self, sent: Sent, person: Person) -> None:
        with self._lock:
            if not person.online:
                person.waiting.append(sent)
                return
            person.received.append(sent)
        self._tell(sent, "delivered", person)
        if person.reads:
            self.timeline.after(self.pace.read_ms, lambda: self._tell(sent, "read", person))
        if person.on_message is not None:
            person.on_message(sent)

    def _fails(self, sent: Sent, person: Person | None, refusal: Refusal) -> None:
        self.failed[refusal.code] += 1
        self._tell(sent, "failed", person, refusal)

    def _tell(
        self, sent: Sent, word: StatusWord, person: Person | None, refusal: Refusal | None = None
    ) -> None:
        news = StatusNews(
            sent=sent,
            word=word,
            wall_ms=self._clock.wall_ms() + self.timestamp_skew_s * 1000,
            person=person,
            refusal=refusal,
        )
        with self._lock:
            self.statuses.setdefault(sent.id, []).append(word)
            doors = list(self._numbers[sent.number].doors)
        for door in doors:
            door.news(news)

    def _wamid(self, party: str) -> str:
        inner = f"\x1d\x18\x0b{party}\x15{next(self._serial):012d}"
        return "wamid." + base64.b64encode(inner.encode()).decode()
