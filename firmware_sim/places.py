"""The simulated network: dealers of four regions, invented, with real towns' coordinates."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """One dealer, that is one store."""

    code: str
    town: str
    region: str
    timezone: str
    lat: float
    lon: float


TOWNS = (
    ("JKT", "Jakarta", "JABODETABEK", "Asia/Jakarta", -6.2000, 106.8166),
    ("SBY", "Surabaya", "JATIM", "Asia/Jakarta", -7.2575, 112.7521),
    ("DPS", "Denpasar", "BALI", "Asia/Makassar", -8.6705, 115.2126),
    ("MKS", "Makassar", "SULSEL", "Asia/Makassar", -5.1477, 119.4327),
)
REGION_COLUMNS = ("code", "name", "timezone")
DEALER_COLUMNS = (
    "code",
    "name",
    "region",
    "address",
    "lat",
    "lon",
    "timezone",
    "hours",
    "authorised",
)


def places(count: int) -> list[Place]:
    """The first `count` dealers, taking the towns in turn."""
    made = []
    for n in range(count):
        prefix, town, region, timezone, lat, lon = TOWNS[n % len(TOWNS)]
        number = n // len(TOWNS) + 1
        made.append(
            Place(
                code=f"{prefix}{number:02d}",
                town=town,
                region=region,
                timezone=timezone,
                lat=round(lat + 0.01 * number, 4),
                lon=round(lon + 0.01 * number, 4),
            )
        )
    return made


def write_regions(path: Path, network: Sequence[Place]) -> None:
    """The regions of these dealers, as `kickstand-hub region import` reads them."""
    regions = {place.region: place.timezone for place in network}
    rows = [(code, code.title(), timezone) for code, timezone in regions.items()]
    _write(path, REGION_COLUMNS, rows)


def write_dealers(path: Path, network: Sequence[Place]) -> None:
    """The dealers, as `kickstand-hub dealer import` reads them."""
    rows = [
        (
            place.code,
            f"Kickstand {place.town} {place.code[3:]}",
            place.region,
            f"Jalan Contoh {place.code[3:]}, {place.town}",
            f"{place.lat}",
            f"{place.lon}",
            place.timezone,
            "Mon-Sun 00:00-24:00",  # a demo at night has leads, too
            "yes",
        )
        for place in network
    ]
    _write(path, DEALER_COLUMNS, rows)


def _write(path: Path, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(rows)
