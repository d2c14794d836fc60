"""Leads that come as rows and requests: told from those we have, stored, and routed."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

import orjson
from sqlalchemy import Connection

from hub.contacts.service import Contacts
from hub.errors import Refused
from hub.leads import store
from hub.leads.desk import DAY_MS, Desk, detail
from hub.leads.lead_rows import LeadRow, model_name
from hub.leads.records import Lead
from hub.leads.service import Beginning, Leads
from hub.leads.states import OPEN, Refusal
from hub.leads.timeline import store as timeline

Locate = Callable[[str], tuple[float, float, str] | None]
"""Latitude, longitude and area of a typed place, if it can be only one."""
Foreseen: TypeAlias = Literal["new", "duplicate", "replay"]


@dataclass(frozen=True, slots=True, kw_only=True)
class IntakeAnswer:
    """What whoever sent it is told."""

    status: int
    lead: str
    state: str
    duplicate_of: str | None
    replayed: bool = False
    """Whether nothing was done, because it had been done before."""

    @property
    def body(self) -> dict[str, object]:
        """The answer in the contract's words."""
        return {"lead_id": self.lead, "state": self.state, "duplicate_of": self.duplicate_of}


class Intake:
    """Takes leads in; constant work for each, however many there are."""

    def __init__(self, desk: Desk, leads: Leads, contacts: Contacts, *, locate: Locate) -> None:
        """Everything happens on the callers' connections."""
        self._desk = desk
        self._leads = leads
        self._contacts = contacts
        self._locate = locate

    def take(
        self,
        connection: Connection,
        row: LeadRow,
        *,
        raw: bytes,
        key: str | None,
        now_ms: int,
    ) -> IntakeAnswer:
        """Store a lead, once for each idempotency `key` (with its sender's name in it).

        `raw` are the bytes that stand for the request: with the same key and other bytes it is
        Refused (409), with the same bytes the first answer is repeated with 200.
        """
        digest = self._contacts.digest(raw)
        if key is not None and (given := store.answered(connection, key)) is not None:
            return _again(given, digest)
        answer = self._take(connection, row, now_ms)
        if key is not None:
            store.keep_answer(
                connection,
                key,
                body_sha256=digest,
                lead=answer.lead,
                answer=orjson.dumps(answer.body).decode(),
                at_ms=now_ms,
            )
        return answer

    def foresee(
        self,
        connection: Connection,
        row: LeadRow,
        *,
        raw: bytes,
        key: str,
        now_ms: int,
    ) -> Foreseen:
        """What `take` would do with a lead now, without doing it. Raises Refused as it would."""
        if (given := store.answered(connection, key)) is not None:
            _again(given, self._contacts.digest(raw))
            return "replay"
        contact = self._contacts.whose(connection, phone=row.phone, email=row.email)
        newest = None if contact is None else store.newest_of(connection, contact)
        return "new" if newest is None or not self._is_same(newest, now_ms) else "duplicate"

    def digest(self, raw: bytes) -> str:
        """By what `raw` is known again."""
        return self._contacts.digest(raw)

    def _take(self, connection: Connection, row: LeadRow, now_ms: int) -> IntakeAnswer:
        contact = self._contacts.meet(
            connection, phone=row.phone, email=row.email, name=row.name, now_ms=now_ms
        )
        if row.consent_version is not None:
            self._contacts.consent(
                connection,
                contact,
                version=row.consent_version,
                at_ms=row.consent_ms or now_ms,
                channel=row.source,
            )
        newest = store.newest_of(connection, contact)
        current = None if newest is None else store.lock(connection, newest.id)
        lead = self._new(connection, row, contact, current=current, now_ms=now_ms)
        if current is not None and self._is_same(current, now_ms):
            return self._duplicate(connection, row, lead, current, now_ms=now_ms)
        state = self._begin(connection, lead, now_ms)
        return IntakeAnswer(status=201, lead=lead.id, state=state, duplicate_of=None)

    def _is_same(self, current: Lead, now_ms: int) -> bool:
        """The same person's lead, still open and young enough."""
        days = self._desk.settings.same_person_days
        return current.state in OPEN and now_ms - current.received_ms <= days * DAY_MS

    def _new(
        self,
        connection: Connection,
        row: LeadRow,
        contact: str,
        *,
        current: Lead | None,
        now_ms: int,
    ) -> Lead:
        touch = {"source": row.source, "campaign": row.campaign, "at_ms": now_ms}
        lead = self._leads.begin(
            connection,
            Beginning(
                contact=contact,
                source=row.source,
                campaign=row.campaign,
                touch=detail(**touch, external_id=row.external_id),
                consent_version=row.consent_version,
                consent_ms=row.consent_ms or (now_ms if row.consent_version else None),
                previous=None if current is None else current.id,
            ),
            now_ms,
        )
        store.change(connection, lead.id, **self._known(connection, row))
        return store.lock(connection, lead.id) or lead

    def _known(self, connection: Connection, row: LeadRow) -> dict[str, object]:
        """What a row tells about wishes and place, as columns."""
        known: dict[str, object] = {"place": row.place}
        found = None if row.place is None else self._locate(row.place)
        if found is None and row.at is not None:
            found = self._locate(f"{row.at[0]:.6f}, {row.at[1]:.6f}")
        at = row.at or (found and found[:2])
        if at is not None:
            known |= {"lat_udeg": round(at[0] * 1e6), "lon_udeg": round(at[1] * 1e6)}
        # Reps read area and model before they claim: never words that may say who it is.
        known["area"] = found and found[2]
        if row.model is not None:
            model = self._desk.directory.model(connection, row.model.upper())
            known["model"] = model.code if model else model_name(row.model)
            known["model_said"] = None if known["model"] else row.model
        if row.payment != "unknown":
            known["payment"] = row.payment
        if row.buy_when != "unknown":
            known["buy_when"] = row.buy_when
        return {name: value for name, value in known.items() if value is not None}

    def _begin(self, connection: Connection, lead: Lead, now_ms: int) -> str:
        """Routable from now on; the offers go out with the next step, not before the answer.

        Who agreed to messages and can be written to is asked for a place that is not known.
        """
        if lead.consent_version is not None and not lead.located and self._greets(connection, lead):
            wait_ms = self._desk.settings.screening_s * 1000
            store.change(connection, lead.id, next_step="screened", next_step_ms=now_ms + wait_ms)
            return lead.state
        moved = self._desk.move(connection, lead, "qualify", now_ms, qualified_ms=now_ms)
        if isinstance(moved, Refusal):
            return lead.state
        timeline.note(connection, lead.id, "lead.qualified", now_ms)
        if moved.consent_version is None:
            return moved.state  # stored and shown, never messaged
        if moved.located:
            store.change(connection, lead.id, next_step="route", next_step_ms=now_ms)
        else:
            self._leads.custody.needs_human(connection, moved, "no place is known", now_ms)
        return moved.state

    def _greets(self, connection: Connection, lead: Lead) -> bool:
        """Write to the customer, once; whether we know how. Their answer opens the conversation."""
        customer = self._desk.customers.customer(connection, lead.contact)
        if customer is None or customer.phone is None or customer.opted_out:
            return False
        self._desk.tell_customer(connection, lead, "customer_greeting", key="1")
        return True

    def _duplicate(
        self, connection: Connection, row: LeadRow, lead: Lead, current: Lead, *, now_ms: int
    ) -> IntakeAnswer:
        """The person has an open lead: it learns what is new, and its owner hears of it."""
        self._desk.move(
            connection, lead, "duplicate", now_ms, duplicate_of=current.id, previous=None
        )
        fresh = {
            name: value
            for name, value in self._known(connection, row).items()
            if getattr(current, name) in {None, "unknown"}
        }
        if current.model is not None or "model" in fresh:
            fresh["model_said"] = None  # words that nobody reads beside a model are not kept
        if row.consent_version is not None and current.consent_version is None:
            fresh |= {
                "consent_version": row.consent_version,
                "consent_ms": row.consent_ms or now_ms,
            }
        touch = detail(source=row.source, campaign=row.campaign, at_ms=now_ms)
        store.change(connection, current.id, last_touch=touch, **fresh)
        timeline.note(
            connection,
            current.id,
            "lead.received",
            now_ms,
            detail=detail(source=row.source, duplicate=lead.id),
        )
        self._wake(connection, store.lock(connection, current.id) or current, now_ms)
        return IntakeAnswer(status=200, lead=lead.id, state="DUPLICATE", duplicate_of=current.id)

    def _wake(self, connection: Connection, current: Lead, now_ms: int) -> None:
        """Who asks again is to be called: by the owner, or by somebody who calls."""
        if current.rep is None:
            if current.state == "SCREENING" and current.screened:
                self._leads.qualify(connection, current, now_ms)
            elif current.state == "QUALIFIED" and current.next_step is None:
                store.change(connection, current.id, next_step="route", next_step_ms=now_ms)
        elif current.state == "CLAIMED" and current.reminded:
            self._leads.custody.put_back(
                connection, current, "take_back", reason="contact", now_ms=now_ms
            )
        else:
            self._desk.say(
                connection,
                current,
                "again",
                current.rep,
                key=f"{current.rep}/{now_ms // DAY_MS}",
                lasts_ms=DAY_MS,
            )


def _again(given: tuple[str, str, str], digest: str) -> IntakeAnswer:
    known_digest, lead, answer = given
    if known_digest != digest:
        raise Refused(
            409, "idempotency-key-reused", "this Idempotency-Key was used for another body"
        )
    values = orjson.loads(answer)
    return IntakeAnswer(
        status=200,
        lead=lead,
        state=values["state"],
        duplicate_of=values["duplicate_of"],
        replayed=True,
    )
