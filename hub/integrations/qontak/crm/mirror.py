"""Keeping the CRM's copy of each lead up to its timeline: one lead at a time, behind the hub."""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import structlog
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from hub.errors import StoreUnavailable
from hub.integrations.calls import Misaddressed, Unreached
from hub.integrations.qontak.credentials import Unauthorised
from hub.integrations.qontak.crm import store, words
from hub.integrations.qontak.crm.client import CrmClient, Refused
from hub.leads import store as leads
from hub.leads.needs import Customer, Customers
from hub.leads.records import Happened, Lead
from hub.leads.states import sale_status
from hub.leads.timeline import store as timeline
from hub.store import Database
from hub.store.sole import Sole
from shared.clock import Clock

PAGE: Final = 200
LOOK_MS: Final = 1_000
"""How often timelines are looked at for something new."""
LOOK_BACK_MS: Final = 30_000
"""An entry may be committed so much later than its time says."""
STAGES_MS: Final = 600_000
RETRY_MS, RETRY_MAX_MS = 2_000, 3_600_000
SHUT_MS: Final = 30_000
"""So long nothing is tried after the CRM let nobody in or did not answer."""
NOBODY: Final = frozenset({401, 403, 429})
"""With these the CRM refuses whoever asks, whatever for."""
TRANSCRIPT_LINES: Final = 100
IDLE_WAIT_S: Final = 0.5

log = structlog.get_logger()


class Withdrawn(Exception):
    """What the CRM was thought to have is not there: it is looked for, then made anew."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Case:
    """A lead as it is now, and what the CRM has of it."""

    had: store.Mirrored
    lead: Lead
    customer: Customer | None
    person: str | None
    blanked: bool
    notes: Mapping[int, str]
    events: tuple[Happened, ...]
    dealers: Mapping[str, str]
    transcript: tuple[str, ...]


class CrmMirror:
    """One per process; of all processes on a database one mirrors, the others stand by."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        client: CrmClient,
        customers: Customers,
        *,
        dealer_name: Callable[[Connection, str], str | None] = lambda _connection, code: code,
        transcripts: bool = False,
    ) -> None:
        """`transcripts`: customers write to a number that Qontak does not see. Asks nothing yet."""
        self._database, self._clock, self._client = database, clock, client
        self._customers, self._dealer_name = customers, dealer_name
        self._transcripts = transcripts
        self._sole = Sole(database, "crm")
        self._after: str | None = ""
        self._since_ms = 0
        self._looked_ms: int | None = None
        self._shut_until_ms = 0
        self._stages: dict[str, str] = {}
        self._stages_until_ms = 0
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    # --- one round --------------------------------------------------------------------------

    def step(self) -> int:
        """Look for what is new, then show one lead; how much was done. Blocks on the network.

        Whatever the CRM does to one lead, the next step takes another. What it made is kept
        before anything else is asked, and looked for where that was cut off.
        """
        if not self._sole.held() or self._clock.mono_ms() < self._shut_until_ms:
            return 0
        found = self._look()
        with self._database.read() as connection:
            had = store.due(connection, self._clock.wall_ms())
        if had is not None:
            self._show(had)
            return found + 1
        return found

    def _look(self) -> int:
        """First every lead of the table, once; then those whose timeline grew."""
        now_ms = self._clock.mono_ms()
        if self._after is not None:
            return self._look_at_all(self._after)
        if self._looked_ms is not None and now_ms < self._looked_ms + LOOK_MS:
            return 0
        self._looked_ms = now_ms
        with self._database.read() as connection:
            rows, until_ms = store.changed(connection, self._since_ms - LOOK_BACK_MS, PAGE)
        self._since_ms = max(self._since_ms, until_ms)
        if rows:
            self._database.write(lambda connection: store.want(connection, rows))
        return len(rows)

    def _look_at_all(self, after: str) -> int:
        if not after:
            self._since_ms = self._clock.wall_ms()
        with self._database.read() as connection:
            rows = store.behind(connection, after, PAGE)
        if rows:
            self._database.write(lambda connection: store.want(connection, rows))
        self._after = rows[-1][0] if len(rows) == PAGE else None
        return len(rows)

    # --- one lead ---------------------------------------------------------------------------

    def _show(self, had: store.Mirrored) -> None:
        try:
            case = self._case(had)
            if case is not None:
                self._bring(case)
        except (Unauthorised, Misaddressed, Unreached, Refused, Withdrawn) as error:
            self._failed(had, error)
            return
        seen = had.seen + 1 if case is None else case.lead.events
        self._database.write(
            lambda connection: store.done(connection, had.lead, seen, had=had.seen)
        )

    def _failed(self, had: store.Mirrored, error: Exception) -> None:
        """Nobody is asked for a while, or this lead waits behind the others, or both."""
        match error:
            case Refused(status=status):
                shut, later = status in NOBODY or status >= 500, True
            case Unreached(sent=sent):
                # It may be this lead that they choke on.
                shut, later = True, sent
            case Withdrawn():
                shut, later = False, True
            case _:
                shut, later = True, False
        if shut:
            self._shut(str(error))
        if later:
            self._later(had, str(error))

    @staticmethod
    def erased(connection: Connection, contact: str) -> None:
        """This customer was erased, in the caller's transaction: they will be in the CRM too.

        Needs nothing but the tables, so that any process may say it.
        """
        store.again(connection, contact)

    def _shut(self, reason: str) -> None:
        log.warning("crm_waits", reason=reason)
        self._shut_until_ms = self._clock.mono_ms() + SHUT_MS

    def _later(self, had: store.Mirrored, reason: str) -> None:
        wait_ms = min(RETRY_MS << min(had.attempts, 20), RETRY_MAX_MS)
        due_ms = self._clock.wall_ms() + wait_ms
        log.warning("crm_lead_waits", lead=had.lead, reason=reason)
        self._database.write(lambda connection: store.later(connection, had.lead, due_ms, reason))

    def _case(self, had: store.Mirrored) -> _Case | None:
        with self._database.read() as connection:
            lead = leads.get(connection, had.lead)
            if lead is None:
                return None
            known = store.person(connection, lead.contact)
            events = tuple(
                event
                for event in timeline.events_of(connection, lead.id)
                if event.kind in words.TOLD
            )
            codes = {event.dealer for event in events if event.dealer is not None}
            transcript: tuple[str, ...] = ()
            if self._transcripts:
                told = self._customers.transcript(connection, lead.id, TRANSCRIPT_LINES)
                transcript = tuple(told)
            return _Case(
                had=had,
                lead=lead,
                customer=self._customers.customer(connection, lead.contact),
                person=known[0] if known else None,
                blanked=bool(known and known[1]),
                notes=store.notes(connection, lead.id),
                events=events,
                dealers={code: self._dealer_name(connection, code) or code for code in codes},
                transcript=transcript,
            )

    def _bring(self, case: _Case) -> None:
        lead, customer = case.lead, case.customer
        if customer is None or customer.erased:
            self._take_away(case)
            return
        # Without consent nothing of a person leaves the hub; what is there already is kept true.
        may_begin = lead.consent_ms is not None and not customer.opted_out and bool(customer.phone)
        if lead.test or lead.state in {"SCREENING", "DUPLICATE"}:
            return
        if case.had.deal is None and not may_begin:
            return
        person = self._person(case, customer)
        if person is None:
            return
        self._deal(case, person)
        self._notes(case, person)

    def _person(self, case: _Case, customer: Customer) -> str | None:
        if case.person is not None or not customer.phone:
            return case.person
        found = self._client.contact(customer.phone)
        if found is None:
            # Nobody is called by a name that the customer has not told.
            name = (customer.name or "").strip() or f"+{customer.phone}"
            found = self._client.make_contact(name, customer.phone)
        person, contact = found, case.lead.contact
        self._database.write(lambda connection: store.set_person(connection, contact, person))
        return found

    def _stage(self, lead: Lead) -> str:
        now_ms = self._clock.mono_ms()
        if now_ms >= self._stages_until_ms:
            self._stages = self._client.stages()
            self._stages_until_ms = now_ms + STAGES_MS
        status = sale_status(lead.state, lead.back)
        for name in words.STAGES[status]:
            if name in self._stages:
                return self._stages[name]
        self._stages_until_ms = 0
        raise Withdrawn(f"the pipeline has no stage for {status}")

    def _deal(self, case: _Case, person: str) -> None:
        lead, deal = case.lead.id, case.had.deal
        stage, now_at = self._stage(case.lead), case.had.stage
        if deal is None:
            name = words.deal_name(lead)
            deal, now_at = self._client.deal(name), None
            if deal is None:
                deal, now_at = self._make_deal(case, name, stage, person), stage
        if now_at != stage:
            try:
                self._client.move_deal(deal, stage)
            except Refused as error:
                if error.status != 404:
                    raise
                self._database.write(
                    lambda connection: store.set_deal(connection, lead, None, None)
                )
                raise Withdrawn("the deal is not in the CRM any more") from error
        if (deal, stage) != (case.had.deal, case.had.stage):
            kept = deal
            self._database.write(lambda connection: store.set_deal(connection, lead, kept, stage))

    def _make_deal(self, case: _Case, name: str, stage: str, person: str) -> str:
        try:
            return self._client.make_deal(name, stage, person)
        except Refused as error:
            # A contact that somebody deleted there is no part of a deal: find or make it again.
            if error.status in {404, 422}:
                contact = case.lead.contact
                self._database.write(lambda connection: store.forget_person(connection, contact))
            raise

    def _notes(self, case: _Case, person: str) -> None:
        missing = [event for event in case.events if event.seq not in case.notes]
        if not missing:
            return
        # Any of them may have been made by a step that was cut off before it could say so.
        there = self._client.notes(person)
        lead = case.lead.id
        for event in missing:
            note = there.get(words.marker(lead, event.seq))
            if note is None:
                transcript = case.transcript if event.kind == "lead.handoff" else ()
                dealer = case.dealers.get(event.dealer or "")
                said = words.note_of(lead, event, dealer, transcript)
                note = self._client.make_note(person, said)
            self._kept_note(lead, event.seq, note)

    def _kept_note(self, lead: str, seq: int, note: str) -> None:
        self._database.write(lambda connection: store.add_note(connection, lead, seq, note))

    def _take_away(self, case: _Case) -> None:
        """An erased person is erased there as well; the deal stays, it names nobody."""
        lead = case.lead.id
        if case.person is not None:
            # With them goes what a step had made that was cut off before it could say so.
            mine = words.marker(lead, 0).removesuffix("0]")
            for last, note in self._client.notes(case.person).items():
                if last.startswith(mine):
                    self._client.drop_note(note)
        for seq, note in case.notes.items():
            self._client.drop_note(note)
            self._forget_note(lead, seq)
        if case.person is not None and not case.blanked:
            try:
                self._client.blank_contact(case.person)
            except Refused as error:
                if error.status != 404:
                    raise
            contact = case.lead.contact
            self._database.write(lambda connection: store.person_erased(connection, contact))

    def _forget_note(self, lead: str, seq: int) -> None:
        self._database.write(lambda connection: store.drop_note(connection, lead, seq))

    # --- a thread ---------------------------------------------------------------------------

    def start(self) -> None:
        """Mirror until `stop`, in a thread of its own: the network may keep it waiting."""
        self._thread = threading.Thread(target=self._run, name="crm", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                done = self.step()
            except (DBAPIError, StoreUnavailable) as error:
                log.warning("crm_waits", reason=type(error).__name__)
                done = 0
            if not done:
                self._stop.wait(IDLE_WAIT_S)

    def idle(self) -> bool:
        """Whether nothing waits to be shown now, as far as was looked."""
        if self._clock.mono_ms() < self._shut_until_ms or not self._sole.held():
            return True
        if self._after is not None:
            return False
        with self._database.read() as connection:
            return not store.any_due(connection, self._clock.wall_ms())

    def stop(self) -> None:
        """Finish the lead at hand, and let another process mirror."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
        self._sole.release()
