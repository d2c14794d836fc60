"""What people do with leads on pages: who may do what, and each deed in one transaction."""

from collections.abc import Callable
from dataclasses import replace
from typing import Final, Protocol

import structlog
from sqlalchemy import Connection

from hub.accounts.rules import Account
from hub.leads import reads
from hub.leads.board import Board
from hub.leads.intake import IntakeAnswer
from hub.leads.lead_rows import LeadRow
from hub.leads.needs import Rep
from hub.leads.objects import nearest_of
from hub.leads.reads import Chosen, Viewer
from hub.leads.records import Lead
from hub.leads.states import Refusal, after
from hub.portals.kept_counts import Counts, KeptCounts
from hub.portals.read_models import Count
from hub.store import Database
from shared.clock import Clock

DEALERS_OFFERED: Final = 5
"""Dealers near a lead whose people a manager may give it to."""
READERS: Final = frozenset({"executive", "auditor"})
"""They see how leads fare, never who the customers are."""

log = structlog.get_logger()


class Actions(Protocol):
    """What a manager may do to a lead. False: it does not happen to a lead in its state."""

    def release(self, connection: Connection, lead_id: str, *, by: str, now_ms: int) -> bool:
        """Take it from its owner and put it back on the market."""
        ...

    def transfer(
        self, connection: Connection, lead_id: str, person: str, *, by: str, now_ms: int
    ) -> bool:
        """Give it to a person."""
        ...

    def close(self, connection: Connection, lead_id: str, *, reason: str, now_ms: int) -> bool:
        """Close it without a sale."""
        ...

    def test_offer(self, connection: Connection, person: str, now_ms: int) -> str | None:
        """Offer a person a made-up lead; its id. None: there is no such person at a dealer."""
        ...


class Intake(Protocol):
    """Where leads come in."""

    def take(
        self,
        connection: Connection,
        row: LeadRow,
        *,
        raw: bytes,
        key: str | None,
        now_ms: int,
    ) -> IntakeAnswer:
        """Store a lead, once for each `key`. Raises Refused where it was used for another."""
        ...


Deed = Callable[[Connection, int], bool]
Press = Callable[[str, str, str], bool]
"""A person presses a button (its id), somebody signed in did it for them; is it decided yet?"""
BUTTONS: Final = {
    "claim": "CLAIM",
    "skip": "SKIP",
    "contacted": "CONTACTED",
    "demo": "DEMO",
    "lost": "LOST",
}
"""What is pressed on pages, as WhatsApp's buttons have it."""


class LeadDesk:
    """The board, and the deeds of managers."""

    def __init__(
        self,
        database: Database,
        board: Board,
        actions: Actions,
        intake: Intake,
        *,
        clock: Clock,
        press: Press,
    ) -> None:
        """Read from `board`, act through `actions`; `press` is every button that reps have."""
        self.board: Final = board
        self._database = database
        self._actions = actions
        self._intake = intake
        self._clock = clock
        self._press = press
        self._counts = KeptCounts(clock)

    def counts(self, viewer: Viewer, chosen: Chosen) -> Counts:
        """The counters of a list, kept for as long as they were dear to count."""
        base = replace(chosen, states=(), special=None)
        scope = (viewer.everything, viewer.dealers, viewer.regions)

        def count() -> Counts:
            found = self.board.counts(viewer, base)
            return {name: Count(n=n) for name, n in found.items()}

        return self._counts.get((scope, base), count)

    def release(self, viewer: Viewer, lead: str) -> bool:
        """Back on the market."""
        return self._do(
            viewer,
            lead,
            "released",
            lambda c, now_ms: self._actions.release(c, lead, by=viewer.id, now_ms=now_ms),
        )

    def transfer(self, viewer: Viewer, lead: str, person: str) -> bool:
        """To a person; a dealer's manager gives to people of their own dealers alone."""
        rep = self.board.rep(person)
        if rep is None or not (viewer.everything or viewer.dealers.intersection(rep.dealers)):
            return False
        return self._do(
            viewer,
            lead,
            "transferred",
            lambda c, now_ms: self._actions.transfer(c, lead, person, by=viewer.id, now_ms=now_ms),
        )

    def close(self, viewer: Viewer, lead: str, reason: str) -> bool:
        """Over, without a sale."""
        return self._do(
            viewer,
            lead,
            "closed",
            lambda c, now_ms: self._actions.close(c, lead, reason=reason, now_ms=now_ms),
        )

    def press(self, viewer: Viewer, lead: str, button: str, person: str | None) -> str | None:
        """A button of somebody who was offered a lead, or has it, by the same way as in WhatsApp.

        A dealer's manager presses for their people. The person it was done for, or None: it is
        nobody's to press here. What it was worth stands in the timeline, at once or in a moment.
        """
        for_whom = self._presser(viewer, lead, button, person)
        if for_whom is None:
            return None
        decided = self._press(for_whom, f"{BUTTONS[button]}_{lead}", viewer.id)
        log.info("lead_pressed", what=button, lead=lead, by=viewer.id, decided=decided)
        return for_whom

    def _presser(self, viewer: Viewer, lead: str, button: str, person: str | None) -> str | None:
        if viewer.only is not None:
            return viewer.only
        if button in {"claim", "skip"}:
            offered = [each.offer.person for each in self.board.offers(viewer, lead=lead)]
        else:
            whole = self.board.whole(viewer, lead)
            mine = whole is not None and whole.may_act and bool(viewer.dealers)
            offered = [whole.lead.rep] if mine and whole is not None and whole.lead.rep else []
        return person if person in offered else None

    def bring(
        self, viewer: Viewer, row: LeadRow, *, raw: bytes, key: str | None, rep: str | None
    ) -> IntakeAnswer:
        """A lead that somebody brings by hand; durable on return, once for each `key` of theirs.

        It is `rep`'s, or anybody's as one that comes by WhatsApp. Of a customer who has an open
        lead nothing changes hands, and one who has not agreed is given to nobody. Raises Refused
        where `key` was used for another.
        """

        def work(connection: Connection) -> IntakeAnswer:
            now_ms = self._clock.wall_ms()
            known = None if key is None else f"portal/{viewer.id}/{key}"
            answer = self._intake.take(connection, row, raw=raw, key=known, now_ms=now_ms)
            new = answer.duplicate_of is None and not answer.replayed
            if rep is not None and new and row.consent_version is not None:
                self._actions.transfer(connection, answer.lead, rep, by=viewer.id, now_ms=now_ms)
            return answer

        answer = self._database.write(work)
        log.info("lead_brought", lead=answer.lead, by=viewer.id, to=rep, replayed=answer.replayed)
        return answer

    def test_offer(self, viewer: Viewer, person: str) -> str | None:
        """Send somebody an offer that is marked as a test; the lead's id.

        To oneself, and as a manager to one's people. None: they work at no dealer of the viewer.
        """
        rep = self.board.rep(person)
        theirs = rep is not None and bool(viewer.dealers.intersection(rep.dealers))
        if rep is None or not (person == viewer.id or (viewer.acts and (theirs or viewer.wide))):
            return None
        lead = self._database.write(
            lambda c: self._actions.test_offer(c, person, self._clock.wall_ms())
        )
        log.info("lead_test_offer", lead=lead, to=person, by=viewer.id)
        return lead

    def candidates(self, viewer: Viewer, lead: Lead) -> list[Rep]:
        """Who may be given a lead: people on duty of its dealer and of those near by.

        Nobody, where it has ended in a way that no hand-over undoes.
        """
        if isinstance(after(lead.state, "transfer", back=lead.back), Refusal):
            return []
        codes = [str(row["dealer"]) for row in nearest_of(lead)[:DEALERS_OFFERED]]
        if lead.dealer is not None and lead.dealer not in codes:
            codes.insert(0, lead.dealer)
        mine = [code for code in codes if viewer.everything or code in viewer.dealers]
        found = {rep.id: rep for code in mine for rep in self.board.reps_of(code)}
        return [rep for rep in found.values() if rep.id != lead.rep]

    def _do(self, viewer: Viewer, lead: str, what: str, deed: Deed) -> bool:
        """The right is looked at in the same transaction: a lead lost meanwhile is not touched."""

        def work(connection: Connection) -> bool:
            found = reads.one(connection, viewer, lead)
            if found is None or not viewer.may_act(found):
                return False
            return deed(connection, self._clock.wall_ms())

        done = self._database.write(work)
        log.info("lead_by_hand", what=what, lead=lead, by=viewer.id, done=done)
        return done


def viewer_of(account: Account) -> Viewer:
    """Somebody who has signed in as somebody who looks at leads."""
    name = account.person or f"acc_{account.id}"
    regional = account.role == "regional_manager"
    return Viewer(
        id=name,
        everything=account.head_office and not regional,
        dealers=frozenset(account.dealers),
        regions=frozenset(account.regions) if regional else frozenset(),
        reveals=account.role not in READERS,
        acts=account.role in {"admin", "regional_manager", "dealer_manager"},
        only=account.person if account.role == "rep" else None,
    )
