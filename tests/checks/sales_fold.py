"""Sales and units told a second time: slowly, in memory, from the rules in words.

Shares nothing with `hub.sales` but the names of its columns. It looks at everything that came
before for each fact, so it is only for ledgers of a few hundred entries.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, select

from hub.ledger.followers import LedgerEntry
from hub.sales.tables import SALE, SALE_ANSWER, SALE_UNIT, UNIT
from shared.serials import normalise
from shared.wire.events import Activated, Event, Fault, Report, Return, Sale, Void

Facts = dict[str, Any]
ORDER = [
    "serial_missing", "serial_malformed", "serial_repeated", "already_sold", "arithmetic",
    "price_zero", "activated_before_sale", "receipt_reused", "capture_repeated", "duplicate",
    "no_units", "unknown_receipt", "already_reversed", "serial_not_on_receipt",
]  # fmt: skip


def check_sales(connection: Connection, entries: Sequence[LedgerEntry]) -> None:
    """Assert that the tables are the fold of `entries`, row for row."""
    told = SlowFold(entries)
    assert told.sales() == _rows(connection, SALE, "index", drop=("content",))
    assert told.lines() == _rows(connection, SALE_UNIT, "sale", "line")
    assert told.answers() == _rows(connection, SALE_ANSWER, "index")
    assert told.units() == _rows(connection, UNIT, "serial")


def _rows(connection: Connection, table: Any, *key: str, drop: tuple[str, ...] = ()) -> list[Facts]:
    query = select(table).order_by(*(table.c[name] for name in key))
    rows = [dict(row) for row in connection.execute(query).mappings()]
    return [{name: row[name] for name in row if name not in drop} for row in rows]


def _named(text: str | None) -> str | None:
    return (normalise(text) or None) if text else None


class SlowFold:
    """Every receipt and every answer there ever was, kept as dictionaries."""

    def __init__(self, entries: Sequence[LedgerEntry]) -> None:
        self._entries = [entry for entry in entries if entry.event is not None]
        self._receipts: list[Facts] = []
        self._answers: list[Facts] = []
        for entry in self._entries:
            event = entry.event
            assert event is not None
            if isinstance(event.data, Sale):
                self._sale(self._receipt(entry, event), event.data)
            elif isinstance(event.data, Void | Return):
                self._reversal(self._receipt(entry, event), event.data)
            elif isinstance(event.data, Activated):
                self._answer(entry, event, event.data, "answered")
            elif isinstance(event.data, Fault) and event.data.sale and _named(event.data.serial):
                self._answer(entry, event, event.data, "unanswered")

    # --- what the tables should hold ---

    def sales(self) -> list[Facts]:
        found = []
        for receipt in self._receipts:
            row = {name: value for name, value in receipt.items() if name not in ("lines", "says")}
            flags = sorted(receipt["flags"], key=ORDER.index)
            row["flags"] = f"|{'|'.join(flags)}|" if flags else ""
            named = receipt["serials"]
            if named is not None:
                row["serials"] = "[" + ",".join(f'"{serial}"' for serial in named) + "]"
            found.append(row)
        return found

    def lines(self) -> list[Facts]:
        return [line for receipt in self._receipts for line in receipt["lines"]]

    def answers(self) -> list[Facts]:
        return self._answers

    def units(self) -> list[Facts]:
        names = {line["serial"] for line in self.lines() if line["state"] != "duplicate"}
        names |= {answer["serial"] for answer in self._answers}
        for entry in self._entries:
            assert entry.event is not None
            if isinstance(entry.event.data, Report | Fault):
                names.add(_named(entry.event.data.serial))
        return [self._unit(serial) for serial in sorted(names - {None})]

    # --- facts ---

    def _receipt(self, entry: LedgerEntry, event: Event) -> Facts:
        data = event.data
        assert isinstance(data, Sale | Void | Return)
        wall_ms = event.occurred.wall_ms
        receipt: Facts = dict.fromkeys(SALE.c.keys())
        return receipt | {
            "index": entry.index, "dealer": entry.dealer or "", "device": event.device,
            "gen": event.gen, "n": event.n, "till": data.till, "receipt": data.receipt,
            "kind": {Sale: "sale", Void: "void", Return: "return"}[type(data)],
            "at_ms": entry.received_ms if wall_ms is None else wall_ms,
            "err_ms": None if wall_ms is None else event.occurred.err_ms,
            "received_ms": entry.received_ms, "flags": set(), "lines": [], "says": None,
            "list_idr": 0, "discount_idr": 0, "net_idr": 0,
        }  # fmt: skip

    def _same_number(self, receipt: Facts) -> list[Facts]:
        number = ("dealer", "till", "receipt")
        return [r for r in self._receipts if all(r[name] == receipt[name] for name in number)]

    def _sale(self, receipt: Facts, sale: Sale) -> None:
        receipt.pop("content")
        receipt["says"] = (
            [(_named(u.serial), u.serial_raw, u.model, u.list_idr, u.discount_idr, u.net_idr)
             for u in sale.units], sale.payment, sale.operator,
        )  # fmt: skip
        for name in ("list_idr", "discount_idr", "net_idr"):
            receipt[name] = sum(getattr(unit, name) for unit in sale.units)
        receipt |= {
            "payment": sale.payment, "operator": sale.operator, "state": "final",
            "buyer_commitment": sale.buyer_commitment,
        }  # fmt: skip
        before = self._same_number(receipt)
        if any(self._same_capture(other, receipt) for other in self._receipts):
            receipt["flags"].add("capture_repeated")
        original = [r for r in before if r["kind"] == "sale" and r["says"] == receipt["says"]]
        self._lines_of(receipt, sale, copied=bool(original))
        if original:
            receipt["flags"] = (receipt["flags"] & {"capture_repeated"}) | {"duplicate"}
            receipt |= {"kind": "duplicate", "state": "duplicate"}
            receipt["refers_to"] = original[0]["index"]
        elif any(r["kind"] == "sale" for r in before):
            receipt["flags"].add("receipt_reused")
        self._receipts.append(receipt)
        if not original:
            self._what_waited(receipt, before)

    @staticmethod
    def _same_capture(other: Facts, receipt: Facts) -> bool:
        return other["kind"] in ("sale", "duplicate") and all(
            other[name] == receipt[name] for name in ("device", "gen", "n")
        )

    def _what_waited(self, sale: Facts, before: list[Facts]) -> None:
        for waiting in before:
            if waiting["state"] == "unmatched" and self._undoes(waiting, sale):
                self._undo(waiting, sale)
        for answer in self._answers:
            if answer["sale"] is None and self._names(answer, sale):
                self._link(answer, sale)
        for line in sale["lines"]:
            for kind in ("answered", "unanswered"):
                said = [a for a in self._answers
                        if a["serial"] == line["serial"] and a["kind"] == kind]  # fmt: skip
                if said and said[-1]["sale"] is None and self._may_mean(said[-1], sale):
                    self._link(said[-1], sale)

    def _lines_of(self, receipt: Facts, sale: Sale, *, copied: bool) -> None:
        live = [line["serial"] for line in self.lines() if line["state"] == "sold"]
        here: list[str] = []
        if not sale.units:
            receipt["flags"].add("no_units")
        for number, unit in enumerate(sale.units, start=1):
            serial = _named(unit.serial)
            raw = unit.serial_raw or unit.serial
            flags = []
            if serial is None:
                flags.append("serial_malformed" if raw else "serial_missing")
            elif serial in here:
                flags.append("serial_repeated")
            elif serial in live:
                flags.append("already_sold")
            if unit.net_idr != unit.list_idr - unit.discount_idr:
                flags.append("arithmetic")
            if unit.net_idr == 0:
                flags.append("price_zero")
            here.append(serial or "")
            receipt["flags"] |= set(flags)
            line: Facts = dict.fromkeys(SALE_UNIT.c.keys())
            receipt["lines"].append(line | {
                "dealer": receipt["dealer"], "sale": receipt["index"], "line": number,
                "serial": serial, "serial_raw": raw, "model": unit.model,
                "list_idr": unit.list_idr, "discount_idr": unit.discount_idr,
                "net_idr": unit.net_idr, "state": "duplicate" if copied else "sold",
                "flag": flags[0] if flags and not copied else None,
            })  # fmt: skip

    def _reversal(self, receipt: Facts, data: Void | Return) -> None:
        receipt.pop("content")
        receipt["state"] = "unmatched"
        if data.serials is not None:
            receipt["serials"] = [_named(serial) or serial for serial in data.serials]
        before = self._same_number(receipt)
        fitting = [sale for sale in before if self._undoes(receipt, sale)]
        own = [sale for sale in fitting if sale["device"] == receipt["device"]]
        self._receipts.append(receipt)
        if fitting:
            self._undo(receipt, (own or fitting)[-1])
            return
        sales = [sale for sale in before if sale["kind"] == "sale"]
        printed = {line["serial"] for sale in sales for line in sale["lines"]}
        if not sales:
            receipt["flags"] = {"unknown_receipt"}
        elif receipt["serials"] is not None and not printed & set(receipt["serials"]):
            receipt["flags"] = {"serial_not_on_receipt"}
        else:
            receipt["flags"] = {"already_reversed"}

    def _undoes(self, reversal: Facts, sale: Facts) -> bool:
        if sale["kind"] != "sale" or sale["state"] not in ("final", "part"):
            return False
        if sale["device"] == reversal["device"]:
            if (sale["gen"], sale["n"]) >= (reversal["gen"], reversal["n"]):
                return False
        elif None not in (sale["err_ms"], reversal["err_ms"]):
            earliest_ms = sale["at_ms"] - sale["err_ms"]
            if earliest_ms > reversal["at_ms"] + reversal["err_ms"]:
                return False
        named = reversal["serials"]
        sold = [line["serial"] for line in sale["lines"] if line["state"] == "sold"]
        return named is None or bool(set(sold) & set(named))

    def _undo(self, reversal: Facts, sale: Facts) -> None:
        done = {"void": "voided", "return": "returned"}[reversal["kind"]]
        named = reversal["serials"]
        for line in sale["lines"]:
            if line["state"] == "sold" and (named is None or line["serial"] in named):
                line |= {"state": done, "reversed_by": reversal["index"]}
        left = [line for line in sale["lines"] if line["state"] == "sold"]
        sale["state"] = "part" if left else done
        sale["reversed_by"] = None if left else reversal["index"]
        reversal |= {"state": "applied", "refers_to": sale["index"], "flags": set()}
        if named is not None and set(named) - {line["serial"] for line in sale["lines"]}:
            reversal["flags"] = {"serial_not_on_receipt"}

    def _answer(self, entry: LedgerEntry, event: Event, data: Activated | Fault, kind: str) -> None:
        wall_ms = event.occurred.wall_ms
        assert data.sale is not None
        answer: Facts = {
            "dealer": entry.dealer or "", "index": entry.index, "device": event.device,
            "serial": _named(data.serial), "kind": kind,
            "sale_gen": data.sale.gen, "sale_n": data.sale.n,
            "at_ms": entry.received_ms if wall_ms is None else wall_ms,
            "err_ms": None if wall_ms is None else event.occurred.err_ms, "sale": None,
        }  # fmt: skip
        if answer["serial"] is None:
            return
        meant = [r for r in self._receipts if self._names(answer, r)]
        if not meant:
            holding = [r for r in self._receipts if r["kind"] == "sale"
                       and answer["serial"] in [line["serial"] for line in r["lines"]]]  # fmt: skip
            meant = [r for r in holding[-1:] if self._may_mean(answer, r)]
        self._answers.append(answer)
        if meant:
            self._link(answer, meant[-1])

    @staticmethod
    def _names(answer: Facts, sale: Facts) -> bool:
        return (
            sale["kind"] == "sale"
            and (answer["device"], answer["sale_gen"], answer["sale_n"])
            == (sale["device"], sale["gen"], sale["n"])
            and answer["serial"] in [line["serial"] for line in sale["lines"]]
        )

    @staticmethod
    def _may_mean(answer: Facts, sale: Facts) -> bool:
        noted = {"answered": "activated_index", "unanswered": "unanswered_index"}[answer["kind"]]
        waits = any(line["serial"] == answer["serial"] and line["state"] == "sold"
                    and line[noted] is None for line in sale["lines"])  # fmt: skip
        if answer["device"] != sale["device"] or not waits:
            return False
        if answer["err_ms"] is None or sale["err_ms"] is None:
            return False
        return bool(sale["at_ms"] - sale["err_ms"] <= answer["at_ms"] + answer["err_ms"])

    @staticmethod
    def _link(answer: Facts, sale: Facts) -> None:
        answer["sale"] = sale["index"]
        for line in sale["lines"]:
            if line["serial"] != answer["serial"]:
                continue
            if answer["kind"] == "unanswered":
                if line["unanswered_index"] is None:
                    line["unanswered_index"] = answer["index"]
            elif line["activated_index"] is None:
                line |= {"activated_index": answer["index"], "activated_ms": answer["at_ms"]}
        if answer["kind"] == "answered" and None not in (answer["err_ms"], sale["err_ms"]):
            latest_ms = answer["at_ms"] + answer["err_ms"]
            if sale["at_ms"] - sale["err_ms"] > latest_ms:
                sale["flags"].add("activated_before_sale")

    # --- units ---

    def _unit(self, serial: str) -> Facts:
        unit: Facts = dict.fromkeys(UNIT.c.keys()) | {"serial": serial}
        for entry in self._entries:
            self._hear(unit, entry, serial)
        mine = [(line, receipt) for receipt in self._receipts for line in receipt["lines"]
                if line["serial"] == serial and line["state"] != "duplicate"]  # fmt: skip
        live = [pair for pair in mine if pair[0]["state"] == "sold"]
        unit["live_count"] = len(live)
        if mine:
            line, receipt = live[0] if live else mine[-1]
            unit |= {
                "model": line["model"], "sale_index": receipt["index"], "sale_ms": receipt["at_ms"],
                "sale_dealer": receipt["dealer"], "undone": None if live else line["state"],
            }  # fmt: skip
            if live:
                unit |= {name: line[name] for name in ("activated_index", "activated_ms")}
        unit["state"] = "unknown"
        if live:
            unit["state"] = "sold"
        elif unit["undone"] == "returned":
            unit["state"] = "returned"
        elif unit["undone"] == "voided" or unit["reported_state"] == "stock":
            unit["state"] = "stock"
        unit["dealer"] = (
            unit["sale_dealer"] if live else unit["heard_dealer"] or unit["sale_dealer"]
        )
        return unit

    @staticmethod
    def _hear(unit: Facts, entry: LedgerEntry, serial: str) -> None:
        assert entry.event is not None
        data = entry.event.data
        if not isinstance(data, Report | Activated | Fault) or _named(data.serial) != serial:
            return
        said: Facts = {}
        if isinstance(data, Fault):
            unit |= {"fault_index": entry.index, "fault_ms": entry.at_ms, "fault_code": data.code}
        else:
            said = {name: getattr(data, name) for name in ("firmware", "battery_pct", "odometer_m")}
        if isinstance(data, Report) and data.state != "unknown":
            said["reported_state"] = data.state
        if not isinstance(data, Fault) or data.sale is None:
            said |= {
                "heard_dealer": entry.dealer,
                "seen_index": entry.index,
                "seen_ms": entry.at_ms,
            }
        unit |= {name: value for name, value in said.items() if value is not None}
