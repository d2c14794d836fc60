"""The Graph API for WhatsApp as an HTTP server: messages, templates, what a doctor asks.

Webhooks go out signed, repeated until they are taken. Everything can be looked at and spoilt
through `whatsapp`, `templates`, `faults` and the courier's manner, or over HTTP at `/control/…`.
"""

import hashlib
import hmac
import json
import re
import threading
from collections.abc import Mapping, Sequence
from typing import Any

import requests

from firmware_sim.errors import NotReady
from firmware_sim.providers.control import PREFIX, Control
from firmware_sim.providers.courier import Courier, Manner
from firmware_sim.providers.faults import Fault, FaultPlan
from firmware_sim.providers.handset import Person, Sent
from firmware_sim.providers.http_server import Answer, HangUp, LoopbackServer, Request
from firmware_sim.providers.message_forms import BSUID, PHONE, Form, Unreadable, read_form
from firmware_sim.providers.refusals import Refusal
from firmware_sim.providers.templates import Template, TemplateBook
from firmware_sim.providers.whatsapp import StatusNews, WhatsApp
from shared.clock import Clock

VERSIONED = re.compile(r"/v\d+\.\d+/([^/]+)(?:/([a-z_]+))?/?")
TIMEOUT_S = 20
CHALLENGE = "1158201444"
TEMPLATES_A_PAGE = 25

Change = tuple[str, str, dict[str, Any]]
"""Account, field, and the value of a webhook."""


class Graph:
    """One app with one WhatsApp Business account and its numbers."""

    def __init__(
        self,
        whatsapp: WhatsApp,
        *,
        clock: Clock,
        access_token: str = "simulated-token",  # noqa: S107 - opens nothing but this fake
        app_secret: str = "simulated-secret",  # noqa: S107 - opens nothing but this fake
        waba_id: str = "102290129340398",
        port: int = 0,
    ) -> None:
        """Listens from `start` on; `url` is known at once."""
        self.whatsapp, self.waba_id = whatsapp, waba_id
        self.access_token, self.app_secret = access_token, app_secret
        self._clock = clock
        self._lock = threading.RLock()
        self._numbers: dict[str, str] = {}
        self.templates = TemplateBook(self._template_news)
        self.faults = FaultPlan()
        self.courier: Courier[Change] | None = None
        self._control = Control(whatsapp, self.faults, self.idle)
        self._server = LoopbackServer(self._answer, port=port)
        self.url = self._server.url
        self.requests: list[tuple[int, str, int | None]] = []
        """Every POST of a message: when (mono), to whom, the status of its answer if any."""

    def start(self) -> None:
        """Answer from now on."""
        self._server.start()

    def stop(self) -> None:
        """No more answers, no more webhooks."""
        if self.courier is not None:
            self.courier.stop()
        self._server.stop()

    def add_number(self, phone: str, phone_number_id: str) -> None:
        """One of the account's numbers."""
        self._numbers[phone_number_id] = phone
        self.whatsapp.open_door(phone, self)

    def subscribe(self, url: str, verify_token: str, *, workers: int = 1) -> Manner:
        """Verify the address as Meta does, then send webhooks there. Raises NotReady.

        Returns how they are delivered, to be spoilt at will.
        """
        query = {
            "hub.mode": "subscribe",
            "hub.verify_token": verify_token,
            "hub.challenge": CHALLENGE,
        }
        answer = requests.get(url, params=query, timeout=TIMEOUT_S, allow_redirects=False)
        if answer.status_code != 200 or answer.text != CHALLENGE:
            raise NotReady(f"{url} answered the challenge with {answer.status_code}")
        return self.post_to(url, workers=workers)

    def post_to(self, url: str, *, workers: int = 1) -> Manner:
        """Send webhooks there without asking first."""
        self.courier = Courier(
            url, pack=self._pack, sign=self._sign, clock=self._clock, workers=workers
        )
        return self.courier.manner

    def idle(self) -> bool:
        """Has everything been told that is to be told now?"""
        return self.whatsapp.timeline.idle() and (self.courier is None or self.courier.idle())

    # Webhooks.

    def heard(self, number: str, person: Person, message: Mapping[str, Any]) -> None:
        """Somebody wrote to one of the numbers."""
        contact: dict[str, Any] = {"profile": {"name": person.name}}
        if not person.hides_phone:
            contact["wa_id"] = person.phone
        if person.bsuid is not None:
            contact["user_id"] = person.bsuid
        value: dict[str, Any] = {"messages": [message]}
        if message.get("type") != "system":
            value["contacts"] = [contact]
        self._post("messages", self._of(number) | value)

    def news(self, status: StatusNews) -> None:
        """A message of one of the numbers got on."""
        sent, person = status.sent, status.person
        told: dict[str, Any] = {
            "id": sent.id,
            "status": status.word,
            "timestamp": str(status.wall_ms // 1000),
        }
        if person is None or not person.hides_phone:
            told["recipient_id"] = sent.to
        if person is not None and person.bsuid is not None:
            told["recipient_user_id"] = person.bsuid
        if sent.form.ours is not None:
            told["biz_opaque_callback_data"] = sent.form.ours
        if status.refusal is not None:
            told["errors"] = [status.refusal.in_status()]
        elif status.word == "sent":
            told["pricing"] = {
                "billable": sent.kind == "template",
                "pricing_model": "PMP",
                "type": "regular" if sent.kind == "template" else "free_customer_service",
                "category": "utility" if sent.kind == "template" else "service",
            }
        self._post("messages", self._of(sent.number) | {"statuses": [told]})

    def tell(self, field: str, value: Mapping[str, Any]) -> None:
        """Any other webhook, e.g. ``user_preferences``."""
        self._post(field, dict(value))

    def _of(self, number: str) -> dict[str, Any]:
        number_id = next(each for each, phone in self._numbers.items() if phone == number)
        return {
            "messaging_product": "whatsapp",
            "metadata": {"display_phone_number": number, "phone_number_id": number_id},
        }

    def _template_news(self, template: Template, field: str, event: str) -> None:
        value: dict[str, Any] = {
            "message_template_id": int(template.id),
            "message_template_name": template.name,
            "message_template_language": template.language,
        }
        if field == "template_category_update":
            value["new_category"] = event
        else:
            value |= {"event": event, "reason": template.reason}
        self._post(field, value)

    def _post(self, field: str, value: dict[str, Any]) -> None:
        if self.courier is not None:
            self.courier.post((self.waba_id, field, value))

    @staticmethod
    def _pack(items: Sequence[Change]) -> bytes:
        entries = [
            {"id": account, "changes": [{"value": value, "field": field}]}
            for account, field, value in items
        ]
        text = json.dumps(
            {"object": "whatsapp_business_account", "entry": entries}, separators=(",", ":")
        )
        # Meta escapes whatever is not ASCII, and slashes: only the raw bytes carry the signature.
        return text.replace("/", "\\/").encode("ascii")

    def _sign(self, body: bytes) -> dict[str, str]:
        digest = hmac.new(self.app_secret.encode(), body, hashlib.sha256).hexdigest()
        return {"X-Hub-Signature-256": f"sha256={digest}", "User-Agent": "facebookexternalua"}

    # Requests.

    def _answer(self, request: Request) -> Answer | HangUp:
        if request.path.startswith(PREFIX):
            return self._control.answer(request)
        found = VERSIONED.fullmatch(request.path)
        if found is None:
            return _refuse(Refusal(100, "Unknown path components"))
        if request.headers.get("authorization") != f"Bearer {self.access_token}":
            return _refuse(Refusal(190, "Invalid OAuth access token"))
        subject, edge = found[1], found[2]
        if edge == "messages" and request.method == "POST":
            return self._message(subject, request)
        return self._manage(subject, edge, request)

    def _manage(self, subject: str, edge: str | None, request: Request) -> Answer:
        match request.method, edge:
            case _, "message_templates" if subject == self.waba_id:
                return self._templates(request)
            case "GET", _:
                return self._look_up(subject, edge)
            case "POST", None:
                return self._edit_template(subject, request)
        return _refuse(Refusal(100, "Unsupported request"))

    def _message(self, number_id: str, request: Request) -> Answer | HangUp:
        body = request.json()
        to = None if body is None else str(body.get("to") or body.get("recipient") or "")
        fault = self.faults.take((to or "").lstrip("+"))
        if fault is not None and fault.when == "before":
            answer = self._spoilt(fault)
        else:
            answer = self._take(number_id, body)
            if fault is not None:
                answer = self._spoilt(fault)
        status = answer.status if isinstance(answer, Answer) else None
        with self._lock:
            self.requests.append((self._clock.mono_ms(), to or "", status))
        return answer

    @staticmethod
    def _spoilt(fault: Fault) -> Answer | HangUp:
        match fault.how:
            case "refuse":
                return _refuse(Refusal(fault.code, "simulated"))
            case "server_error":
                return Answer(502, "<html><body>Bad Gateway</body></html>")
            case "hang":
                threading.Event().wait(fault.hang_ms / 1000)
        return HangUp()

    def _take(self, number_id: str, body: dict[str, Any] | None) -> Answer:
        number = self._numbers.get(number_id)
        if number is None:
            return _unknown(number_id)
        if body is None:
            return _refuse(Refusal(100, "The body is no JSON object"))
        if body.get("status") == "read":
            return Answer(200, {"success": True})
        try:
            form = read_form(body)
            phone, bsuid = _recipient(body)
        except Unreadable as unreadable:
            self.whatsapp.refused[unreadable.refusal.code] += 1
            return _refuse(unreadable.refusal)
        taken = self.whatsapp.send(
            number, form, phone=phone, bsuid=bsuid, template=self._template_of(form)
        )
        if isinstance(taken, Refusal):
            return _refuse(taken)
        return Answer(200, self._accepted(taken, phone, bsuid))

    def _template_of(self, form: Form) -> Template | None:
        if form.template is None:
            return None
        with self._lock:
            return self.templates.find(form.template, form.language or "")

    def _accepted(self, sent: Sent, phone: str | None, bsuid: str | None) -> dict[str, object]:
        contact: dict[str, object] = {"input": phone or bsuid}
        person = self.whatsapp.person(sent.to)
        if phone is not None:
            contact["wa_id"] = phone
        if person is not None and person.bsuid is not None:
            contact["user_id"] = person.bsuid
        return {
            "messaging_product": "whatsapp",
            "contacts": [contact],
            "messages": [{"id": sent.id, "message_status": "accepted"}],
        }

    def _templates(self, request: Request) -> Answer:
        with self._lock:
            match request.method:
                case "GET":
                    return self._list_templates(request.query)
                case "POST":
                    made = self.templates.submit(request.json() or {})
                    if isinstance(made, Refusal):
                        return _refuse(made)
                    return Answer(
                        200, {"id": made.id, "status": made.status, "category": made.category}
                    )
                case "DELETE":
                    removed = self.templates.remove(request.query.get("name", ""))
                    return Answer(200, {"success": bool(removed)})
        return _refuse(Refusal(100, "Unsupported request"))

    def _list_templates(self, query: Mapping[str, str]) -> Answer:
        wanted = [
            template
            for template in self.templates.all()
            if query.get("name", template.name) in template.name
            and query.get("status", template.status) == template.status
        ]
        limit_text, after_text = query.get("limit", ""), query.get("after", "")
        limit = int(limit_text) if limit_text.isdigit() else TEMPLATES_A_PAGE
        begin = int(after_text) if after_text.isdigit() else 0
        page: dict[str, Any] = {
            "data": [template.public() for template in wanted[begin : begin + limit]],
            "paging": {"cursors": {"before": str(begin), "after": str(begin + limit)}},
        }
        if begin + limit < len(wanted):
            page["paging"]["next"] = (
                f"{self.url}/v25.0/{self.waba_id}/message_templates"
                f"?limit={limit}&after={begin + limit}"
            )
        return Answer(200, page)

    def _edit_template(self, template_id: str, request: Request) -> Answer:
        with self._lock:
            template = next((each for each in self.templates.all() if each.id == template_id), None)
            if template is None:
                return _unknown(template_id)
            refusal = self.templates.edit(template, request.json() or {})
            return Answer(200, {"success": True}) if refusal is None else _refuse(refusal)

    def _look_up(self, subject: str, edge: str | None) -> Answer:
        """What `whatsapp doctor` asks."""
        number = self._numbers.get(subject)
        if number is not None and edge is None:
            return Answer(200, self._number(subject, number))
        if subject == "debug_token":
            return Answer(200, {"data": {"is_valid": True, "expires_at": 0, "type": "SYSTEM_USER"}})
        if subject == self.waba_id:
            return self._account(edge)
        return _unknown(subject)

    def _account(self, edge: str | None) -> Answer:
        match edge:
            case None:
                return Answer(
                    200,
                    {
                        "id": self.waba_id,
                        "name": "Simulated account",
                        "currency": "IDR",
                        "account_review_status": "APPROVED",
                        "whatsapp_business_manager_messaging_limit": self._tier(),
                    },
                )
            case "phone_numbers":
                numbers = [self._number(*pair) for pair in self._numbers.items()]
                return Answer(200, {"data": numbers})
            case "subscribed_apps":
                apps = [] if self.courier is None else [{"whatsapp_business_api_data": {"id": "1"}}]
                return Answer(200, {"data": apps})
        return _refuse(Refusal(100, f"Tried accessing nonexisting field ({edge})"))

    def _number(self, number_id: str, phone: str) -> dict[str, object]:
        return {
            "id": number_id,
            "display_phone_number": f"+{phone}",
            "verified_name": "Simulated brand",
            "quality_rating": "GREEN",
            "code_verification_status": "VERIFIED",
            "platform_type": "CLOUD_API",
            "status": "CONNECTED",
            "throughput": {"level": "STANDARD"},
            "whatsapp_business_manager_messaging_limit": self._tier(),
        }

    def _tier(self) -> str:
        limit = self.whatsapp.limits.messaging_limit
        if limit is None:
            return "TIER_UNLIMITED"
        return f"TIER_{limit}" if limit < 1000 else f"TIER_{limit // 1000}K"


def _recipient(body: Mapping[str, Any]) -> tuple[str | None, str | None]:
    """`to` wins over `recipient`."""
    to, recipient = body.get("to"), body.get("recipient")
    if isinstance(to, str) and to:
        if not PHONE.fullmatch(to):
            raise Unreadable(Refusal(131009, "to is a phone number"))
        return to.lstrip("+"), None
    if isinstance(recipient, str) and recipient:
        if not BSUID.fullmatch(recipient):
            raise Unreadable(Refusal(131009, "recipient is a business-scoped user id"))
        return None, recipient
    raise Unreadable(Refusal(131008, "to or recipient is required"))


def _unknown(object_id: str) -> Answer:
    return _refuse(Refusal(100, f"Object with ID '{object_id}' does not exist", subcode=33))


def _refuse(refusal: Refusal) -> Answer:
    return Answer(refusal.status, refusal.answer())
