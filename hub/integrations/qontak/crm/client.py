"""Contacts, deals, stages and notes in Mekari's words."""

from collections.abc import Mapping
from typing import Final

from hub.integrations.qontak.api import Answer, QontakApi
from hub.integrations.whatsapp.reading import NAME_CHARS_MAX, Object, mapping, text

NOTE_CHARS_MAX: Final = 8_000
PER_PAGE: Final = "50"
PERSON_NOTE: Final = "Crm::PersonNote"
BLANK: Final = "Dihapus"
"""The first name that is left of an erased person: the field may not be empty."""


class Refused(Exception):
    """The CRM did not do it."""

    def __init__(self, answer: Answer) -> None:
        """With its words."""
        super().__init__(answer.reason)
        self.status = answer.status


class CrmClient:
    """Every method raises Refused, and what `QontakApi.crm` raises."""

    def __init__(self, api: QontakApi, pipeline: str) -> None:
        """`pipeline` is the one that deals belong to."""
        self._api, self._pipeline = api, pipeline

    def _ask(
        self,
        method: str,
        path: str,
        *,
        parameters: Mapping[str, str] | None = None,
        body: Object | None = None,
    ) -> Answer:
        answer = self._api.crm(method, path, parameters=parameters, body=body)
        if not answer.ok:
            raise Refused(answer)
        return answer

    def _make(self, path: str, body: Object) -> str:
        answer = self._ask("POST", path, body=body)
        made = _id(answer.data)
        if made is None:
            # It is there now, without our knowing its id: the next try finds it.
            raise Refused(Answer(status=502, document={"message": "made, but without an id"}))
        return made

    def stages(self) -> dict[str, str]:
        """Ids of the pipeline's stages by name, in small letters."""
        rows = self._ask("GET", f"/pipelines/{self._pipeline}/stages").rows
        found = {}
        for row in rows:
            name, stage = text(row, "name", NAME_CHARS_MAX), _id(row)
            if name is not None and stage is not None:
                found[" ".join(name.lower().replace("_", " ").split())] = stage
        return found

    def contact(self, phone: str) -> str | None:
        """The contact with this phone, if there is one."""
        sought = {"telephone": f"+{phone}", "per_page": PER_PAGE}
        for row in self._ask("GET", "/contacts", parameters=sought).rows:
            # A filter that the CRM does not know gives everybody.
            if _digits(row.get("telephone")) == phone:
                return _id(row)
        return None

    def make_contact(self, name: str, phone: str) -> str:
        """The new contact's id."""
        return self._make("/contacts", {"first_name": name, "telephone": f"+{phone}"})

    def blank_contact(self, contact: str) -> None:
        """Take away who it is."""
        nobody = {"first_name": BLANK, "last_name": "", "telephone": "", "email": ""}
        self._ask("PUT", f"/contacts/{contact}", body=nobody)

    def deal(self, name: str) -> str | None:
        """The deal with this name in our pipeline, if there is one."""
        sought = {"name": name, "per_page": PER_PAGE}
        for row in self._ask("GET", "/deals", parameters=sought).rows:
            if row.get("name") == name and str(row.get("crm_pipeline_id")) == self._pipeline:
                return _id(row)
        return None

    def make_deal(self, name: str, stage: str, contact: str) -> str:
        """The new deal's id."""
        body = {
            "name": name,
            "crm_pipeline_id": _number(self._pipeline),
            "crm_stage_id": _number(stage),
            "crm_lead_ids": [_number(contact)],
        }
        return self._make("/deals", body)

    def move_deal(self, deal: str, stage: str) -> None:
        """Put it into another stage."""
        self._ask("PUT", f"/deals/{deal}", body={"crm_stage_id": _number(stage)})

    def notes(self, contact: str) -> dict[str, str]:
        """Ids of a contact's notes by their last line; empty where the CRM lists none."""
        sought = {"crm_person_id": contact, "per_page": PER_PAGE}
        answer = self._api.crm("GET", "/notes", parameters=sought)
        if answer.status in {404, 405}:
            return {}
        if not answer.ok:
            raise Refused(answer)
        found = {}
        for row in answer.rows:
            lines = (text(row, "note", 2 * NOTE_CHARS_MAX) or "").splitlines()
            note = _id(row)
            if lines and note is not None:
                found[lines[-1].strip()] = note
        return found

    def make_note(self, contact: str, words: str) -> str:
        """The new note's id."""
        body = {"note": words, "type": PERSON_NOTE, "crm_person_id": _number(contact)}
        return self._make("/notes", body)

    def drop_note(self, note: str) -> None:
        """Take a note away; one that is gone already is as good."""
        try:
            self._ask("DELETE", f"/notes/{note}")
        except Refused as refused:
            if refused.status != 404:
                raise


def _id(row: Object) -> str | None:
    """An id, which is a number there and a text here."""
    found = mapping(row).get("id")
    if isinstance(found, bool) or not isinstance(found, int | str):
        return None
    return str(found)[:NAME_CHARS_MAX] or None


def _number(kept: str) -> int | str:
    return int(kept) if kept.isascii() and kept.isdigit() and len(kept) < 19 else kept


def _digits(value: object) -> str:
    written = str(value) if isinstance(value, str | int) else ""
    return "".join(letter for letter in written if letter in "0123456789")
