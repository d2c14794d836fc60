"""Mekari Qontak as an HTTP server: rooms, messages, broadcasts, webhooks without a signature.

It hides what Meta tells at once: a message is taken with 201 and fails later. A tap comes as the
button's title. Our own messages come back. New and old addresses both answer.
"""

import json
import re
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from firmware_sim.providers.control import PREFIX, Control
from firmware_sim.providers.courier import Courier, Manner
from firmware_sim.providers.faults import Fault, FaultPlan
from firmware_sim.providers.handset import Person, Sent
from firmware_sim.providers.http_server import Answer, HangUp, LoopbackServer, Request
from firmware_sim.providers.message_forms import TEXT_MAX, Form
from firmware_sim.providers.qontak_auth import Gatekeeper
from firmware_sim.providers.qontak_crm import Crm
from firmware_sim.providers.qontak_forms import interactive, values
from firmware_sim.providers.qontak_rooms import Author, Room, RoomMessage, ident, words_of
from firmware_sim.providers.refusals import Refusal
from firmware_sim.providers.templates import Template, TemplateBook
from firmware_sim.providers.whatsapp import StatusNews, WhatsApp
from shared.clock import Clock

CHAT = re.compile(r"/(?:qontak/chat/v1|api/open/v1)(/.*)")
CRM = "/qontak/crm/"
BROADCASTS_A_MINUTE = 60
DIGITS = re.compile(r"\d{7,15}")


@dataclass(slots=True, kw_only=True)
class Telling:
    """Which webhooks Qontak sends, as it is told by `PUT /message_interactions` or by a test."""

    from_customer: bool = True
    from_agent: bool = True
    statuses: bool = True
    broadcasts: bool = True
    rooms: bool = True
    """Mekari's developer webhook, the only one with Meta's own object."""
    named: bool = True
    """False: as older payloads, without data_event and webhook_event."""


@dataclass(slots=True, kw_only=True)
class _Outgoing:
    """Where a message of ours is shown: in its room, or in a broadcast's log."""

    message: RoomMessage
    broadcast: dict[str, Any] | None = None


class Qontak:
    """One organisation with its channels."""

    def __init__(
        self,
        whatsapp: WhatsApp,
        *,
        clock: Clock,
        client_id: str = "simulated-client",
        client_secret: str = "simulated-secret",  # noqa: S107 - opens nothing but this fake
        pipeline: str = "1",
        port: int = 0,
    ) -> None:
        """Listens from `start` on; `url` is known at once."""
        self.whatsapp, self._clock = whatsapp, clock
        self.client_id, self.client_secret = client_id, client_secret
        self._lock = threading.RLock()
        self._channels: dict[str, str] = {}
        self.templates = TemplateBook(_nobody_is_told)
        self.faults, self.telling, self.crm = FaultPlan(), Telling(), Crm(pipeline)
        self.rooms: dict[str, Room] = {}
        self.courier: Courier[dict[str, Any]] | None = None
        self._gate = Gatekeeper(clock, client_id=client_id, client_secret=client_secret)
        self._control = Control(whatsapp, self.faults, self.idle)
        self._outgoing: dict[str, _Outgoing] = {}
        self._broadcasts: dict[str, dict[str, Any]] = {}
        self._answers: dict[str, Answer] = {}
        self._broadcast_ms: deque[int] = deque()
        self._server = LoopbackServer(self._answer, port=port)
        self.url = self._server.url

    def start(self) -> None:
        """Answer from now on."""
        self._server.start()

    def stop(self) -> None:
        """No more answers, no more webhooks."""
        if self.courier is not None:
            self.courier.stop()
        self._server.stop()

    def add_channel(self, phone: str) -> str:
        """One of our numbers; returns its channel_integration_id."""
        self._channels[phone] = ident("channel", phone)
        self.whatsapp.open_door(phone, self)
        return self._channels[phone]

    def post_to(self, url: str, *, workers: int = 1) -> Manner:
        """Send webhooks there: an address with a secret in it is all that protects them."""
        self.courier = Courier(
            url, pack=_pack, sign=lambda _body: {}, clock=self._clock, workers=workers
        )
        return self.courier.manner

    def idle(self) -> bool:
        """Has everything been told that is to be told now?"""
        return self.whatsapp.timeline.idle() and (self.courier is None or self.courier.idle())

    def template_id(self, name: str, language: str) -> str:
        """What a broadcast names a template by."""
        return ident("template", name, language)

    def room_of(self, number: str, person: Person) -> Room:
        """The one room of this person; opened when there was none."""
        key = ident("room", number, person.phone)
        with self._lock:
            room = self.rooms.get(key)
            if room is None:
                room = Room(
                    id=key, person=person, number=number, integration_id=self._channels[number]
                )
                self.rooms[key] = room
            return room

    # What the network tells.

    def heard(self, number: str, person: Person, message: Mapping[str, Any]) -> None:
        """Somebody wrote."""
        is_new = ident("room", number, person.phone) not in self.rooms
        room = self.room_of(number, person)
        kind, text = words_of(message)
        entry = RoomMessage(
            id=ident("message", message["id"]),
            room=room,
            author="customer",
            kind=kind,
            text=text,
            wamid=str(message["id"]),
            wall_ms=self._clock.wall_ms(),
            raw=message,
        )
        with self._lock:
            room.messages.append(entry)
            if room.status in {"resolved", "campaign"}:
                room.status = "unassigned"
        if self.telling.from_customer:
            self._post(entry.event(is_open=True))
        if self.telling.rooms:
            self._post(entry.room_event("created" if is_new else "updated", is_open=True))

    def news(self, status: StatusNews) -> None:
        """A message of ours got on; one of another vendor's door is not ours to tell."""
        with self._lock:
            ours = self._outgoing.get(status.sent.id)
        if ours is not None:
            self._tell(ours, status.word, status.refusal)

    def _tell(self, ours: _Outgoing, word: str, refusal: Refusal | None) -> None:
        ours.message.status = word
        if ours.broadcast is None:
            if self.telling.statuses:
                self._post(ours.message.event(is_open=True))
            return
        ours.broadcast["status"] = word
        if refusal is not None:
            ours.broadcast["whatsapp_error_message"] = f"({refusal.code}) {refusal.title}"
        if self.telling.broadcasts:
            self._post(dict(ours.broadcast))

    def _post(self, event: dict[str, Any]) -> None:
        if not self.telling.named:
            event.pop("data_event", None)
            event.pop("webhook_event", None)
        if self.courier is not None:
            self.courier.post(event)

    # Requests.

    def _answer(self, request: Request) -> Answer | HangUp:
        if request.path.startswith(PREFIX):
            return self._control.answer(request)
        if request.path.endswith("/oauth/token") and request.method == "POST":
            return self._gate.token(request.json() or {})
        refusal = self._gate.refusal(request)
        if refusal is not None:
            return _wrong(401, refusal)
        if request.path.startswith(CRM):
            with self._lock:
                return self.crm.answer(request, request.path.removeprefix(CRM))
        found = CHAT.fullmatch(request.path)
        if found is None:
            return _wrong(404, "no such path")
        return self._chat(request, found[1].rstrip("/"))

    def _chat(self, request: Request, path: str) -> Answer | HangUp:
        if request.method == "POST" and (
            path.startswith("/messages/whatsapp") or path == "/broadcasts/whatsapp/direct"
        ):
            return self._speak(request, path)
        with self._lock:
            if path.startswith("/rooms"):
                return self._rooms(request, path.split("/")[2:])
            return self._look_up(request, path)

    def _speak(self, request: Request, path: str) -> Answer | HangUp:
        body = request.json()
        if body is None:
            return _wrong(422, "the body is no JSON object")
        key = request.headers.get("x-idempotency-key")
        if key is not None and key in self._answers:
            return self._answers[key]
        fault = self.faults.take(str(body.get("to_number") or "") or None)
        if fault is not None and fault.when == "before":
            return _spoilt(fault)
        answer = self._take(path, body)
        if key is not None and answer.status < 300:
            self._answers[key] = answer
        return answer if fault is None else _spoilt(fault)

    def _take(self, path: str, body: dict[str, Any]) -> Answer:
        match path:
            case "/broadcasts/whatsapp/direct":
                return self._broadcast(body)
            case "/messages/whatsapp" | "/messages/whatsapp/bot":
                text = body.get("text")
                if not isinstance(text, str) or not 1 <= len(text) <= TEXT_MAX:
                    return _wrong(422, "text is invalid")
                return self._in_room(path, body, Form(kind="text", text=text))
            case "/messages/whatsapp/interactive_message/bot":
                form = interactive(body)
                if isinstance(form, str):
                    return _wrong(422, form)
                return self._in_room(path, body, form)
        return _wrong(404, "no such path")

    def _in_room(self, path: str, body: dict[str, Any], form: Form) -> Answer:
        room = self.rooms.get(str(body.get("room_id")))
        if room is None:
            return _wrong(404, "Room not found")
        if room.status == "resolved":
            return _wrong(422, "Room is resolved")
        author: Author = "bot" if path.endswith("/bot") else "agent"
        with self._lock:  # its statuses wait until the message itself is told
            message = self._send(room, form, author, None)
            room.messages.append(message)
            if self.telling.from_agent:
                self._post(message.event(is_open=True))
        return Answer(201, {"status": "success", "data": message.public()})

    def _send(
        self, room: Room, form: Form, author: Author, broadcast: dict[str, Any] | None
    ) -> RoomMessage:
        """Taken by Qontak in any case; what WhatsApp refuses is told later. Call locked."""
        template = None if form.template is None else self._template(form.template)
        taken = self.whatsapp.send(
            room.number,
            form,
            phone=None if room.person.hides_phone else room.person.phone,
            bsuid=room.person.bsuid,
            template=template,
        )
        wall_ms = self._clock.wall_ms()
        wamid = taken.id if isinstance(taken, Sent) else ""
        message = RoomMessage(
            id=ident("message", wamid or f"{room.id}/{wall_ms}/{len(room.messages)}"),
            room=room,
            author=author,
            kind="text",
            text=taken.text if isinstance(taken, Sent) else form.text,
            wamid=wamid,
            wall_ms=wall_ms,
            buttons=[{"id": option.id, "title": option.title} for option in form.options],
        )
        ours = _Outgoing(message=message, broadcast=broadcast)
        if broadcast is not None:
            broadcast["whatsapp_message_id"] = wamid
        if isinstance(taken, Refusal):
            refusal = taken
            self.whatsapp.timeline.after(0, lambda: self._tell(ours, "failed", refusal))
        else:
            self._outgoing[wamid] = ours
        return message

    def _broadcast(self, body: dict[str, Any]) -> Answer:
        if not self._may_broadcast():
            return _wrong(429, "Too many requests")
        to, template = str(body.get("to_number") or ""), self._template_by_id(body)
        number = next(
            (
                phone
                for phone, channel in self._channels.items()
                if channel == body.get("channel_integration_id")
            ),
            None,
        )
        wrong = {
            "to_number is invalid": DIGITS.fullmatch(to) is None,
            "to_name can't be blank": not body.get("to_name"),
            "message_template_id not found": template is None,
            "channel_integration_id not found": number is None,
        }
        first = next((words for words, is_so in wrong.items() if is_so), None)
        if first is not None or template is None or number is None:
            return _wrong(422, first or "invalid")
        person = self.whatsapp.person(to) or Person(
            phone=to, network=self.whatsapp, on_whatsapp=False
        )
        room = self.room_of(number, person)
        if not self.whatsapp.window_open(number, to):
            room.status = "campaign"
        broadcast = self._new_broadcast(to, str(body["to_name"]))
        form = Form(
            kind="template",
            template=template.id,
            language=template.language,
            parameters=values(body),
        )
        with self._lock:
            self._send(room, form, "agent", broadcast)
        shown = {"id": broadcast["messages_broadcast_id"], "name": body["to_name"]}
        return Answer(201, {"status": "success", "data": shown})

    def _new_broadcast(self, to: str, name: str) -> dict[str, Any]:
        with self._lock:
            broadcast_id = ident("broadcast", len(self._broadcasts))
            made: dict[str, Any] = {
                "contact_full_name": name,
                "contact_phone_number": to,
                "status": "todo",
                "whatsapp_message_id": "",
                "whatsapp_error_message": None,
                "messages_broadcast_id": broadcast_id,
                "messages_response": {},
                "data_event": "broadcast_log_status",
                "webhook_event": "broadcast_log",
            }
            self._broadcasts[broadcast_id] = made
            return made

    def _may_broadcast(self) -> bool:
        now_ms = self._clock.mono_ms()
        with self._lock:
            while self._broadcast_ms and now_ms - self._broadcast_ms[0] >= 60_000:
                self._broadcast_ms.popleft()
            if len(self._broadcast_ms) >= BROADCASTS_A_MINUTE:
                return False
            self._broadcast_ms.append(now_ms)
            return True

    def _template(self, template_id: str) -> Template | None:
        return next((each for each in self.templates.all() if each.id == template_id), None)

    def _template_by_id(self, body: Mapping[str, Any]) -> Template | None:
        return next(
            (
                each
                for each in self.templates.all()
                if self.template_id(each.name, each.language) == body.get("message_template_id")
            ),
            None,
        )

    def _rooms(self, request: Request, parts: Sequence[str]) -> Answer:
        if not parts:
            return _right([self._shown(room) for room in self.rooms.values()])
        room = self.rooms.get(parts[0])
        if room is None:
            return _wrong(404, "Room not found")
        if (request.method, *parts[1:]) == ("GET", "histories"):
            return _right([message.public() for message in reversed(room.messages)])
        if not room.take(request.method, parts[1:], request.json() or {}):
            return _wrong(404, "no such path")
        return _right(self._shown(room))

    def _shown(self, room: Room) -> dict[str, Any]:
        return room.public(is_open=self.whatsapp.window_open(room.number, room.person.phone))

    def _look_up(self, request: Request, path: str) -> Answer:
        match request.method, path:
            case "GET", "/integrations":
                return _right(
                    [
                        {"id": channel, "target_channel": "wa_cloud", "account_uniq_id": phone}
                        for phone, channel in self._channels.items()
                    ]
                )
            case "GET", "/templates/whatsapp":
                return _right([self._shown_template(each) for each in self.templates.all()])
            case "PUT", "/message_interactions":
                return self._listen(request.json() or {})
        log = re.fullmatch(r"/broadcasts/([^/]+)/whatsapp/log", path)
        if request.method == "GET" and log is not None and log[1] in self._broadcasts:
            return _right([self._broadcasts[log[1]]])
        return _wrong(404, "no such path")

    def _listen(self, body: Mapping[str, Any]) -> Answer:
        url = body.get("url")
        if not isinstance(url, str) or not url.startswith(("http://", "https://")):
            return _wrong(422, "url is invalid")
        if self.courier is None:
            self.post_to(url)
        else:
            self.courier.url = url
        telling = self.telling
        telling.from_agent = bool(body.get("receive_message_from_agent"))
        telling.from_customer = bool(body.get("receive_message_from_customer"))
        telling.statuses = bool(body.get("status_message"))
        telling.broadcasts = bool(body.get("broadcast_log_status"))
        return _right(dict(body))

    def _shown_template(self, template: Template) -> dict[str, Any]:
        return {
            "id": self.template_id(template.name, template.language),
            "organization_id": ident("organization"),
            "name": template.name,
            "language": template.language,
            "header": None,
            "body": template.body,
            "footer": None,
            "buttons": [{"type": "QUICK_REPLY", "text": text} for text in template.quick_replies],
            "status": template.status,
            "category": template.category,
        }


def _nobody_is_told(_template: Template, _field: str, _event: str) -> None:
    """Qontak sends no news of templates."""


def _pack(items: Sequence[dict[str, Any]]) -> bytes:
    assert len(items) == 1, "Qontak never batches"
    return json.dumps(items[0], ensure_ascii=False).encode()


def _right(data: object) -> Answer:
    return Answer(200, {"status": "success", "data": data})


def _wrong(status: int, words: str) -> Answer:
    return Answer(status, {"status": "error", "error": {"code": status, "messages": [words]}})


def _spoilt(fault: Fault) -> Answer | HangUp:
    match fault.how:
        case "refuse":
            return _wrong(fault.code if 400 <= fault.code < 600 else 422, "simulated")
        case "server_error":
            return Answer(502, "<html><body>Bad Gateway</body></html>")
        case "hang":
            threading.Event().wait(fault.hang_ms / 1000)
    return HangUp()
