"""One of our numbers at Qontak: an outbox channel."""

import re
import threading
from collections import deque
from typing import Final

from hub.integrations.calls import Misaddressed, Unreached
from hub.integrations.qontak.api import Answer, QontakApi
from hub.integrations.qontak.credentials import Unauthorised
from hub.integrations.qontak.parse import code_in
from hub.integrations.qontak.payloads import broadcast, in_room
from hub.integrations.qontak.rooms import NotTold, Rooms
from hub.integrations.qontak.template_ids import NotListed, TemplateIds
from hub.integrations.whatsapp.codes import NOT_THIS_TEMPLATE, of_status
from hub.integrations.whatsapp.payloads import Unsendable
from hub.integrations.whatsapp.reading import identifier
from hub.outbox.codes import meaning_of
from hub.outbox.messages import Accepted, Action, Address, Failed, Rendered, TemplateUse
from shared.clock import Clock

BROADCASTS_A_MINUTE: Final = 60
MINUTE_MS: Final = 60_000
ROOM_GONE: Final = re.compile(r"room|session|window|expired|resolved|24 ?h", re.IGNORECASE)
TEMPLATE_GONE: Final = re.compile(r"template", re.IGNORECASE)
CANNOT: Final = (Unsendable, Unreached, Misaddressed, Unauthorised, NotTold, NotListed)


class BroadcastPace:
    """At most so many broadcasts within any minute, of all numbers together. For any thread."""

    def __init__(self, clock: Clock, most: int = BROADCASTS_A_MINUTE) -> None:
        """None sent yet."""
        self._clock, self._most = clock, most
        self._lock = threading.Lock()
        self._sent_ms: deque[int] = deque()

    def take(self) -> bool:
        """Whether one more may go now; if so it is counted."""
        with self._lock:
            now_ms = self._clock.mono_ms()
            while self._sent_ms and now_ms - self._sent_ms[0] >= MINUTE_MS:
                self._sent_ms.popleft()
            if len(self._sent_ms) >= self._most:
                return False
            self._sent_ms.append(now_ms)
            return True


class QontakChannel:
    """Implements `hub.outbox.messages.Channel`. For any thread.

    Into an open room goes the message as it is; without one, a template that opens a room. A
    request whose answer never came is told as unknown; sent again, it carries the same key.
    """

    def __init__(
        self,
        name: str,
        *,
        integration: str,
        api: QontakApi,
        rooms: Rooms,
        templates: TemplateIds,
        pace: BroadcastPace,
    ) -> None:
        """`name` is the number's in ``[[numbers]]``, `integration` its channel_integration_id."""
        self.name = name
        self._integration = integration
        self._api, self._rooms = api, rooms
        self._templates, self._pace = templates, pace

    def send(
        self, address: Address, rendered: Rendered, *, window_open: bool, out_id: str
    ) -> Accepted | Failed:
        """Send one message."""
        if address.phone is None:
            return Failed("unreachable", None, "Qontak reaches nobody without a phone number")
        try:
            return self._send(address.phone, rendered, out_id, window_open=window_open)
        except CANNOT as error:
            return _failed(error)

    def _send(
        self, phone: str, rendered: Rendered, out_id: str, *, window_open: bool
    ) -> Accepted | Failed:
        if window_open:
            return self._into_room(phone, rendered, out_id)
        if rendered.template is None:
            return Failed("unreachable", None, "the window is closed, no template says this")
        return self._broadcast(phone, rendered.template, out_id)

    def _into_room(self, phone: str, rendered: Rendered, out_id: str) -> Accepted | Failed:
        in_room(rendered, "")  # what cannot be sent asks for no room
        room = self._rooms.room(self.name, phone)
        if room is None:
            try:
                room = self._rooms.look_up(self._api, self.name, self._integration, phone)
            except Unreached as error:
                # Only a question was asked.
                raise Unreached(str(error), sent=False) from error
        if room is None:
            return _roomless(rendered, None, "this person has no open room")
        kind, body = in_room(rendered, room)
        settings = self._api.settings
        path = settings.text_path if kind == "text" else settings.interactive_path
        answer = self._api.chat("POST", path, body=body, key=out_id)
        if _room_is_gone(answer):
            self._rooms.closed(self.name, phone, room)
            return _roomless(rendered, code_in(answer.reason), answer.reason)
        result = outcome(answer)
        if isinstance(result, Failed) and result.action == "template":
            return _roomless(rendered, result.code, result.reason)
        return result

    def _broadcast(self, phone: str, use: TemplateUse, out_id: str) -> Accepted | Failed:
        """The first template that Qontak takes: each refusal here is certain to have sent none."""
        failed = Failed("permanent", None, f"no template for {use.purpose} may be used")
        try:
            candidates = self._templates.candidates(use.purpose, use.language)
        except Unreached as error:
            raise Unreached(str(error), sent=False) from error
        for template, language in candidates:
            if not self._pace.take():
                # This one waits a second; what goes into rooms is not held up by it.
                return Failed("retry", None, f"{BROADCASTS_A_MINUTE} broadcasts within a minute")
            body = broadcast(
                use,
                phone=phone,
                template=template,
                language=language,
                integration=self._integration,
            )
            path = self._api.settings.broadcast_path
            answer = self._api.chat("POST", path, body=body, key=f"{out_id}-{template}")
            result = outcome(answer)
            if isinstance(result, Accepted) or not _is_templates_fault(answer, result):
                return _final(result)
            self._templates.forget()
            failed = Failed("permanent", result.code, f"template {template}: {result.reason}")
        return failed


def outcome(answer: Answer) -> Accepted | Failed:
    """What an answer to a message means."""
    if answer.ok:
        provider_id = identifier(answer.data, "id")
        if provider_id is None:
            return Failed("unknown", None, "taken, but without an id", answered=True)
        return Accepted(provider_id)
    code = code_in(answer.reason)
    meaning = meaning_of(code)
    if meaning is not None:
        return Failed(meaning, code, answer.reason)
    return Failed(of_status(answer.status), None, answer.reason)


def _room_is_gone(answer: Answer) -> bool:
    refused = answer.status == 404 or (answer.status == 422 and code_in(answer.reason) is None)
    return refused and ROOM_GONE.search(answer.reason) is not None


def _roomless(rendered: Rendered, code: int | None, reason: str) -> Failed:
    action: Action = "unreachable" if rendered.template is None else "template"
    return Failed(action, code, reason)


def _is_templates_fault(answer: Answer, failed: Failed) -> bool:
    if failed.code is not None:
        return failed.code in NOT_THIS_TEMPLATE
    return answer.status in {404, 422} and TEMPLATE_GONE.search(answer.reason) is not None


def _final(result: Accepted | Failed) -> Accepted | Failed:
    """A template that is refused for a closed window would go round for ever as a template."""
    if isinstance(result, Failed) and result.action == "template":
        return Failed("permanent", result.code, result.reason)
    return result


def _failed(error: Exception) -> Failed:
    match error:
        case Unreached(sent=sent):
            return Failed("unknown" if sent else "retry", None, f"no answer: {error}")
        case NotTold(answer=answer) | NotListed(answer=answer):
            return _unsaid(answer)
        case Unsendable():
            return Failed("permanent", None, str(error))
    return Failed("stop", None, str(error))


def _unsaid(answer: Answer) -> Failed:
    """A question before the message was refused: nothing was sent, whatever the answer means."""
    action = of_status(answer.status)
    return Failed("retry" if action == "unknown" else action, None, answer.reason)
