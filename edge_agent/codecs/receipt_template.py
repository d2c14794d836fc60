"""A maker's receipt layout, declared in TOML, and the reading of receipts by it.

docs/till-protocol.md describes the file. A new layout needs no code.
"""

import codecs
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Final, Literal

from edge_agent.codecs.till import (
    MAX_UNITS,
    MalformedTillMessage,
    Payment,
    TillBuyer,
    TillMessage,
    TillReversal,
    TillSale,
    TillUnit,
    clean_text,
    read_price,
    read_serial,
)
from shared.money import MalformedMoney, parse_idr

Kind = Literal["sale", "void", "return"]
KINDS: Final[tuple[Kind, ...]] = ("sale", "void", "return")
FIELDS: Final = ("till", "receipt", "operator", "payment", "total", "buyer_name", "buyer_phone")
UNIT_FIELDS: Final = ("model", "serial", "list", "discount", "net")
_PATTERN_CHARS_MAX: Final = 300


class MalformedTemplate(ValueError):
    """A template file is not one. The message names the key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """A layout. Every pattern is searched in one line at a time and names what it finds."""

    name: str
    code_page: str
    kinds: Mapping[Kind, re.Pattern[str]]
    """The line that says which kind of receipt it is."""

    complete: Mapping[Kind, re.Pattern[str]]
    """The line without which nothing happened: payment complete, reversal done."""

    fields: tuple[re.Pattern[str], ...]
    payments: Mapping[str, Payment]
    """What the payment line says, in upper case, to what it means."""

    units_begin: re.Pattern[str]
    units_end: re.Pattern[str]
    unit_start: re.Pattern[str]
    """The first line of a unit; tried after `unit_lines`."""

    unit_lines: tuple[re.Pattern[str], ...]

    def read(self, lines: Iterable[str]) -> TillMessage:
        """What the receipt says. Raises MalformedTillMessage, and nothing else."""
        reading = _Reading(self)
        for line in lines:
            reading.take(line.strip())
        return reading.message()


@dataclass(slots=True)
class _Reading:
    """What has been read of one receipt so far."""

    template: Template
    kind: Kind | None = None
    is_complete: bool = False
    inside: bool = False
    values: dict[str, str] = field(default_factory=dict)
    units: list[dict[str, str]] = field(default_factory=list)
    serials: list[str] = field(default_factory=list)

    def take(self, line: str) -> None:
        template = self.template
        if self.kind is None:
            self.kind = next((kind for kind in KINDS if template.kinds[kind].search(line)), None)
        elif template.complete[self.kind].search(line):
            self.is_complete = True
        if self.kind == "sale":
            boundary = template.units_end if self.inside else template.units_begin
            if boundary.search(line):
                self.inside = not self.inside and not self.units
                return
            if self.inside:
                self._take_unit_line(line)
                return
        self._take_field(line)

    def _take_field(self, line: str) -> None:
        for pattern in self.template.fields:
            match = pattern.search(line)
            if match is not None:
                for name, value in match.groupdict().items():
                    if value is not None:
                        self.values.setdefault(name, value.strip())
        if self.kind in ("void", "return"):
            for pattern in self.template.unit_lines:
                match = pattern.search(line)
                if match is not None and match.groupdict().get("serial"):
                    self.serials.append(match["serial"])

    def _take_unit_line(self, line: str) -> None:
        for pattern in self.template.unit_lines:
            match = pattern.search(line)
            if match is not None:
                if not self.units:
                    raise MalformedTillMessage("units")
                self._merge(match)
                return
        match = self.template.unit_start.search(line)
        if match is not None:
            self.units.append({})
            self._merge(match)
        elif line.strip():
            # A line nobody declared, inside the units: it may be a price. Guessing is worse.
            raise MalformedTillMessage("units")

    def _merge(self, match: re.Match[str]) -> None:
        unit = self.units[-1]
        for name, value in match.groupdict().items():
            if value is None:
                continue
            if name in unit:
                raise MalformedTillMessage("units")
            unit[name] = value

    def message(self) -> TillMessage:
        if self.kind is None:
            raise MalformedTillMessage("type")
        if not self.is_complete:
            raise MalformedTillMessage("incomplete")
        if self.kind == "sale":
            return self._sale()
        return TillReversal(
            type="pos.void" if self.kind == "void" else "pos.return",
            till=self._required("till"),
            receipt=self._required("receipt"),
            serials=self._reversed_serials(),
        )

    def _required(self, name: str) -> str:
        text = clean_text(self.values.get(name), 64)
        if text is None:
            raise MalformedTillMessage(name)
        return text

    def _reversed_serials(self) -> tuple[str, ...] | None:
        read = [read_serial(text) for text in self.serials[:MAX_UNITS]]
        return tuple(serial or raw or "" for serial, raw in read) or None

    def _sale(self) -> TillSale:
        if not 1 <= len(self.units) <= MAX_UNITS:
            raise MalformedTillMessage("units")
        units = tuple(_unit(unit) for unit in self.units)
        total = self.values.get("total")
        if total is not None and _amount(total) != sum(unit.net_idr for unit in units):
            raise MalformedTillMessage("arithmetic")
        name = clean_text(self.values.get("buyer_name"), 200) or ""
        phone = clean_text(self.values.get("buyer_phone"), 32) or ""
        payment = self.values.get("payment", "").upper()
        return TillSale(
            till=self._required("till"),
            receipt=self._required("receipt"),
            units=units,
            payment=self.template.payments.get(payment, "unknown"),
            operator=clean_text(self.values.get("operator"), 32),
            buyer=TillBuyer(name=name, phone=phone) if name or phone else None,
        )


def _amount(text: str) -> int:
    try:
        return parse_idr(text)
    except MalformedMoney:
        raise MalformedTillMessage("price") from None


def _price(text: str) -> int:
    return read_price(_amount(text))


def _unit(found: Mapping[str, str]) -> TillUnit:
    """One unit. A printed stream has no checksum: its arithmetic is the only witness."""
    if "list" not in found or "net" not in found:
        raise MalformedTillMessage("price")
    serial, serial_raw = read_serial(found.get("serial"))
    list_idr = _price(found["list"])
    discount_idr = _price(found["discount"]) if "discount" in found else 0
    net_idr = _price(found["net"])
    if list_idr - discount_idr != net_idr:
        raise MalformedTillMessage("arithmetic")
    return TillUnit(
        serial=serial,
        serial_raw=serial_raw,
        model=clean_text(found.get("model"), 64),
        list_idr=list_idr,
        discount_idr=discount_idr,
        net_idr=net_idr,
    )


def load(name_or_path: str) -> Template:
    """A shipped template by its name, or any other by its path.

    Raises MalformedTemplate or OSError.
    """
    if name_or_path.endswith(".toml"):
        return parse(Path(name_or_path).read_text(encoding="utf-8"))
    shipped = resources.files("edge_agent.codecs").joinpath("templates")
    names = sorted(
        entry.name.removesuffix(".toml")
        for entry in shipped.iterdir()
        if entry.name.endswith(".toml")
    )
    if name_or_path not in names:
        raise MalformedTemplate(f"no template {name_or_path!r}; shipped: {', '.join(names)}")
    return parse(shipped.joinpath(f"{name_or_path}.toml").read_text(encoding="utf-8"))


def parse(text: str) -> Template:
    """A template from TOML. Raises MalformedTemplate, and nothing else."""
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise MalformedTemplate(f"not TOML: {error}") from None
    known = {"name", "code_page", "kinds", "complete", "fields", "payments", "units"}
    _refuse_unknown("template", table, known)
    units = _table(table, "units")
    _refuse_unknown("units", units, {"begin", "end", "start", "lines"})
    code_page = table.get("code_page", "cp437")
    try:
        codecs.lookup(code_page)
    except (LookupError, TypeError):
        raise MalformedTemplate(f"code_page: not a code page: {code_page!r}") from None
    return Template(
        name=str(table.get("name", "")),
        code_page=code_page,
        kinds=_kinds(table, "kinds"),
        complete=_kinds(table, "complete"),
        fields=_patterns(table.get("fields"), "fields", FIELDS),
        payments=_payments(_table(table, "payments")),
        units_begin=_pattern(units.get("begin"), "units.begin", ()),
        units_end=_pattern(units.get("end"), "units.end", ()),
        unit_start=_pattern(units.get("start"), "units.start", UNIT_FIELDS),
        unit_lines=_patterns(units.get("lines"), "units.lines", UNIT_FIELDS),
    )


def _refuse_unknown(name: str, table: Mapping[str, object], known: set[str]) -> None:
    unknown = sorted(set(table) - known)
    if unknown:
        raise MalformedTemplate(
            f"{name}: unknown key {unknown[0]!r}; known keys: {', '.join(sorted(known))}"
        )


def _table(table: Mapping[str, object], name: str) -> Mapping[str, object]:
    value = table.get(name)
    if not isinstance(value, dict):
        raise MalformedTemplate(f"{name}: expected a table")
    return value


def _kinds(table: Mapping[str, object], name: str) -> dict[Kind, re.Pattern[str]]:
    entries = _table(table, name)
    _refuse_unknown(name, entries, set(KINDS))
    return {kind: _pattern(entries.get(kind), f"{name}.{kind}", ()) for kind in KINDS}


def _patterns(value: object, name: str, groups: Sequence[str]) -> tuple[re.Pattern[str], ...]:
    if not isinstance(value, list):
        raise MalformedTemplate(f"{name}: expected a list of patterns")
    return tuple(_pattern(item, f"{name}[{i}]", groups) for i, item in enumerate(value))


def _pattern(value: object, name: str, groups: Sequence[str]) -> re.Pattern[str]:
    if not isinstance(value, str) or not 0 < len(value) <= _PATTERN_CHARS_MAX:
        raise MalformedTemplate(f"{name}: expected a pattern")
    try:
        pattern = re.compile(value)
    except re.error as error:
        raise MalformedTemplate(f"{name}: not a pattern: {error}") from None
    unknown = sorted(set(pattern.groupindex) - set(groups))
    if unknown:
        known = ", ".join(groups) or "none"
        raise MalformedTemplate(f"{name}: unknown group {unknown[0]!r}; known groups: {known}")
    return pattern


def _payments(table: Mapping[str, object]) -> dict[str, Payment]:
    payments: dict[str, Payment] = {}
    meanings: tuple[Payment, ...] = ("cash", "instalments")
    _refuse_unknown("payments", table, set(meanings))
    for meaning in meanings:
        words = table.get(meaning, [])
        if not isinstance(words, list):
            raise MalformedTemplate(f"payments.{meaning}: expected a list of words")
        payments.update({str(word).upper(): meaning for word in words})
    return payments
