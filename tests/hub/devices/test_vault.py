"""Personal data: stored with its batch or not at all, erasable, and nowhere else."""

import logging
from hashlib import sha256

import orjson
import pytest
from sqlalchemy import select, text

from hub.ledger.tables import CHECKPOINT
from hub.vault.store import VAULT_ITEM
from shared.crypto.commitment import commit_buyer
from shared.crypto.encryption import BUYER_INFO, encrypt
from shared.wire import batch as wire
from tests.checks.whole_ledger import check_ledger, findings
from tests.fakes.failing_disk import FailingDisk
from tests.fakes.hub_boxes import Box, DoorClient, running

NAME, PHONE, SALT = "Siti Rahmawati", "6281234567890", b"\x05" * 16


def sale(hub, box):
    """A sealed sale to a buyer, and the attachment it names."""
    inside = {"name": NAME, "phone": PHONE, "salt": SALT.hex()}
    sealed = encrypt(orjson.dumps(inside), hub.keys.keyset.encryption, info=BUYER_INFO)
    commitment = commit_buyer(name=NAME, phone=PHONE, salt=SALT)
    data = {"till": "T1", "receipt": "r1", "units": [], "payment": "cash", "operator": "07"}
    event = box.event(
        {**data, "buyer": {"commitment": commitment}},
        lane="sale",
        type="pos.sale",
        attachments=[sealed],
    )
    return box.batch([event], lane="sale", attachments=(sealed,)), sealed


def stored(hub):
    """Hashes of everything in the vault."""
    with hub.database.read() as connection:
        return list(connection.execute(select(VAULT_ITEM.c.sha256)).scalars())


def test_a_buyer_is_stored_with_the_sale_and_only_the_hub_reads_it(hub, door, box):
    """The receipt means that both are safe; the commitment in the event fits what is inside."""
    batch, sealed = sale(hub, box)
    assert door.send(box, batch.body).status == 200
    digest = sha256(sealed).hexdigest()
    assert [digest] == stored(hub)
    buyer = hub.vault.buyer(digest)
    assert buyer is not None
    assert (buyer.name, buyer.phone) == (NAME, PHONE)
    assert buyer.commitment.encode() in batch.events[0]
    assert PHONE not in buyer.masked_phone
    assert hub.vault.buyer("0" * 64) is None


@pytest.mark.parametrize("how", ["missing", "altered", "cut", "another"])
def test_no_receipt_without_the_attachment(hub, door, box, how):
    """Missing, altered, cut or another one: 422, neither the sale nor the rest is stored."""
    batch, sealed = sale(hub, box)
    sent = {
        "missing": (),
        "altered": (sealed[:-1] + bytes([sealed[-1] ^ 1]),),
        "cut": (sealed[:-1],),
        "another": (b"x" * len(sealed),),
    }[how]
    body = wire.encode_body(batch.statement, batch.seal, batch.events, sent)
    assert door.send(box, body, encoding=None).refusal == (422, "attachment-missing")
    assert stored(hub) == []
    assert door.send(box, batch.body).status == 200


def test_sale_and_buyer_share_one_transaction(tmp_path, sqlite_url):
    """The commit fails: neither is there. A refused batch leaves no attachment either."""
    disk = FailingDisk()
    with running(tmp_path, sqlite_url, factory=disk.connect) as hub:
        door, box = DoorClient(hub), Box(1).enrolled(hub)
        batch, _ = sale(hub, box)
        disk.cut = "before"
        assert door.send(box, batch.body).status == 503
        assert stored(hub) == []
        late, _ = sale(hub, box)
        assert door.send(box, late.body).refusal == (409, "seq-gap")
        assert stored(hub) == []
        assert door.send(box, batch.body).status == 200
        assert len(stored(hub)) == 1


def test_an_erased_buyer_stays_erased_and_the_ledger_whole(hub, door, box):
    """Erasing empties the item; the batch sent again does not bring it back."""
    batch, sealed = sale(hub, box)
    door.send(box, batch.body)
    hub.database.write(lambda c: c.execute(text("UPDATE vault_item SET content = NULL")))
    assert door.send(box, batch.body).status == 200
    again = box.batch(batch.events, lane="sale", attachments=(sealed,))
    assert door.send(box, again.body).status == 200

    assert hub.vault.buyer(sha256(sealed).hexdigest()) is None
    assert findings(hub) == []
    check_ledger(hub, [batch, again])


def test_personal_data_is_nowhere_but_inside_the_encryption(
    hub, door, box, tmp_path, caplog, capfd
):
    """Not in the database's files in the clear, not in a log, not on the terminal."""
    caplog.set_level(logging.DEBUG)
    batch, _ = sale(hub, box)
    door.send(box, batch.body)
    door.send(box, batch.body[:-9])
    hub.ledger.followers.catch_up()
    files = b"".join(path.read_bytes() for path in tmp_path.iterdir() if path.is_file())

    assert b"pos.sale" in files
    seen = [files, caplog.text.encode(), *(part.encode() for part in capfd.readouterr())]
    for secret in (NAME, PHONE, SALT.hex(), "Siti"):
        assert not any(secret.encode() in part for part in seen)
    with hub.database.read() as connection:
        assert connection.execute(select(CHECKPOINT.c.size)).first() is not None


def test_what_cannot_be_read_is_no_buyer(hub):
    """Encrypted for somebody else, or no buyer inside: None, not an error."""
    public = hub.keys.keyset.encryption
    contents = [
        b"short",
        encrypt(b"[]", public, info=BUYER_INFO),
        encrypt(b"1", public, info=BUYER_INFO),
        encrypt(b"{}", public, info=BUYER_INFO),
        encrypt(b'{"name":"a","phone":"b","salt":"zz"}', public, info=BUYER_INFO),
        encrypt(b'{"name":"a","phone":"b","salt":5}', public, info=BUYER_INFO),
        encrypt(b"{}", public, info=b"another use"),
    ]
    for content in contents:
        digest = sha256(content).hexdigest()
        hub.database.write(lambda c, row=(digest, "d", 1, content): c.execute(insert_item(row)))
        assert hub.vault.buyer(digest) is None


def insert_item(row):
    """A row of the vault."""
    return VAULT_ITEM.insert().values(row)
