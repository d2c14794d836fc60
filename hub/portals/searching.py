"""One field for serial, receipt, id and store: what did the person mean?"""

import re
from dataclasses import dataclass
from typing import Final

from markupsafe import Markup

from hub.portals.languages import say_html
from hub.portals.read_models import Dealer
from hub.portals.services import portal
from shared.serials import MalformedSerial, parse

RECEIPTS_MAX = 200
STORES_MAX = 8
DEVICE: Final = re.compile(r"dev_[a-z2-7]{26}")
ENTRY_NUMBER: Final = re.compile(r"#?\d{1,3}(?:[.,]?\d{3})*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Meaning:
    """What was searched for. At most one field is set; none: nothing fits."""

    device: str | None = None
    serial: str | None = None
    dealer: str | None = None
    indexes: tuple[int, ...] | None = None
    note: Markup | None = None


def as_serial(text: str) -> str | None:
    """The serial this is, in normal form; None when it cannot be one."""
    try:
        return parse(text)
    except MalformedSerial:
        return None


def stores_named(text: str) -> list[Dealer]:
    """Stores with this code, else those whose name holds the text."""
    wanted = text.casefold()
    dealers = portal().dealers.dealers()
    exact = [dealer for dealer in dealers if dealer.code.casefold() == wanted]
    return exact or [dealer for dealer in dealers if wanted in dealer.name.casefold()]


def meaning_of(text: str, *, size: int) -> Meaning:
    """Serial, box, entry number, receipt or store, in this order."""
    if DEVICE.fullmatch(text.lower()):
        return Meaning(device=text.lower())
    serial = as_serial(text)
    if serial is not None:
        link = Markup('<a class="id" href="/units/{0}">{0}</a>').format(serial)
        return Meaning(serial=serial, note=say_html("%(serial)s is a scooter.", serial=link))
    found = portal().sales.receipts(text, RECEIPTS_MAX)
    if found:
        return Meaning(indexes=tuple(found))
    if ENTRY_NUMBER.fullmatch(text):
        index = int(re.sub(r"\D", "", text))
        return Meaning(indexes=(index,) if index < size else ())
    return _store_meant(text)


def _store_meant(text: str) -> Meaning:
    stores = stores_named(text)
    if len(stores) == 1:
        return Meaning(dealer=stores[0].code)
    if stores:
        links = Markup(", ").join(
            Markup('<a href="?dealer={}">{}</a>').format(dealer.code, dealer.name)
            for dealer in stores[:STORES_MAX]
        )
        return Meaning(indexes=(), note=say_html("Which store? %(stores)s", stores=links))
    return Meaning(indexes=())
