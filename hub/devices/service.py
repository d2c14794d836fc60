"""What the boxes' door does: invite, enrol, take batches, answer with proofs."""

import hashlib
import secrets
import threading
from collections import OrderedDict
from concurrent.futures import Future
from dataclasses import dataclass

from sqlalchemy import Connection, func, select

from hub.devices import rules, store
from hub.devices.keys import DeviceKeys
from hub.devices.rates import Rates
from hub.devices.store import CAPTURE_RANGE, CAPTURE_RUN, Enrolled
from hub.errors import Refused
from hub.ledger.batches import batch_of
from hub.ledger.claims import RefillState
from hub.ledger.placed import Placed, stored_place
from hub.ledger.refill import Offered
from hub.ledger.sequencer import Incoming
from hub.ledger.service import Ledger
from hub.ledger.tree import newest_checkpoint
from hub.store import Database
from hub.vault import store as vault
from shared.checkpoint import MalformedNote, NoteUnsigned, split_note, verify_cosignature
from shared.clock import Clock
from shared.crypto.keys import BadKey, PublicKey, b64url, from_b64url
from shared.identifiers import base32_lower, device_id
from shared.wire import batch as wire
from shared.wire.events import LANES
from shared.wire.receipts import Receipt, pack_hashes

NONCES_MAX = 200_000
NONCE_MS = 10 * 60 * 1000
RUNS_MAX = 100
CODE_CHARS = 16
REASON_CHARS = 64


@dataclass(frozen=True, slots=True)
class Enrolment:
    """A box's place: its id, its store, its open epoch; `new` unless it had asked before."""

    device: str
    dealer: str
    epoch: int
    new: bool


class Devices:
    """One function per use case of the boxes' door."""

    def __init__(
        self,
        database: Database,
        ledger: Ledger,
        *,
        clock: Clock,
        invitation_s: int,
        waiting_max: int,
        overlap_s: int,
        requests_per_s: int,
    ) -> None:
        """`waiting_max`: batches in the queue above which new ones are put off.

        `overlap_s`: how long a key that was followed by another is still taken. `requests_per_s`:
        what one box may ask on and on.
        """
        self._rates = Rates(requests_per_s)
        self.keys = DeviceKeys(database, ledger, clock=clock, overlap_s=overlap_s)
        self._database = database
        self._ledger = ledger
        self._clock = clock
        self._invitation_ms = invitation_s * 1000
        self._waiting_max = waiting_max
        self._nonces: OrderedDict[tuple[str, str], int] = OrderedDict()
        self._nonce_lock = threading.Lock()

    def invite(self, connection: Connection, dealer: str) -> str:
        """A fresh one-use code for a box of `dealer`; only its hash is stored."""
        code = base32_lower(secrets.token_bytes(10), CODE_CHARS)
        now_ms = self._clock.wall_ms()
        store.add_invitation(
            connection,
            code_hash=_code_hash(code),
            dealer=dealer,
            now_ms=now_ms,
            expires_ms=now_ms + self._invitation_ms,
        )
        return code

    def enrol(self, *, code: str, key: PublicKey, version: str | None) -> Enrolment:
        """Enrol the box that holds `key`; the same box may ask again. Raises Refused.

        On the ledger as ``device.enrolled``. A code serves one box.
        """
        device = device_id(key.raw)
        now_ms = self._clock.wall_ms()

        def enrol(connection: Connection) -> Enrolment:
            invitation = store.find_invitation(connection, _code_hash(code))
            self._ledger.sequencer.refuse_read_only(connection)
            if invitation is not None and invitation.used_by == device:
                # Its first answer was lost on the way.
                epoch = self._ledger.epoch(connection, device)
                return Enrolment(device, invitation.dealer, epoch, new=False)
            refusal = rules.refuse_invitation(
                invitation,
                now_ms=now_ms,
                enrolled=store.find_key(connection, key.keyid) is not None,
            )
            if refusal is not None or invitation is None:
                raise Refused(*(refusal or rules.UNKNOWN_INVITATION))
            if not store.use_invitation(connection, _code_hash(code), device=device, now_ms=now_ms):
                raise Refused(*rules.USED_INVITATION)
            return self._enrol(connection, invitation.dealer, key, version=version, now_ms=now_ms)

        enrolment: Enrolment = self._database.write(enrol)
        self.keys.place_facts()
        return enrolment

    def _enrol(
        self,
        connection: Connection,
        dealer: str,
        key: PublicKey,
        *,
        version: str | None,
        now_ms: int,
    ) -> Enrolment:
        device = device_id(key.raw)
        enrolled = Enrolled(
            device=device, dealer=dealer, keyid=key.keyid, public_key=key.raw, state="active"
        )
        store.add_device(connection, enrolled, version=version, now_ms=now_ms)
        epoch = self._ledger.first_epoch(connection, device, now_ms=now_ms)
        self._ledger.append(
            connection,
            "device.enrolled",
            {
                "device": device,
                "dealer": dealer,
                "keyid": key.keyid,
                "public_key": b64url(key.raw),
                "epoch": epoch,
                "method": "code",
            },
            now_ms=now_ms,
        )
        return Enrolment(device, dealer, epoch, new=True)

    def find(self, keyid: str) -> tuple[Enrolled, PublicKey]:
        """The active device of a key. Raises SignatureRefused, such as key-unknown."""
        return self.keys.find(keyid)

    def admits(self, device: Enrolled) -> bool:
        """Whether the box may make one more request now."""
        return self._rates.admit(device.device, self._clock.mono_ms())

    def first_use(self, keyid: str, nonce: str) -> bool:
        """Whether this signature was not seen before.

        Kept in memory only: taking a batch twice changes nothing, so this is hygiene.
        """
        now_ms = self._clock.mono_ms()
        with self._nonce_lock:
            while self._nonces:
                oldest = next(iter(self._nonces))
                if len(self._nonces) < NONCES_MAX and self._nonces[oldest] > now_ms - NONCE_MS:
                    break
                del self._nonces[oldest]
            if (keyid, nonce) in self._nonces:
                return False
            self._nonces[keyid, nonce] = now_ms
        return True

    def take(
        self, device: Enrolled, raw: bytes, encoding: str | None, *, known: int | None = None
    ) -> "Future[Placed]":
        """Check a body and queue it. Raises Refused; the future may hold one too.

        `known`: the largest ledger that was proven to the box, which must not be longer than ours.
        """
        if self._ledger.sequencer.waiting >= self._waiting_max:
            raise Refused(503, "busy", "too many batches are waiting; come back later")
        body, sealed_with = self._body(device, raw, encoding)
        sealed_under = body.statement.checkpoint
        seen = max(known or 0, sealed_under.size if sealed_under else 0)
        return self._submit(device.device, body, keyid=sealed_with, known=seen)

    def _submit(self, device: str, body: wire.Body, *, keyid: str, known: int) -> "Future[Placed]":
        now_ms = self._clock.wall_ms()

        def attach(connection: Connection) -> None:
            vault.keep(connection, body.attachments, device=device, received_ms=now_ms)

        return self._ledger.sequencer.submit(
            Incoming(
                device=device,
                body=body,
                received_ms=now_ms,
                attach=attach if body.attachments else None,
                keyid=keyid,
                known=known,
            )
        )

    def claim(self, device: Enrolled, checkpoint: str) -> RefillState:
        """A box shows the largest tree head of ours that it holds. Raises Refused."""
        return self._ledger.refill.claim(device.device, checkpoint)

    def give_back(
        self,
        device: Enrolled,
        raw: bytes,
        encoding: str | None,
        *,
        first_index: int,
        received_ms: int,
    ) -> tuple[int, tuple[str, ...]]:
        """A box gives a batch of its ring back to a restored hub. Raises Refused.

        The ledger's size, and the attachments that neither the body nor the vault has.
        """
        body, _ = self._body(device, raw, encoding, bare=True)
        return self._ledger.refill.offer(
            Offered(
                device=device.device, body=body, first_index=first_index, received_ms=received_ms
            )
        )

    def take_aside(self) -> tuple[int, int]:
        """Place what boxes gave back and no old tree head reached, where it follows in its lane.

        How many batches were placed, and how many stay aside. For a new generation of the ledger:
        what a live box still holds it delivers itself, of a dead one this is all there is.
        """
        refill = self._ledger.refill
        waiting = refill.aside()
        placed = 0
        for batch_id in waiting:
            body = refill.body_aside(batch_id)
            try:
                keyid = self.keys.of_device(body.statement.device, body)
                self._submit(body.statement.device, body, keyid=keyid, known=0).result()
            except Refused:
                continue
            refill.drop_aside(batch_id)
            placed += 1
        return placed, len(waiting) - placed

    def _body(
        self, device: Enrolled, raw: bytes, encoding: str | None, *, bare: bool = False
    ) -> tuple[wire.Body, str]:
        """A body that this very box sealed, and with which of its keys. Raises Refused."""
        try:
            body = wire.decode_body(wire.decompress(raw, encoding), bare=bare)
        except wire.AttachmentMissing as error:
            raise Refused(422, "attachment-missing", str(error)) from error
        except wire.MalformedBatch as error:
            raise Refused(400, "malformed-batch", str(error)) from error
        if body.statement.device != device.device or body.statement.lane not in LANES:
            raise Refused(403, "device-mismatch", "a box speaks for itself, in its own lanes")
        return body, self.keys.of_seal(device, body)

    def receipt(self, device: Enrolled, batch_id: str, known: int | None) -> Receipt | None:
        """The receipt of a batch of this device, or None when it is not on the ledger."""
        placed = self._ledger.place(batch_id, device.device)
        return None if placed is None else self._ledger.proofs.receipt(placed, known=known)

    def body(self, device: Enrolled, batch_id: str) -> bytes | None:
        """A batch of this device as it came, or None when it is not on the ledger.

        Without its attachments when one of them has been erased.
        """
        with self._database.read() as connection:
            placed = stored_place(connection, bytes.fromhex(batch_id), device.device)
            batch = None if placed is None else batch_of(connection, placed.first_index)
            if batch is None:
                return None
            named = wire.attachments_named(batch.events)
            items = [vault.fetch(connection, digest) for digest in named]
        whole = [item for item in items if item is not None]
        attachments = whole if len(whole) == len(items) else ()
        return wire.encode_body(batch.statement, batch.seal, batch.events, attachments)

    def head(self, device: Enrolled) -> dict[str, object]:
        """Where each lane of the open epoch continues, and what the ledger's head is.

        Exact: the projections are brought up to the ledger first. Raises Refused 503 if that
        takes too long.
        """
        self._caught_up()
        with self._database.read() as connection:
            epoch = self._ledger.epoch(connection, device.device)
            heads = self._ledger.lane_heads(connection, device.device, epoch)
            newest = connection.execute(
                select(func.max(CAPTURE_RUN.c.gen)).where(CAPTURE_RUN.c.device == device.device)
            ).scalar()
        return {
            "device": device.device,
            "dealer": device.dealer,
            "epoch": epoch,
            "max_gen": newest or 0,
            "lanes": {
                lane: {
                    "next_seq": heads[lane].next_seq if lane in heads else 1,
                    "last_batch": heads[lane].last_batch if lane in heads else None,
                }
                for lane in LANES
            },
            "checkpoint": self._ledger.checkpoint(),
        }

    def _caught_up(self) -> None:
        for _ in range(100):
            if not self._ledger.followers.step():
                return
        raise Refused(503, "busy", "the projections are behind; come back later")

    def open_epoch(
        self, device: Enrolled, *, close: int, nonce: str, reason: str, above: int = 0
    ) -> dict[str, object]:
        """Close an epoch of this device; the head of the next. Raises Refused.

        The box lost its place (a restored card image, a salvaged buffer), is a copy, or goes on in
        a new generation of the ledger; then `above` is the largest epoch it has sealed in.
        """
        now_ms = self._clock.wall_ms()
        self._database.write(
            lambda connection: self._ledger.open_epoch(
                connection,
                device.device,
                close=close,
                nonce=nonce,
                reason=reason[:REASON_CHARS],
                above=above,
                now_ms=now_ms,
            )
        )
        self._ledger.sequencer.sequence_facts()
        return self.head(device)

    def captures(
        self, device: Enrolled, *, lane: str, gen: int, first_n: int, last_n: int
    ) -> dict[str, object]:
        """Proof of every capture in ``[first_n, last_n]`` that is on the ledger, in runs."""
        self._caught_up()
        with self._database.read() as connection:
            size, _ = newest_checkpoint(connection)
            rows = connection.execute(
                select(CAPTURE_RANGE)
                .where(
                    CAPTURE_RANGE.c.device == device.device,
                    CAPTURE_RANGE.c.lane == lane,
                    CAPTURE_RANGE.c.gen == gen,
                    CAPTURE_RANGE.c.first_n <= last_n,
                    CAPTURE_RANGE.c.last_n >= first_n,
                    # On PostgreSQL the projections may have moved since the head was read.
                    CAPTURE_RANGE.c.first_index < size,
                )
                .order_by(CAPTURE_RANGE.c.first_n)
                .limit(RUNS_MAX)
            ).all()
            runs = []
            for row in rows:
                low, high = max(first_n, row.first_n), min(last_n, row.last_n)
                index = row.first_index + low - row.first_n
                batch = batch_of(connection, index)
                if batch is None:
                    continue
                proof = self._ledger.proofs.range_proof(
                    connection, index, index + high - low + 1, size
                )
                runs.append(
                    {
                        "n_from": low,
                        "n_to": high,
                        "batch_id": batch.batch_id,
                        "first_index": index,
                        "received_ms": batch.received_ms,
                        "proof": pack_hashes(proof),
                    }
                )
            note = self._ledger.proofs.signed_head(connection, size)
        return {"runs": runs, "checkpoint": note}

    def all(self) -> list[dict[str, object]]:
        """Every enrolled box with what the ledger says of it, by dealer."""
        with self._database.read() as connection:
            return store.list_devices(connection)

    def cosign(self, device: Enrolled, *, size: int, line: str) -> int:
        """Keep a box's cosignature of the tree head of `size`; its POSIX time. Raises Refused."""
        _, key = self.find(device.keyid)
        with self._database.read() as connection:
            note = self._ledger.proofs.signed_head(connection, size)
        if note is None:
            raise Refused(404, "checkpoint-unknown", f"no tree head of {size} entries")
        body, _ = split_note(note)
        try:
            time_s = verify_cosignature(body, line, name=device.device, public=key)
        except (MalformedNote, NoteUnsigned) as error:
            raise Refused(400, "cosignature-invalid", str(error)) from error
        self._database.write(
            lambda connection: store.keep_cosignature(
                connection, device=device.device, size=size, time_s=time_s, line=line
            )
        )
        return time_s


def read_public_key(text: object) -> PublicKey:
    """A public key in base64url. Raises Refused 400."""
    if not isinstance(text, str):
        raise Refused(400, "malformed-key", "public_key is an Ed25519 key in base64url")
    try:
        return PublicKey(from_b64url(text))
    except BadKey as error:
        raise Refused(400, "malformed-key", str(error)) from error


def _code_hash(code: str) -> bytes:
    return hashlib.sha256(b"kickstand invitation\0" + code.strip().lower().encode()).digest()
