"""A row of a file of places: what people write, and what they mean by it. No I/O."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from hub.leads.places import Places, check_pin, spelling
from hub.registry import cells
from hub.registry.cells import CellRefused, Column
from hub.registry.rules import Refusal, read_row

COLUMNS: Final = (
    Column("alias", cells.text, required=True),
    Column("place", cells.text),
    Column("lat", cells.number),
    Column("lon", cells.number),
    Column("region", cells.text),
)
PIN_WRONG: Final = {
    "zero": ("outside_indonesia", "lat and lon are 0"),
    "abroad": ("outside_indonesia", "lat and lon are no place in Indonesia"),
    "swapped": ("swapped_coordinates", "lat and lon are swapped; exchange the two cells"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Alias:
    """What people write for a place of the list, or for a point that the list lacks."""

    code: str
    """How it is found: its letters alone."""
    alias: str
    place: str | None
    at: tuple[float, float] | None
    region: str | None
    """What a point lies in, as it is shown behind its name."""

    @property
    def name(self) -> str:
        """For lists."""
        return self.place or f"{self.alias} ({self.region or 'a point'})"


def alias_row(row: int, values: Mapping[str, str], known: Places) -> Alias | Sequence[Refusal]:
    """An alias of a place that `known` has, or of a point; or every reason why it is none."""
    read = read_row(row, values, COLUMNS)
    if not isinstance(read, dict):
        return read
    key, pin = spelling(read["alias"]), (read["lat"], read["lon"])
    at = None if None in pin else (round(pin[0], 6), round(pin[1], 6))
    refusals = [
        Refusal(row, column, refused.code, f"{column}: {refused}")
        for column, refused in (
            ("alias", None if key else CellRefused("malformed", "people cannot be heard by it")),
            ("place", _place_refusal(read["place"], pin, known)),
            ("lat", None if at is None else _pin_refusal(*at)),
        )
        if refused is not None
    ]
    if refusals or key is None:
        return refusals
    return Alias(code=key, alias=read["alias"], place=read["place"], at=at, region=read["region"])


def _place_refusal(
    place: str | None, pin: tuple[float | None, float | None], known: Places
) -> CellRefused | None:
    if (place is None) == (None in pin) or (place is not None and pin != (None, None)):
        return CellRefused("one_of_two", "give the name of a place, or both lat and lon")
    if place is not None and not known.has(place):
        return CellRefused("unknown_place", "is no place of the list; give lat and lon instead")
    return None


def _pin_refusal(lat: float, lon: float) -> CellRefused | None:
    state = check_pin(lat, lon)
    return None if state == "ok" else CellRefused(*PIN_WRONG[state])
