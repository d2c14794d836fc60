"""The projection: entries of the ledger into the tables of sales and units."""

from collections.abc import Sequence
from functools import partial

from sqlalchemy import Connection, Table

from hub.ledger.followers import LedgerEntry, Write
from hub.sales import rules, store, tables
from hub.sales.books import Books
from hub.sales.readings import LastWords, Reading
from hub.sales.records import Answer, Line, Record
from shared.wire.events import Activated, Event, Fault, Report, Return, Sale, Unit, Void


class SalesFollower:
    """Keeps `sale`, `sale_unit`, `sale_answer` and `unit` (hub.ledger.followers.Follower)."""

    name = "sales"
    tables: tuple[Table, ...] = tables.TABLES

    def fold(self, entries: Sequence[LedgerEntry]) -> Write:
        """Fold in `entries`, in order; the result does not depend on how they are cut."""
        words = LastWords()
        facts: list[tuple[LedgerEntry, Event]] = []
        for entry in reversed(entries):
            event = entry.event if entry.lane in ("vehicle", "sale") else None
            if event is None:
                continue
            data = event.data
            if isinstance(data, Report):
                words.take(entry, data)
                continue
            facts.append((entry, event))
            if isinstance(data, Activated):
                words.take(entry, data)
            elif isinstance(data, Fault):
                words.take_fault(entry, data)
        return partial(_write, facts=facts[::-1], readings=words.readings())


def _write(
    connection: Connection,
    *,
    facts: Sequence[tuple[LedgerEntry, Event]],
    readings: Sequence[Reading],
) -> None:
    if facts:
        books = Books(store.TableShelf(connection))
        for entry, event in facts:
            fold(books, entry, event)
        store.save(connection, books)
    store.save_readings(connection, readings)


def fold(books: Books, entry: LedgerEntry, event: Event) -> None:
    """Put one entry into the books, if it is of a kind they keep."""
    data = event.data
    if isinstance(data, Sale):
        books.sale(_sale(entry, event, data))
    elif isinstance(data, Void | Return):
        books.reversal(_reversal(entry, event, data))
    elif isinstance(data, Activated) or (isinstance(data, Fault) and data.sale is not None):
        answer = _answer(entry, event, data)
        if answer is not None:
            books.answer(answer)


def _err_ms(event: Event) -> int | None:
    return None if event.occurred.wall_ms is None else event.occurred.err_ms


def _sale(entry: LedgerEntry, event: Event, sale: Sale) -> Record:
    return Record(
        index=entry.index,
        dealer=entry.dealer or "",
        device=entry.device,
        gen=event.gen,
        n=event.n,
        kind="sale",
        till=sale.till,
        receipt=sale.receipt,
        at_ms=entry.at_ms,
        err_ms=_err_ms(event),
        received_ms=entry.received_ms,
        state="final",
        content=rules.content_of(sale),
        payment=sale.payment,
        operator=sale.operator,
        buyer_commitment=sale.buyer_commitment,
        list_idr=sum(unit.list_idr for unit in sale.units),
        discount_idr=sum(unit.discount_idr for unit in sale.units),
        net_idr=sum(unit.net_idr for unit in sale.units),
        lines=[_line(number, unit) for number, unit in enumerate(sale.units, start=1)],
    )


def _line(number: int, unit: Unit) -> Line:
    return Line(
        line=number,
        serial=rules.normal_serial(unit.serial),
        serial_raw=unit.serial_raw or unit.serial,
        model=unit.model,
        list_idr=unit.list_idr,
        discount_idr=unit.discount_idr,
        net_idr=unit.net_idr,
        state="sold",
    )


def _reversal(entry: LedgerEntry, event: Event, data: Void | Return) -> Record:
    named = None
    if data.serials is not None:
        # A text of which nothing is left names no unit, but it must not come to mean "all".
        named = tuple(rules.normal_serial(serial) or serial for serial in data.serials)
    return Record(
        index=entry.index,
        dealer=entry.dealer or "",
        device=entry.device,
        gen=event.gen,
        n=event.n,
        kind="void" if isinstance(data, Void) else "return",
        till=data.till,
        receipt=data.receipt,
        at_ms=entry.at_ms,
        err_ms=_err_ms(event),
        received_ms=entry.received_ms,
        state="unmatched",
        serials=named,
    )


def _answer(entry: LedgerEntry, event: Event, data: Activated | Fault) -> Answer | None:
    serial = rules.normal_serial(data.serial)
    if serial is None or data.sale is None:
        return None
    return Answer(
        index=entry.index,
        dealer=entry.dealer or "",
        device=entry.device,
        serial=serial,
        kind="answered" if isinstance(data, Activated) else "unanswered",
        sale_gen=data.sale.gen,
        sale_n=data.sale.n,
        at_ms=entry.at_ms,
        err_ms=_err_ms(event),
    )
