"""A vendor's back door: looked at and spoilt over HTTP by a test in another process.

`GET /control/messages`, `GET /control/counts`, `POST /control/people` (Person's fields),
`POST /control/write` (`phone number content`), `POST /control/faults` (Fault's fields, `times`).
"""

from collections.abc import Callable
from typing import Any

from firmware_sim.providers.faults import Fault, FaultPlan
from firmware_sim.providers.handset import Sent
from firmware_sim.providers.http_server import Answer, Request
from firmware_sim.providers.whatsapp import WhatsApp

PREFIX = "/control/"


class Control:
    """Answers everything below `/control/`."""

    def __init__(self, whatsapp: WhatsApp, faults: FaultPlan, idle: Callable[[], bool]) -> None:
        """`idle` tells whether the vendor has told everything."""
        self._whatsapp, self._faults, self._idle = whatsapp, faults, idle

    def answer(self, request: Request) -> Answer:
        """404 for what is not known. A malformed body is the test's own mistake, and crashes."""
        body = request.json() or {}
        match request.method, request.path.removeprefix(PREFIX):
            case "GET", "messages":
                return Answer(200, {"items": [_public(sent) for sent in self._whatsapp.sent]})
            case "GET", "counts":
                return Answer(200, self._counts())
            case "POST", "people":
                self._whatsapp.add_person(**body)
                return Answer(201)
            case "POST", "write":
                return self._write(body)
            case "POST", "faults":
                times = int(body.pop("times", 1))
                self._faults.next(Fault(**body), times)
                return Answer(201)
        return Answer(404)

    def _counts(self) -> dict[str, object]:
        return {
            "sent": len(self._whatsapp.sent),
            "refused": {str(code): count for code, count in self._whatsapp.refused.items()},
            "failed": {str(code): count for code, count in self._whatsapp.failed.items()},
            "idle": self._idle(),
        }

    def _write(self, body: dict[str, Any]) -> Answer:
        person = self._whatsapp.person(str(body["phone"]))
        if person is None:
            return Answer(404)
        wamid = self._whatsapp.write(person, str(body["number"]), body["content"])
        return Answer(201, {"id": wamid})


def _public(sent: Sent) -> dict[str, object]:
    return {
        "id": sent.id,
        "number": sent.number,
        "to": sent.to,
        "kind": sent.kind,
        "text": sent.text,
        "options": [{"id": option.id, "title": option.title} for option in sent.options],
        "template": sent.form.template,
        "ours": sent.form.ours,
    }
