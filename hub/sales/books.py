"""The fold: one fact of the ledger after the other changes the books. No I/O of its own.

What the books do not hold yet they ask a `Shelf` for: the tables, or nothing at all when a whole
ledger is folded in memory. Because every question is answered from the state before the fact in
hand, the result does not depend on how the ledger is cut into chunks.
"""

from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

from hub.sales import rules
from hub.sales.records import Answer, Line, Record

K = TypeVar("K")
V = TypeVar("V")
T = TypeVar("T", Record, Answer)


class Shelf(Protocol):
    """What was folded before. Records come with all their lines, in the order of the ledger."""

    def history(self, dealer: str, till: str, receipt: str) -> Sequence[Record]:
        """The last WINDOW records of one receipt number."""
        ...

    def captured(self, device: str, gen: int, n: int) -> Sequence[Record]:
        """The last WINDOW sales and copies with one capture number; one, unless cloned."""
        ...

    def newest_sale(self, serial: str) -> Record | None:
        """The newest sale (never a copy of one) on which a serial stands."""
        ...

    def live_count(self, serial: str) -> int:
        """How many lines with this serial are sold and not undone."""
        ...

    def answers_to(self, device: str, gen: int, n: int) -> Sequence[Answer]:
        """The last WINDOW answers that name one capture."""
        ...

    def newest_answer(self, serial: str, kind: str) -> Answer | None:
        """The newest answer of one kind from a scooter."""
        ...


class Books:
    """Records, lines and answers as far as the facts in hand need them."""

    def __init__(self, shelf: Shelf) -> None:
        """Begin with nothing but the shelf."""
        self._shelf = shelf
        self.records: dict[int, Record] = {}
        self.answers: dict[int, Answer] = {}
        self._live: dict[str, int] = {}
        self.touched: set[str] = set()
        """Serials whose sale or answer changed."""
        self._histories: dict[tuple[str, str, str], list[Record]] = {}
        self._captures: dict[tuple[str, int, int], list[Record]] = {}
        self._newest_sales: dict[str, Record | None] = {}
        self._answers_to: dict[tuple[str, int, int], list[Answer]] = {}
        self._newest_answers: dict[tuple[str, str], Answer | None] = {}

    # --- facts ---

    def sale(self, record: Record) -> None:
        """A till reported payment complete. `record` has its lines, all sold and not yet judged."""
        history = self._history(record)
        copy_of = next(
            (r for r in history if r.kind == "sale" and r.content == record.content), None
        )
        captures = self._captured(record.device, record.gen, record.n)
        flags = [rules.CAPTURE_REPEATED] if captures else []
        if copy_of is not None:
            self._copy(record, copy_of)
            flags.append(rules.DUPLICATE)
        else:
            if any(r.kind == "sale" for r in history):
                flags.append(rules.RECEIPT_REUSED)
            flags += self._judge_lines(record)
        record.flags = rules.in_order([*record.flags, *flags])
        self.records[record.index] = record
        _remember(captures, record)
        if record.kind == "sale":
            self._newest(record)
            self._take_waiting_reversals(record, history)
            self._take_waiting_answers(record)
        _remember(history, record)

    def reversal(self, record: Record) -> None:
        """A till cancelled a receipt or took units back; without its sale it waits as a fact."""
        history = self._history(record)
        sale = rules.sale_to_reverse(record, history)
        if sale is None:
            record.flags = (rules.why_unmatched(record, history),)
        else:
            self._reverse(record, sale)
        self.records[record.index] = record
        _remember(history, record)

    def answer(self, answer: Answer) -> None:
        """A scooter answered, or did not for a day; without its sale the answer waits."""
        self.answers[answer.index] = answer
        named = self._captured(answer.device, answer.sale_gen, answer.sale_n)
        sale = next((r for r in reversed(named) if rules.answers_sale(answer, r)), None)
        if sale is None:
            newest = self._newest_sale(answer.serial)
            if newest is not None and rules.may_answer_sale(answer, newest):
                sale = newest
        if sale is not None:
            self._link(answer, sale)
        _remember(self._waiting(answer.device, answer.sale_gen, answer.sale_n), answer)
        self._newest_answers[answer.serial, answer.kind] = answer

    # --- what they do ---

    def _judge_lines(self, record: Record) -> list[str]:
        seen: set[str] = set()
        found: list[str] = [] if record.lines else [rules.EMPTY]
        for line in record.lines:
            flags = rules.line_flags(
                line,
                repeated=line.serial in seen,
                live_elsewhere=line.serial is not None and self.live_count(line.serial) > 0,
            )
            line.flag = flags[0] if flags else None
            found += flags
            if line.serial is not None:
                self._count(line.serial, 1)
                seen.add(line.serial)
        return found

    @staticmethod
    def _copy(record: Record, original: Record) -> None:
        record.kind = record.state = "duplicate"
        record.refers_to = original.index
        for line in record.lines:
            line.state = "duplicate"

    def _take_waiting_reversals(self, sale: Record, history: Sequence[Record]) -> None:
        """Voids that reached the ledger before their sale, because another box sent it late."""
        for reversal in history:
            if reversal.state == "unmatched" and rules.sale_to_reverse(reversal, [sale]) is sale:
                self._reverse(reversal, sale)

    def _reverse(self, reversal: Record, sale: Record) -> None:
        for line in rules.lines_to_reverse(reversal, sale):
            line.state = rules.undone_as(reversal)
            line.reversed_by = reversal.index
            if line.serial is not None:
                self._count(line.serial, -1)
        sale.state = rules.state_after(sale, reversal)
        if not sale.is_open:
            sale.reversed_by = reversal.index
        reversal.state = "applied"
        reversal.refers_to = sale.index
        reversal.flags = rules.reversal_flags(reversal, sale)
        sale.changed = reversal.changed = True

    def _take_waiting_answers(self, sale: Record) -> None:
        for answer in self._waiting(sale.device, sale.gen, sale.n):
            if answer.sale is None and rules.answers_sale(answer, sale):
                self._link(answer, sale)
        for line in sale.lines:
            for kind in ("answered", "unanswered"):
                newest = line.serial and self._newest_answer(line.serial, kind)
                if newest and newest.sale is None and rules.may_answer_sale(newest, sale):
                    self._link(newest, sale)

    def _link(self, answer: Answer, sale: Record) -> None:
        answer.sale = sale.index
        answer.changed = sale.changed = True
        self.touched.add(answer.serial)
        for line in sale.lines:
            if line.serial == answer.serial:
                self._note(answer, line)
        if answer.kind == "answered" and rules.answered_too_early(answer, sale):
            sale.flags = rules.in_order([*sale.flags, rules.ACTIVATED_BEFORE_SALE])

    @staticmethod
    def _note(answer: Answer, line: Line) -> None:
        """The first answer counts; a later one is a fact and changes nothing."""
        if answer.kind == "unanswered":
            line.unanswered_index = line.unanswered_index or answer.index
        elif line.activated_index is None:
            line.activated_index = answer.index
            line.activated_ms = answer.at_ms

    def _count(self, serial: str, change: int) -> None:
        self._live[serial] = self.live_count(serial) + change
        self.touched.add(serial)

    def _newest(self, sale: Record) -> None:
        for line in sale.lines:
            if line.serial is not None:
                self._newest_sales[line.serial] = sale

    # --- what was before: asked for once, then kept up to date here ---

    def _known(self, record: Record) -> Record:
        """The record as these books have it: a row is never two objects."""
        return self.records.setdefault(record.index, record)

    def _known_answer(self, answer: Answer) -> Answer:
        return self.answers.setdefault(answer.index, answer)

    def _history(self, record: Record) -> list[Record]:
        key = (record.dealer, record.till, record.receipt)
        return _kept(
            self._histories, key, lambda: [self._known(r) for r in self._shelf.history(*key)]
        )

    def _captured(self, device: str, gen: int, n: int) -> list[Record]:
        key = (device, gen, n)
        return _kept(
            self._captures, key, lambda: [self._known(r) for r in self._shelf.captured(*key)]
        )

    def _newest_sale(self, serial: str) -> Record | None:
        def look() -> Record | None:
            found = self._shelf.newest_sale(serial)
            return None if found is None else self._known(found)

        return _kept(self._newest_sales, serial, look)

    def live_count(self, serial: str) -> int:
        """How many lines with this serial are sold and not undone, the facts in hand included."""
        return _kept(self._live, serial, lambda: self._shelf.live_count(serial))

    def _waiting(self, device: str, gen: int, n: int) -> list[Answer]:
        key = (device, gen, n)
        return _kept(
            self._answers_to,
            key,
            lambda: [self._known_answer(a) for a in self._shelf.answers_to(*key)],
        )

    def _newest_answer(self, serial: str, kind: str) -> Answer | None:
        def look() -> Answer | None:
            found = self._shelf.newest_answer(serial, kind)
            return None if found is None else self._known_answer(found)

        return _kept(self._newest_answers, (serial, kind), look)


def _remember(window: list[T], item: T) -> None:
    window.append(item)
    del window[: -rules.WINDOW]


def _kept(cache: dict[K, V], key: K, look: Callable[[], V]) -> V:
    if key not in cache:
        cache[key] = look()
    return cache[key]
