"""From a till's message to the capture that is stored: the one place that handles a buyer."""

import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass

from edge_agent.buffer import Capture, Once
from edge_agent.codecs.till import (
    TillBuyer,
    TillMessage,
    TillSale,
    content_hash,
    reversal_data,
    sale_data,
)
from shared.crypto.commitment import SALT_BYTES, commit_buyer
from shared.crypto.encryption import BUYER_INFO, encrypt
from shared.wire.events import Occurred


@dataclass(frozen=True, slots=True)
class SealedBuyer:
    """A buyer as it may be stored: `commitment` in the event, `attachment` for the hub alone."""

    commitment: str
    attachment: bytes


def seal_buyer(buyer: TillBuyer, hub_public: bytes) -> SealedBuyer:
    """Commit to the buyer under a fresh salt and encrypt buyer and salt to the hub's key.

    The plaintext is JSON: ``{"v":1,"salt":<64 hex>,"name":…,"phone":…}``.
    """
    salt = secrets.token_bytes(SALT_BYTES)
    person = {"v": 1, "salt": salt.hex(), "name": buyer.name, "phone": buyer.phone}
    plaintext = json.dumps(person, ensure_ascii=False, separators=(",", ":")).encode()
    return SealedBuyer(
        commitment=commit_buyer(name=buyer.name, phone=buyer.phone, salt=salt),
        attachment=encrypt(plaintext, hub_public, info=BUYER_INFO),
    )


def capture_of(
    message: TillMessage, occurred: Occurred, hub_public: Callable[[], bytes]
) -> Capture:
    """What to store for `message`.

    The same till, receipt and content is stored once, however often it is printed; the same
    number with other content is another sale (tills restart their numbers).
    """
    if not isinstance(message, TillSale):
        data = reversal_data(message)
        return Capture(
            type=message.type,
            data=data,
            occurred=occurred,
            once=_once(message, message.type, data),
        )
    sealed = None if message.buyer is None else seal_buyer(message.buyer, hub_public())
    data = sale_data(message, None if sealed is None else sealed.commitment)
    return Capture(
        type="pos.sale",
        data=data,
        occurred=occurred,
        attachments=() if sealed is None else (sealed.attachment,),
        once=_once(message, "pos.sale", data),
        wakes=tuple(dict.fromkeys(u.serial for u in message.units if u.serial is not None)),
    )


def _once(message: TillMessage, kind: str, data: dict[str, object]) -> Once:
    content = content_hash(kind, data)
    return Once(scope="till", key=f"{message.till}/{message.receipt}", content=content)
