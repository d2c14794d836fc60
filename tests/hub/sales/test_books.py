"""What a till's facts mean, told one story at a time, in memory."""

# ruff: noqa: ARG002 - an empty shelf does not look at what it is asked

import pytest

from hub.sales.books import Books
from hub.sales.follower import fold
from hub.sales.rules import FLAGS, WINDOW
from tests.fakes.ledger_entries import START_MS, LedgerWriter, activated_data, sale_data, unit

A, B = "LA100000000000001", "LA100000000000002"


class NothingBefore:
    """The shelf of a ledger that is folded from its first entry."""

    def history(self, dealer, till, receipt):
        """No receipts."""
        return []

    def captured(self, device, gen, n):
        """No captures."""
        return []

    def newest_sale(self, serial):
        """No sale."""
        return

    def live_count(self, serial):
        """Nothing sold."""
        return 0

    def answers_to(self, device, gen, n):
        """No answers."""
        return []

    def newest_answer(self, serial, kind):
        """No answer."""
        return


def told(ledger):
    """The books after the whole ledger."""
    books = Books(NothingBefore())
    for entry in ledger.entries:
        fold(books, entry, entry.event)
    return books


@pytest.fixture
def ledger():
    """An empty ledger to write a story on."""
    return LedgerWriter()


def states(books):
    """State of every receipt, in the order of the ledger."""
    return [books.records[index].state for index in sorted(books.records)]


def test_a_void_undoes_its_sale(ledger):
    """The sale stays, says by whom it was undone, and its unit is free again."""
    sale, void = ledger.sale("R1", A), ledger.void("R1")
    books = told(ledger)
    assert states(books) == ["voided", "applied"]
    assert books.records[sale.index].reversed_by == void.index
    assert books.records[void.index].refers_to == sale.index
    assert books.live_count(A) == 0


def test_a_return_of_one_unit_leaves_the_other_sold(ledger):
    """A receipt of two scooters, one of which comes back, and then the other."""
    sale = ledger.sale("R1", A, B)
    ledger.give_back("R1", [B])
    books = told(ledger)
    assert [line.state for line in books.records[sale.index].lines] == ["sold", "returned"]
    assert states(books) == ["part", "applied"]
    ledger.give_back("R1", [A])
    assert states(told(ledger)) == ["returned", "applied", "applied"]


def test_a_void_that_comes_first_waits_for_its_sale(ledger):
    """Another box sold it and could not send; the void at the new box was on the ledger sooner."""
    ledger.void("R1", device="dev_b", at_ms=START_MS + 60_000)
    ledger.sale("R1", A, device="dev_a", at_ms=START_MS)
    books = told(ledger)
    assert states(books) == ["applied", "voided"]
    assert books.records[0].flags == ()


def test_an_old_void_does_not_undo_a_later_sale_of_the_same_number(ledger):
    """Tills start their numbers anew: a void of last month has nothing to do with today's sale."""
    ledger.void("R1", device="dev_b", at_ms=START_MS)
    ledger.sale("R1", A, device="dev_a", at_ms=START_MS + 60_000)
    ledger.sale("R2", B, device="dev_b", n=9, at_ms=START_MS)
    books = told(ledger)
    assert states(books) == ["unmatched", "final", "final"]
    assert books.records[0].flags == ("unknown_receipt",)


def test_a_box_that_names_its_own_captures_needs_no_clock(ledger):
    """Of one box, the capture numbers say what came first, whatever its clock said."""
    ledger.sale("R1", A, n=5, at_ms=START_MS + 60_000)
    ledger.void("R1", n=6, at_ms=START_MS)
    assert states(told(ledger)) == ["voided", "applied"]


def test_of_several_sales_with_one_number_the_newest_open_one_is_undone(ledger):
    """First the second sale, then the first, then nothing is left to undo."""
    ledger.sale("R1", A)
    ledger.sale("R1", B)
    for _ in range(3):
        ledger.void("R1")
    books = told(ledger)
    assert [books.records[index].refers_to for index in (2, 3, 4)] == [1, 0, None]
    assert books.records[4].flags == ("already_reversed",)


def test_a_void_prefers_a_sale_of_its_own_box(ledger):
    """Two boxes of one store with tills of one name: each voids its own receipt."""
    mine = ledger.sale("R1", A, device="dev_a")
    ledger.sale("R1", B, device="dev_b")
    void = ledger.void("R1", device="dev_a")
    assert told(ledger).records[void.index].refers_to == mine.index


def test_a_void_that_names_serials_undoes_only_a_receipt_that_holds_them(ledger):
    """A strange serial is flagged; with nothing but strange serials the void is a fact alone."""
    ledger.sale("R1", A, B)
    some = ledger.void("R1", [A, "LA9"])
    none = ledger.void("R1", ["LA9"])
    empty = ledger.void("R1", [])
    books = told(ledger)
    assert books.records[some.index].flags == ("serial_not_on_receipt",)
    assert [line.state for line in books.records[0].lines] == ["voided", "sold"]
    assert [books.records[e.index].state for e in (none, empty)] == ["unmatched", "unmatched"]


def test_the_same_receipt_printed_again_is_a_copy(ledger):
    """Same till, number and content: kept as a fact, not sold twice, also not after a void."""
    ledger.sale("R1", A)
    ledger.sale("R1", A, device="dev_b")
    ledger.void("R1", at_ms=START_MS + 60_000)
    ledger.sale("R1", A)
    books = told(ledger)
    assert states(books) == ["voided", "duplicate", "applied", "duplicate"]
    assert books.records[1].refers_to == 0
    assert books.live_count(A) == 0


def test_a_number_used_again_with_other_content_is_a_sale_with_a_flag(ledger):
    """Both count; other dealers and other tills have numbers of their own."""
    ledger.sale("R1", A)
    again = ledger.sale("R1", B)
    ledger.sale("R1", "LA3", till="T2")
    ledger.sale("R1", "LA4", dealer="DPS01", device="dev_b")
    books = told(ledger)
    assert states(books) == ["final"] * 4
    flagged = {index for index, record in books.records.items() if record.flags}
    assert flagged == {again.index}
    assert books.records[again.index].flags == ("receipt_reused",)


@pytest.mark.parametrize(
    ("change", "flags"),
    [
        ({}, ()),
        ({"serial": None, "serial_raw": None}, ("serial_missing",)),
        ({"serial": None, "serial_raw": "KS9F??17"}, ("serial_malformed",)),
        ({"serial": "---", "serial_raw": "---"}, ("serial_malformed",)),
        ({"discount_idr": 500_000}, ("arithmetic",)),
        ({"list_idr": 0, "net_idr": 0}, ("price_zero",)),
        ({"net_idr": 0}, ("arithmetic", "price_zero")),
    ],
)
def test_what_is_odd_about_a_unit_is_said_and_the_sale_counts(ledger, change, flags):
    """A sale without a serial is a sale with a flag: nothing a till says is refused."""
    sale = ledger.append("pos.sale", sale_data("T1", "R1", [unit(A) | change]))
    record = told(ledger).records[sale.index]
    assert (record.state, record.flags) == ("final", flags)
    assert record.lines[0].flag == (flags[0] if flags else None)


def test_a_serial_that_is_sold_already_is_flagged_until_it_came_back(ledger):
    """Whoever sold it and however it is spelled; after a return it may be sold again."""
    ledger.sale("R1", A)
    twice = ledger.sale("R9", "la-100 000 000 000 001", dealer="DPS01", device="dev_b")
    ledger.void("R9", dealer="DPS01", device="dev_b")
    ledger.give_back("R1")
    free = ledger.sale("R3", A)
    books = told(ledger)
    assert books.records[twice.index].flags == ("already_sold",)
    assert books.records[free.index].flags == ()


def test_a_serial_twice_on_one_receipt_is_flagged_once(ledger):
    """The second line carries the flag; two missing serials are not the same serial."""
    sale = ledger.sale("R1", A, A, None, None)
    lines = told(ledger).records[sale.index].lines
    assert [line.flag for line in lines] == [
        None,
        "serial_repeated",
        "serial_missing",
        "serial_missing",
    ]


def test_a_receipt_without_units_is_kept_and_can_be_voided(ledger):
    """A till that sells an accessory only."""
    ledger.sale("R1")
    ledger.void("R1")
    books = told(ledger)
    assert states(books) == ["voided", "applied"]
    assert books.records[0].flags == ("no_units",)


def test_an_answer_finds_its_sale_by_capture_and_serial(ledger):
    """The first answer counts; a second one, and one for a serial elsewhere, change nothing."""
    sale = ledger.sale("R1", A, B)
    first = ledger.answer(A, sale, at_ms=START_MS + 1500)
    ledger.answer(A, sale)
    stray = ledger.answer("LA9", sale)
    books = told(ledger)
    lines = books.records[sale.index].lines
    assert [line.activated_index for line in lines] == [first.index, None]
    assert lines[0].activated_ms == START_MS + 1500
    assert books.answers[stray.index].sale is None


def test_an_answer_that_comes_first_waits_for_its_sale(ledger):
    """Lanes overtake each other."""
    ledger.append(
        "scooter.activated",
        activated_data(A, LedgerWriter().sale("R1", A)),
        n=2,
        at_ms=START_MS + 1000,
    )
    sale = ledger.sale("R1", A, n=1)
    assert told(ledger).records[sale.index].lines[0].activated_index == 0


def test_an_answer_to_a_renumbered_sale_finds_it_by_serial_and_time(ledger):
    """A restored box gave the sale a new generation; the answer still names the old capture."""
    elsewhere = ledger.sale("R1", B, gen=1, n=7)
    moved = ledger.sale("R2", A, gen=2, n=1)
    answer = ledger.answer(A, elsewhere, gen=2, at_ms=START_MS + 1000)
    too_old = ledger.answer(A, elsewhere, gen=2, at_ms=START_MS - 60_000)
    books = told(ledger)
    assert books.answers[answer.index].sale == moved.index
    assert books.answers[too_old.index].sale is None


def test_a_scooter_that_answers_before_its_sale_is_flagged(ledger):
    """Both clocks were sure, so one of them lies, or the receipt was typed in later."""
    sale = ledger.sale("R1", A, at_ms=START_MS)
    ledger.answer(A, sale, at_ms=START_MS - 60_000)
    assert told(ledger).records[sale.index].flags == ("activated_before_sale",)


def test_silence_for_a_day_is_noted_beside_the_sale(ledger):
    """The fault names the sale; an answer after all is noted too."""
    sale = ledger.sale("R1", A)
    fault = ledger.append(
        "scooter.fault",
        {"serial": A, "code": "activation_unanswered", "sale": {"gen": 1, "n": 1}},
    )
    late = ledger.answer(A, sale)
    line = told(ledger).records[sale.index].lines[0]
    assert (line.unanswered_index, line.activated_index) == (fault.index, late.index)


def test_a_till_that_prints_one_number_for_ever_costs_no_more_each_time(ledger):
    """Only the last WINDOW receipts of a number are looked at: an older copy is a sale again."""
    for n in range(WINDOW + 1):
        ledger.sale("0000", f"LA{n}")
    copy_of_second = ledger.sale("0000", "LA1")
    copy_of_first = ledger.sale("0000", "LA0")
    books = told(ledger)
    assert books.records[copy_of_second.index].state == "duplicate"
    assert books.records[copy_of_first.index].state == "final"


def test_every_flag_has_a_place_in_the_order():
    """Flags are kept the gravest first; a new one must be given its place."""
    assert len(set(FLAGS)) == len(FLAGS) == 14
