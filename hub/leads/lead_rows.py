"""A row of the file `leads`, or the body of a request that brings one: text in, typed out."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal, TypeVar, get_args

from hub.contacts.rules import clean_email, clean_name, whatsapp_phone
from hub.errors import Refused
from hub.leads.records import BuyWhen, Payment
from hub.registry.rules import LAT_MAX, LAT_MIN, LON_MAX, LON_MIN

Source = Literal[
    "whatsapp",
    "whatsapp_ad",
    "tiktok",
    "google_ads",
    "meta_leads",
    "form",
    "walk_in",
    "csv",
    "partner",
    "unknown",
]
TEXT_MAX: Final = 200
MODEL_NAME: Final = re.compile(r"(?=\D*\d)(?!(?:\D*\d){5})[A-Za-z0-9 +-]{1,20}", re.ASCII)
W = TypeVar("W", bound=str)


@dataclass(frozen=True, slots=True, kw_only=True)
class LeadRow:
    """What a row says, every value checked. At least one of phone and e-mail is known."""

    source: Source
    external_id: str | None
    campaign: str | None
    name: str | None
    phone: str | None
    email: str | None
    model: str | None
    payment: Payment
    buy_when: BuyWhen
    place: str | None
    at: tuple[float, float] | None
    consent_version: str | None
    consent_ms: int | None


def read_row(values: Mapping[str, object]) -> LeadRow:
    """Read the columns of *leads*. Raises Refused (422) naming every field that is wrong."""
    found = parse_row(values)
    if not isinstance(found, LeadRow):
        said = "; ".join(f"{name}: {code}" for name, code in sorted(found.items()))
        raise Refused(422, "malformed-lead", said, {"fields": found})
    return found


def by_hand(values: Mapping[str, object], store: tuple[float, float] | None) -> dict[str, object]:
    """The columns of a lead that somebody writes down at `store`, or at none that is known.

    Who walks in and names no place is nearest to the store they stand in.
    """
    said = {"source": "walk_in", **values}
    placed = any(name in said for name in ("place", "lat", "lon"))
    if said["source"] == "walk_in" and not placed and store is not None:
        said |= {"lat": store[0], "lon": store[1]}
    return said


def parse_row(values: Mapping[str, object]) -> LeadRow | Mapping[str, str]:
    """The lead that these columns are, or a code for every field that is wrong."""
    reader = _Reader(values)
    phone, email = reader.phone(), reader.email()
    if not reader.text("phone") and not reader.text("email"):
        reader.wrong["phone"] = "missing"
    if not reader.text("source"):
        reader.wrong["source"] = "missing"
    row = LeadRow(
        source=reader.one_of("source", get_args(Source), "unknown"),
        external_id=reader.text("external_id"),
        campaign=reader.text("campaign"),
        name=clean_name(reader.text("name")),
        phone=phone,
        email=email,
        model=reader.text("model"),
        payment=reader.one_of("payment", get_args(Payment), "unknown"),
        buy_when=reader.one_of("buy_when", get_args(BuyWhen), "unknown"),
        place=reader.text("place"),
        at=reader.point(),
        consent_version=reader.text("consent_version"),
        consent_ms=reader.moment("consent_at"),
    )
    return reader.wrong or row


def model_name(written: str) -> str | None:
    """A model that the registry does not know, if it looks like one (``E8 Pro``) and not like a
    person or a phone number: everybody who is offered the lead reads it."""
    return written if MODEL_NAME.fullmatch(written) else None


class _Reader:
    """Takes values out one by one and remembers what was wrong."""

    def __init__(self, values: Mapping[str, object]) -> None:
        self._values = values
        self.wrong: dict[str, str] = {}

    def text(self, name: str) -> str | None:
        """A text or number as text; None for nothing."""
        value = self._values.get(name)
        if value is None:
            return None
        if not isinstance(value, str | int | float) or isinstance(value, bool):
            self.wrong[name] = "not_text"
            return None
        # PostgreSQL stores no NUL, and half a surrogate pair is no text at all.
        clean = str(value).replace("\0", "").encode("utf-8", "ignore").decode()
        return clean.strip()[:TEXT_MAX] or None

    def one_of(self, name: str, allowed: tuple[W, ...], default: W) -> W:
        """One of the words of the contract."""
        written = (self.text(name) or default).casefold()
        for word in allowed:
            if word == written:
                return word
        self.wrong[name] = "unknown_word"
        return default

    def phone(self) -> str | None:
        """A number that WhatsApp can reach."""
        written = self.text("phone")
        found = whatsapp_phone(written) if written else None
        if written and found is None:
            self.wrong["phone"] = "not_mobile"
        return found

    def email(self) -> str | None:
        """An e-mail address."""
        written = self.text("email")
        found = clean_email(written) if written else None
        if written and found is None:
            self.wrong["email"] = "malformed"
        return found

    def point(self) -> tuple[float, float] | None:
        """A place in Indonesia, if one is given."""
        lat, lon = self._degrees("lat"), self._degrees("lon")
        if lat is None or lon is None:
            return None
        if not (LAT_MIN <= lat <= LAT_MAX and LON_MIN <= lon <= LON_MAX) or lat == lon == 0:
            self.wrong["lat"] = "outside_indonesia"
            return None
        return lat, lon

    def _degrees(self, name: str) -> float | None:
        written = self.text(name)
        if written is None:
            return None
        try:
            return float(written.replace(",", "."))
        except ValueError:
            self.wrong[name] = "not_a_number"
            return None

    def moment(self, name: str) -> int | None:
        """A moment with its zone, in milliseconds."""
        written = self.text(name)
        if written is None:
            return None
        try:
            moment = datetime.fromisoformat(written)
        except ValueError:
            self.wrong[name] = "malformed"
            return None
        if moment.tzinfo is None:
            self.wrong[name] = "no_time_zone"
            return None
        return round(moment.timestamp() * 1000)
