"""Where a customer is: typed places, coordinates in links, pins. Offline: nothing is fetched.

The list and its licence stand in ``data/``. A place stands for its whole surroundings by one
point, which is enough to find the nearest dealers and no more.
"""

import csv
import difflib
import math
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Final, Literal, TypeAlias
from urllib.parse import unquote

from hub.registry.rules import LAT_MAX, LAT_MIN, LON_MAX, LON_MIN

Kind: TypeAlias = Literal["province", "city", "district"]
PinState: TypeAlias = Literal["ok", "zero", "swapped", "abroad"]

TEXT_CHARS_MAX: Final = 300
FOUND_MAX: Final = 10
SAME_KM: Final = 15.0
NEAR_KM: Final = 40.0
SMALL_PROVINCES: Final = frozenset({"DKI Jakarta", "DI Yogyakarta"})
"""Small enough for one point to find the nearest dealers."""
_WORDS_MAX: Final = 40
_NAME_WORDS_MAX: Final = 5
_TYPO_CHARS_MIN: Final = 5
_TYPO_CHARS_OFF: Final = 2
_TYPO_LIKENESS: Final = 0.84
_RANK: Final[Mapping[Kind, int]] = {"city": 0, "district": 1, "province": 2}
# Words that say that a place is meant, or nothing at all.
_FILLERS: Final = frozenset(
    re.findall(
        r"\w+",
        "di ke dari daerah area sekitar dekat kota kabupaten kab kec kecamatan kel kelurahan desa "
        "dusun provinsi prov jalan jl saya aku kami tinggal alamat lokasi rumah posisi domisili "
        "wilayah indonesia yang itu ini ada pak bu kak min mas mbak ya the in at near i am live "
        "from my is city regency district province location address around",
    )
)
_NUMBER = r"([-+]?\d{1,3}\.\d{1,18})"
_PAIR = rf"{_NUMBER}\s*,\s*{_NUMBER}"
_LINKS: Final = (
    re.compile(rf"!3d{_NUMBER}!4d{_NUMBER}", re.ASCII),
    re.compile(rf"[?&](?:q|ll|query|destination|daddr|center)=(?:loc:)?\s*{_PAIR}", re.ASCII),
    re.compile(rf"\bgeo:{_PAIR}", re.ASCII),
    re.compile(rf"@{_PAIR}", re.ASCII),
    re.compile(rf"(?<![\d.]){_PAIR}(?![\d.])", re.ASCII),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A place of the list, by one point of it."""

    name: str
    kind: Kind
    lat: float
    lon: float
    area: str
    """As people write it: ``Wonokromo, Surabaya``."""
    city: str
    """Full name of its kabupaten or kota; empty for a province."""
    province: str

    @property
    def id(self) -> str:
        """Tells it from every other place of the list."""
        return f"{_key(self.name)}/{_key(self.city)}/{_key(self.province)}"


class Places:
    """The shipped list with aliases."""

    def __init__(
        self,
        places: Sequence[Place],
        aliases: Iterable[tuple[str, str]] = (),
        own: Sequence[Place] = (),
    ) -> None:
        """`aliases` are (what people write, name of a place); unknown names are left out.

        `own` are points that somebody has named: they mean themselves and nothing else.
        """
        self._places = tuple(places)
        self._index: dict[str, list[Place]] = {}
        for place in self._places:
            for key in _keys(place):
                self._index.setdefault(key, []).append(place)
        for written, name in aliases:
            meant = self._index.get(_key(name), [])
            best = min((_RANK[place.kind] for place in meant), default=0)
            if meant and (key := _key(written)):
                self._index[key] = [place for place in meant if _RANK[place.kind] == best]
        self._places += tuple(own)
        self._index |= {_key(place.name): [place] for place in own}
        self._by_id = {place.id: place for place in reversed(self._places)}
        self._city_keys = sorted(
            key
            for key, found in self._index.items()
            if len(key) >= _TYPO_CHARS_MIN and any(place.kind == "city" for place in found)
        )

    def resolve(self, text: str) -> list[Place]:
        """The places that `text` may mean, the likeliest first; several: it must be asked which.

        Empty when nothing is recognised. Total over any text.
        """
        words = _words(text)
        spans, rest = self._spans(words)
        if not spans:
            return self._mistyped(words)
        found = {
            place: sum(1 for span in spans if any(_within(place, other) for other in span))
            for span in spans
            for place in span
        }
        most = max(found.values())
        if rest:
            # In a sentence a lone word is hardly a district: Taman, Candi and Benda are words too.
            found = {
                place: support
                for place, support in found.items()
                if place.kind != "district" or support > 1
            }
        best = [place for place, support in found.items() if support == most]
        if not best:
            return []
        kind = min(_RANK[place.kind] for place in best)
        return _distinct([place for place in best if _RANK[place.kind] == kind])

    def nearest(self, lat: float, lon: float) -> Place | None:
        """The place whose point is nearest, to give a pin a name; None when all are far away."""
        # At these latitudes a degree of either kind has more than 108 km.
        reach = NEAR_KM / 108
        local = [
            (distance_km(lat, lon, place.lat, place.lon), place)
            for place in self._places
            if abs(place.lat - lat) <= reach
            and abs(place.lon - lon) <= reach
            and place.kind != "province"
        ]
        away_km, place = min(local, key=lambda found: found[0], default=(math.inf, None))
        return place if away_km <= NEAR_KM else None

    def has(self, name: str) -> bool:
        """Whether a place has this name or a shipped spelling of it."""
        return _key(name) in self._index

    def locate(self, text: str) -> tuple[float, float, str] | None:
        """Where a written place of a form or a file is, with its area; None unless it is clear.

        A whole province is not: nobody can be asked which part of it is meant.
        """
        point = coordinates(text)
        if point is not None:
            lat, lon = point if check_pin(*point) == "ok" else (point[1], point[0])
            near = self.nearest(lat, lon) if check_pin(lat, lon) == "ok" else None
            return None if near is None else (lat, lon, near.area)
        found = self.resolve(text)
        if len(found) != 1 or (
            found[0].kind == "province" and found[0].name not in SMALL_PROVINCES
        ):
            return None
        return found[0].lat, found[0].lon, found[0].area

    def place(self, identity: str) -> Place | None:
        """The place with this id."""
        return self._by_id.get(identity)

    def cities_of(self, province: str) -> list[Place]:
        """Its kabupaten and kota, the kota first."""
        found = [
            place for place in self._places if place.kind == "city" and place.province == province
        ]
        return sorted(found, key=lambda place: (place.name.startswith("Kabupaten "), place.name))

    def named(self, names: Sequence[str]) -> list[Place]:
        """Cities by their full names, in that order."""
        cities = {place.name: place for place in self._places if place.kind == "city"}
        return [cities[name] for name in names if name in cities]

    def _spans(self, words: Sequence[str]) -> tuple[list[list[Place]], list[str]]:
        """The places of each run of words that is a name, longest first, and what is left over."""
        spans: list[list[Place]] = []
        rest = []
        start = 0
        while start < len(words):
            for end in range(min(len(words), start + _NAME_WORDS_MAX), start, -1):
                key = "".join(words[start:end])
                if key in self._index and not (end - start == 1 and key in _FILLERS):
                    spans.append(self._index[key])
                    start = end
                    break
            else:
                if words[start] not in _FILLERS:
                    rest.append(words[start])
                start += 1
        return spans, rest

    def _mistyped(self, words: Sequence[str]) -> list[Place]:
        """A city with a slip of the finger, when hardly anything else was written."""
        meant = [word for word in words if word not in _FILLERS]
        key = "".join(meant)
        if not meant or len(meant) > 3 or len(key) < _TYPO_CHARS_MIN:
            return []
        near_keys = [
            known
            for known in self._city_keys
            if known[0] == key[0] and abs(len(known) - len(key)) <= _TYPO_CHARS_OFF
        ]
        like = difflib.get_close_matches(key, near_keys, n=1, cutoff=_TYPO_LIKENESS)
        cities = [place for near in like for place in self._index[near] if place.kind == "city"]
        return _distinct(cities)


def check_pin(lat: float, lon: float) -> PinState:
    """Whether a pin can be a customer's: ``swapped`` is right once the two have changed places."""
    if not (math.isfinite(lat) and math.isfinite(lon)):
        return "abroad"
    if abs(lat) < 0.01 and abs(lon) < 0.01:
        return "zero"
    if LAT_MIN <= lat <= LAT_MAX and LON_MIN <= lon <= LON_MAX:
        return "ok"
    if LAT_MIN <= lon <= LAT_MAX and LON_MIN <= lat <= LON_MAX:
        return "swapped"
    return "abroad"


def coordinates(text: str) -> tuple[float, float] | None:
    """Latitude and longitude written in `text` or a maps link in it; the link is not fetched."""
    readable = unquote(text[:2000])
    for pattern in _LINKS:
        if found := pattern.search(readable):
            return float(found[1]), float(found[2])
    return None


def has_link(text: str) -> bool:
    """Whether `text` holds a link, which is never followed."""
    return re.search(r"https?://|maps\.app\.goo\.gl|goo\.gl/maps", text, re.IGNORECASE) is not None


def distance_km(lat: float, lon: float, other_lat: float, other_lon: float) -> float:
    """Great-circle distance."""
    south, north = math.radians(lat), math.radians(other_lat)
    half = (
        math.sin((north - south) / 2) ** 2
        + math.cos(south) * math.cos(north) * math.sin(math.radians(other_lon - lon) / 2) ** 2
    )
    return 12742.0176 * math.asin(min(1.0, math.sqrt(half)))


@cache
def shipped() -> Places:
    """The list as it ships, read once."""
    return Places(_read_places(), read_aliases(_data("aliases.csv")))


def resolve(text: str) -> list[Place]:
    """What `text` may mean, by the shipped list."""
    return shipped().resolve(text)


def locate(text: str) -> tuple[float, float, str] | None:
    """Where a written place is, by the shipped list alone."""
    return shipped().locate(text)


def read_aliases(text: str) -> list[tuple[str, str]]:
    """Aliases of a file with the columns ``alias,name``; what has no name is passed over."""
    rows = csv.DictReader(text.splitlines())
    return [(row["alias"], row["name"]) for row in rows if row.get("alias") and row.get("name")]


def spelling(written: str) -> str | None:
    """By what a name is found in a text; None: it could not be, as it says nothing by itself."""
    words = _words(written)
    key = "".join(words)
    if not 0 < len(words) <= _NAME_WORDS_MAX or key in _FILLERS:
        return None
    return key


Own: TypeAlias = tuple[str, str | None, tuple[float, float] | None, str | None]
"""What people write, the name of the place they mean or a point, and what that point lies in."""


def with_own(own: Iterable[Own]) -> Places:
    """The shipped list with a network's own names, which win."""
    aliases = read_aliases(_data("aliases.csv"))
    points: list[Place] = []
    for written, name, at, region in own:
        if name is not None:
            aliases.append((written, name))
        elif at is not None:
            points.append(_point(written, at, region))
    return Places(_read_places(), aliases, points)


def _point(name: str, at: tuple[float, float], region: str | None) -> Place:
    # A city by its kind: whoever named it did not mean the word, as a district's name may be.
    near = shipped().nearest(*at)
    around = region or (near and (near.city or near.name).removeprefix("Kota "))
    area = f"{name}, {around}" if around else name
    return Place(name=name, kind="city", lat=at[0], lon=at[1], area=area, city=name, province="")


def _data(name: str) -> str:
    return (files("hub.leads") / "data" / name).read_text(encoding="utf-8")


@cache
def _read_places() -> tuple[Place, ...]:
    kinds: Mapping[str, Kind] = {"province": "province", "city": "city", "district": "district"}
    return tuple(
        Place(
            name=row["name"],
            kind=kinds[row["kind"]],
            lat=float(row["lat"]),
            lon=float(row["lon"]),
            area=_area(row),
            city=row["city"],
            province=row["province"],
        )
        for row in csv.DictReader(_data("places.csv").splitlines())
    )


def _area(row: Mapping[str, str]) -> str:
    if row["kind"] == "province":
        return row["name"]
    if row["kind"] == "city":
        return f"{row['name'].removeprefix('Kota ')}, {row['province']}"
    return f"{row['name']}, {row['city'].removeprefix('Kota ')}"


def _keys(place: Place) -> set[str]:
    """The spellings under which a place is found."""
    if place.kind != "city":
        return {_key(place.name)}
    bare = _bare(place)
    short = "kab" if place.name.startswith("Kabupaten ") else "kota"
    return {_key(place.name), _key(bare), _key(short + bare)}


def _bare(place: Place) -> str:
    return place.name.removeprefix("Kota ").removeprefix("Kabupaten ")


def _key(name: str) -> str:
    return "".join(_words(name))


def _words(text: str) -> list[str]:
    plain = unicodedata.normalize("NFKD", text[:TEXT_CHARS_MAX]).casefold()
    return re.findall(r"[a-z]+", re.sub(r"['\u2019\u0300-\u036f]", "", plain))[:_WORDS_MAX]


def _within(place: Place, other: Place) -> bool:
    """Whether `other` is the place itself, its city or its province."""
    if other is place:
        return True
    if other.kind == "city":
        return (place.city, place.province) == (other.city, other.province)
    return other.kind == "province" and place.province == other.province


def _distinct(found: Sequence[Place]) -> list[Place]:
    """A kota before a kabupaten of its name, which it stands for; neighbours are one."""
    kept: list[Place] = []
    for place in sorted(found, key=lambda place: (not place.name.startswith("Kota "), place.area)):
        again = any(
            distance_km(place.lat, place.lon, other.lat, other.lon) <= SAME_KM
            or (place.kind == other.kind == "city" and _bare(place) == _bare(other))
            for other in kept
        )
        if not again:
            kept.append(place)
    return kept[:FOUND_MAX]
