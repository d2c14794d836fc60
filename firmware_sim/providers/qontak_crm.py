"""Qontak's CRM: contacts, deals and notes. It knows no idempotency: whoever repeats, doubles."""

from typing import Any

from firmware_sim.providers.http_server import Answer, Request

KINDS = ("contacts", "deals", "notes")
NEEDED = {
    "contacts": ("first_name",),
    "deals": ("name", "crm_pipeline_id", "crm_stage_id"),
    "notes": ("note", "type"),
}
STAGES = ("Pending Contact", "Demo Scheduled", "Closed Won", "Lost")


class Crm:
    """Answers everything below `/qontak/crm/`."""

    def __init__(self, pipeline: str) -> None:
        """One pipeline with four stages."""
        self._pipeline = pipeline
        self.kept: dict[str, dict[int, dict[str, Any]]] = {kind: {} for kind in KINDS}
        """Contacts, deals and notes by id."""

    def answer(self, request: Request, path: str) -> Answer:
        """`path` is what follows `/qontak/crm/`."""
        if not request.headers.get("x-crm-user-sso-id"):
            return _wrong(401, "X-Crm-User-Sso-Id is required")
        kind, _, rest = path.partition("/")
        if kind == "pipelines":
            return self._stages(rest)
        if kind not in KINDS:
            return _wrong(404, "not found")
        return self._entries(request, kind, rest)

    def _stages(self, rest: str) -> Answer:
        if rest != f"{self._pipeline}/stages":
            return _wrong(404, "pipeline not found")
        stages = [{"id": number + 1, "name": name} for number, name in enumerate(STAGES)]
        return Answer(200, {"meta": {"status": 200}, "response": stages})

    def _entries(self, request: Request, kind: str, rest: str) -> Answer:
        kept = self.kept[kind]
        entry = kept.get(int(rest)) if rest.isdigit() else None
        match request.method:
            case "GET" if not rest:
                found = [each for each in kept.values() if _fits(each, request)]
                return Answer(200, {"meta": {"status": 200}, "response": found})
            case "POST" if not rest:
                return self._create(kind, request.json() or {})
        if entry is None:
            return _wrong(404, f"{kind} {rest} not found")
        match request.method:
            case "PUT":
                entry.update(request.json() or {})
            case "DELETE":
                del kept[entry["id"]]
        return Answer(200, {"meta": {"status": 200}, "response": entry})

    def _create(self, kind: str, body: dict[str, Any]) -> Answer:
        missing = [name for name in NEEDED[kind] if not body.get(name)]
        if missing:
            return _wrong(422, f"{missing[0]} can't be blank")
        entry = {**body, "id": len(self.kept[kind]) + 1}
        self.kept[kind][entry["id"]] = entry
        return Answer(201, {"meta": {"status": 201}, "response": entry})


def _fits(entry: dict[str, Any], request: Request) -> bool:
    return all(
        str(entry.get(name)) == value
        for name, value in request.query.items()
        if name not in {"page", "per_page"}
    )


def _wrong(status: int, words: str) -> Answer:
    return Answer(status, {"meta": {"status": status, "error_message": words}, "response": None})
