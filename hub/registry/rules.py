"""What a row of a registry file must be. No I/O: text in, a typed row or refusals out."""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from hub.registry import cells
from hub.registry.cells import CellRefused, Column
from hub.registry.hours import parse_hours

# Indonesia with its waters, generously (integrations page, "Location").
LAT_MIN, LAT_MAX = -11.5, 6.5
LON_MIN, LON_MAX = 94.5, 141.5
MAX_PATTERN_CHARS = 120
MAX_FIELD_CHARS: Final = 10_000
EXTRA_CELLS: Final = ""
"""Under this name a row has what stands in it beyond the header."""
# Counted repeats of single classes only: such an expression cannot run away on a hostile serial.
_SAFE_PATTERN = re.compile(
    r"\^?(?:\(\?:|\(|\)|\||(?:\[[^\[\]\\]{1,60}\]|\\d|[A-Za-z0-9-])(?:\{\d{1,2}(?:,\d{1,2})?\})?)+\$?"
)


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a row was not imported. `row` counts the rows below the header, from 1; 0 = the file."""

    row: int
    column: str | None
    code: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Region:
    """Part of the country with one manager. `manager` and `executives` are ids of people."""

    code: str
    name: str
    timezone: str
    manager: str | None
    executives: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """What can be sold, and the grammar of its serials (None: the default grammar)."""

    code: str
    name: str
    serial_pattern: str | None
    has_telemetry: bool
    warranty_months: int | None
    active: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Dealer:
    """One authorised location, one store. Days are ISO texts in the dealer's time zone."""

    code: str
    name: str
    company: str | None
    region: str
    address: str | None
    lat: float
    lon: float
    timezone: str
    phone: str | None
    email: str | None
    hours: str
    closed_days: tuple[str, ...]
    capacity: int | None
    weight: float
    authorised: bool
    paused_until_ms: int | None
    opened_on: str | None
    closed_on: str | None


def _written_hours(cell: str) -> str:
    return parse_hours(cell).written


def _serial_pattern(cell: str) -> str:
    refused = CellRefused(
        "malformed_pattern",
        f"{cell[:40]!r} is no serial pattern: classes, digits and letters with counted repeats, "
        r"such as [A-HJ-NPR-Z0-9]{17}|\d{15}",
    )
    if len(cell) > MAX_PATTERN_CHARS or _SAFE_PATTERN.fullmatch(cell) is None:
        raise refused
    try:
        re.compile(cell)
    except re.error:
        raise refused from None
    return cell


REGION_COLUMNS: Final = (
    Column("code", cells.code, required=True),
    Column("name", cells.text, required=True),
    Column("timezone", cells.timezone, required=True),
    Column("manager", cells.text),
    Column("executives", cells.words, default=()),
)
MODEL_COLUMNS: Final = (
    Column("code", cells.code, required=True),
    Column("name", cells.text, required=True),
    Column("serial_pattern", _serial_pattern),
    Column("has_telemetry", cells.yes_or_no, required=True),
    Column("warranty_months", cells.count),
    Column("active", cells.yes_or_no, default=True),
)
DEALER_COLUMNS: Final = (
    Column("code", cells.code, required=True),
    Column("name", cells.text, required=True),
    Column("company", cells.text),
    Column("region", cells.code, required=True),
    Column("address", cells.text),
    Column("lat", cells.number, required=True),
    Column("lon", cells.number, required=True),
    Column("timezone", cells.timezone, required=True),
    Column("phone", cells.phone),
    Column("email", cells.email),
    Column("hours", _written_hours, required=True),
    Column("closed_days", cells.days, default=()),
    Column("capacity", cells.count),
    Column("weight", cells.weight, default=1.0),
    Column("authorised", cells.yes_or_no, required=True),
    Column("paused_until", cells.day_or_moment),
    Column("opened_on", cells.day),
    Column("closed_on", cells.day),
)


def region_row(row: int, values: Mapping[str, str]) -> Region | Sequence[Refusal]:
    """A region, or every reason why this row is none."""
    read = read_row(row, values, REGION_COLUMNS)
    return Region(**read) if isinstance(read, dict) else read


def model_row(row: int, values: Mapping[str, str]) -> Model | Sequence[Refusal]:
    """A model, or every reason why this row is none."""
    read = read_row(row, values, MODEL_COLUMNS)
    return Model(**read) if isinstance(read, dict) else read


def dealer_row(
    row: int, values: Mapping[str, str], regions: Collection[str]
) -> Dealer | Sequence[Refusal]:
    """A dealer of one of `regions` (their codes), or every reason why this row is none."""
    read = read_row(row, values, DEALER_COLUMNS)
    if not isinstance(read, dict):
        return read
    refusals = [
        Refusal(row, column, refused.code, f"{column}: {refused}")
        for column, refused in (
            ("region", _region_refusal(read["region"], regions)),
            ("lat", _place_refusal(read["lat"], read["lon"])),
            ("closed_on", _dates_refusal(read["opened_on"], read["closed_on"])),
        )
        if refused is not None
    ]
    if refusals:
        return refusals
    # The smallest steps that are kept: a tenth of a metre, a thousandth of a share.
    read |= {"lat": round(read["lat"], 6), "lon": round(read["lon"], 6)}
    read["weight"] = round(read["weight"], 3)
    paused = read.pop("paused_until")
    if isinstance(paused, str):
        paused = cells.midnight_ms(paused, read["timezone"])
    return Dealer(**read, paused_until_ms=paused)


FIELDS: Final = {"paused_until": "paused_until_ms"}
"""What is kept under another name than its column's."""
EDITED: Final = ("hours", "closed_days", "capacity", "timezone", "paused_until")
"""What of a dealer changes from day to day, and may be changed without a file."""


def edited_dealer(dealer: Dealer, cells_: Mapping[str, str]) -> Dealer | Sequence[Refusal]:
    """The dealer with some of `EDITED` replaced, as a row of a file would; or every refusal."""
    columns = [column for column in DEALER_COLUMNS if column.name in cells_]
    read = read_row(1, cells_, columns)
    if not isinstance(read, dict):
        return read
    if "paused_until" in read:
        paused = read.pop("paused_until")
        if isinstance(paused, str):
            paused = cells.midnight_ms(paused, read.get("timezone", dealer.timezone))
        read["paused_until_ms"] = paused
    return replace(dealer, **read)


def read_row(
    row: int, values: Mapping[str, str], columns: Sequence[Column]
) -> dict[str, Any] | list[Refusal]:
    """The typed values of a row by column, or one refusal for each bad cell."""
    if EXTRA_CELLS in values:
        # Which cell is which is not known then.
        return [
            Refusal(
                row,
                None,
                "extra_cells",
                "there are more cells than in the header; put a text that holds the separator in "
                "double quotes",
            )
        ]
    read: dict[str, Any] = {}
    refusals: list[Refusal] = []
    for column in columns:
        cell = values.get(column.name, "")
        try:
            read[column.name] = _cell(column, cell.strip())
        except CellRefused as refused:
            refusals.append(Refusal(row, column.name, refused.code, f"{column.name}: {refused}"))
    return refusals or read


def _cell(column: Column, cell: str) -> object:
    if not cell:
        if column.required:
            raise CellRefused("missing", "is empty, and every row needs one")
        return column.default
    if len(cell) > MAX_FIELD_CHARS:
        raise CellRefused("too_long", f"is above {MAX_FIELD_CHARS} characters")
    if any("\udc80" <= character <= "\udcff" for character in cell):
        raise CellRefused("not_utf8", "is not UTF-8; save the file as CSV UTF-8")
    return column.read(cell)


def _region_refusal(region: str, regions: Collection[str]) -> CellRefused | None:
    if region in regions:
        return None
    return CellRefused(
        "unknown_region", f"there is no region {region}; import it first with `region import`"
    )


def _in_indonesia(lat: float, lon: float) -> bool:
    return LAT_MIN <= lat <= LAT_MAX and LON_MIN <= lon <= LON_MAX


def _place_refusal(lat: float, lon: float) -> CellRefused | None:
    if _in_indonesia(lat, lon):
        return None
    if _in_indonesia(lon, lat):
        return CellRefused(
            "swapped_coordinates", f"lat {lat} and lon {lon} are swapped; exchange the two cells"
        )
    return CellRefused(
        "outside_indonesia",
        f"lat {lat}, lon {lon} is not in Indonesia (lat {LAT_MIN} to {LAT_MAX}, "
        f"lon {LON_MIN} to {LON_MAX}, in degrees)",
    )


def _dates_refusal(opened_on: str | None, closed_on: str | None) -> CellRefused | None:
    if opened_on is None or closed_on is None or opened_on <= closed_on:
        return None
    return CellRefused("closed_before_opened", f"closed on {closed_on}, opened on {opened_on}")
