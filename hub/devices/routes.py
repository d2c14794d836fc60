"""The boxes' door over HTTP: signed both ways, every refusal a problem with a code."""

from collections.abc import Callable, Mapping
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import dataclass, replace
from email.utils import formatdate
from functools import lru_cache, partial
from urllib.parse import parse_qs

import orjson
import structlog
from flask import Blueprint
from sqlalchemy.exc import SQLAlchemyError

from hub.devices.service import Devices, read_public_key
from hub.devices.store import Enrolled
from hub.doors import Answer, Asked, BodyTooLarge, Handle, through_flask
from hub.errors import LedgerCorrupt, Refused, StoreUnavailable
from hub.ledger.placed import Placed
from hub.ledger.service import Ledger
from hub.refusals import Refusals
from shared import http_signatures as signatures
from shared.clock import Clock
from shared.crypto.keys import KeySet, PublicKey, SigningKey
from shared.crypto.rotation import MalformedRotation, Rotation
from shared.wire import batch as wire
from shared.wire import fields, problems
from shared.wire.events import LANES
from shared.wire.fields import MalformedField
from shared.wire.receipts import MAX_RECEIVED_MS

MAX_REQUEST_BYTES = wire.MAX_BODY_BYTES + 64 * 1024
HEADERS_READ = (
    *("content-type", "content-digest", "hub-request-id", "signature-input", "signature"),
    # Not signed: how to unpack what is, and how long to wait for the receipt.
    *("content-encoding", "prefer"),
)
UNREAD = b"\0"
"""Stands for a body that is not read yet: what an answer signs of it is its digest's header."""
MAX_INDEX = 2**48
MAX_EPOCH = 2**31
RETRY_AFTER_S = 2
log = structlog.get_logger()
REFUSED_STATUS = {
    "key-revoked": 403,
    "key-retired": 403,
    "suspended": 403,
    "signature-malformed": 400,
    "digest-mismatch": 400,
}
REFUSED_STATUS |= {"components-incomplete": 400, "authority-mismatch": 421}


@dataclass(frozen=True, slots=True, kw_only=True)
class DoorKeys:
    """What the door signs with and shows."""

    authority: str
    http: SigningKey
    keyset: KeySet


@lru_cache(maxsize=4)
def http_date(now_s: int) -> str:
    """RFC 9110's form of a second, which hundreds of answers share."""
    return formatdate(now_s, usegmt=True)


class Door:
    """Reads requests, verifies them, signs answers."""

    def __init__(
        self,
        devices: Devices,
        ledger: Ledger,
        *,
        clock: Clock,
        keys: DoorKeys,
        wait_s_max: int,
        refusals: Refusals,
    ) -> None:
        """`wait_s_max` bounds ``Prefer: wait``; `refusals` counts them by code."""
        self.devices = devices
        self.ledger = ledger
        self._clock = clock
        self._keys = keys
        self._wait_s_max = wait_s_max
        self.refusals = refusals

    @staticmethod
    def _request(asked: Asked) -> signatures.Request:
        """The request before its body is read: enough to sign a refusal for."""
        return signatures.Request(
            method=asked.method,
            authority=asked.host.lower(),
            path=asked.path,
            query=asked.query,
            headers=asked.headers(HEADERS_READ),
            body=UNREAD if asked.has_body else b"",
        )

    def quick(self) -> dict[tuple[str, str], Handle]:
        """What boxes post day and night, past Flask."""
        return {("POST", "/v1/batches"): lambda asked: self.signed(asked, self.batch)}

    def now_s(self) -> int:
        """POSIX seconds by the hub's clock."""
        return self._clock.wall_ms() // 1000

    def answer(
        self,
        request: signatures.Request,
        status: int,
        body: bytes,
        *,
        content_type: str = "application/json",
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """A signed answer; unsigned only when the request lacks what it must be bound to."""
        plain = {"date": http_date(self.now_s()), "content-type": content_type}
        try:
            signed = signatures.sign_response(
                request,
                status=status,
                headers=plain,
                body=body,
                key=self._keys.http,
                now_s=self.now_s(),
            )
        except signatures.SignatureRefused:
            signed = {}
        # Boxes and proxies must never take an old answer for a new one.
        fixed = {"cache-control": "no-store"}
        return Answer(status, body, {**plain, **signed, **fixed, **(headers or {})})

    def problem(self, request: signatures.Request, refused: Refused) -> Answer:
        """The answer to a refusal."""
        problem = refused.problem
        self.refusals.count(problem.code)
        log.warning("box_refused", code=problem.code, path=request.path, status=problem.status)
        headers = {"retry-after": str(RETRY_AFTER_S)} if problem.status in {429, 503} else {}
        return self.answer(
            request,
            problem.status,
            problem.encode(),
            content_type=problems.CONTENT_TYPE,
            headers=headers,
        )

    def open(self, asked: Asked, handle: Callable[[signatures.Request], Answer]) -> Answer:
        """Run a handler that needs no signature; refusals become problems."""
        request = self._request(asked)
        try:
            try:
                request = replace(request, body=asked.body(MAX_REQUEST_BYTES))
            except BodyTooLarge:
                raise Refused(413, "too-large", f"at most {MAX_REQUEST_BYTES} bytes") from None
            return handle(request)
        except Refused as refused:
            return self.problem(request, refused)
        except (SQLAlchemyError, StoreUnavailable, LedgerCorrupt) as error:
            # The statement's parameters are not for the journal: they hold what boxes sent.
            log.warning("store_failed", error=type(error).__name__)
            return self.problem(request, Refused(503, "unavailable", "send it again later"))

    def signed(
        self, asked: Asked, handle: Callable[[signatures.Request, Enrolled], Answer]
    ) -> Answer:
        """Run a handler for an enrolled device's signed request."""

        def verified(request: signatures.Request) -> Answer:
            found: list[Enrolled] = []

            def key_of(keyid: str) -> PublicKey:
                enrolled, key = self.devices.find(keyid)
                found.append(enrolled)
                return key

            signed = self.verify(request, key_of)
            # Behind the signature: nobody else can use up what a box may ask.
            if not self.devices.admits(found[0]):
                raise Refused(429, "too-many", "more requests than any box needs; come back later")
            if not self.devices.first_use(signed.keyid, signed.nonce):
                raise Refused(401, "replayed", "this very request was made before; sign anew")
            return handle(request, found[0])

        return self.open(asked, verified)

    def verify(
        self, request: signatures.Request, key_of: Callable[[str], PublicKey]
    ) -> signatures.Signed:
        """Raises Refused with the signature's own code."""
        try:
            return signatures.verify_request(
                request, authority=self._keys.authority, key_of=key_of, now_s=self.now_s()
            )
        except signatures.SignatureRefused as error:
            status = REFUSED_STATUS.get(error.code, 401)
            extra = {"now_ms": self._clock.wall_ms()} if error.code == "clock-skew" else {}
            raise Refused(status, error.code, str(error), extra) from error

    def now(self, request: signatures.Request) -> Answer:
        """The time, bound to the asker's nonce: good even over plain HTTP and at 1970."""
        return self.answer(request, 200, orjson.dumps({"now_ms": self._clock.wall_ms()}))

    def keyset(self, request: signatures.Request) -> Answer:
        """The root-signed key set."""
        return self.answer(request, 200, self._keys.keyset.encode())

    def enrol(self, request: signatures.Request) -> Answer:
        """Enrol the box that holds the key it sends, which also signs the request."""
        values = read_json(request.body)
        key = read_public_key(values.get("public_key"))

        def pending(keyid: str) -> PublicKey:
            if keyid != key.keyid:
                raise signatures.SignatureRefused("key-unknown", "signed with another key")
            return key

        self.verify(request, pending)
        with refusing():
            enrolment = self.devices.enrol(
                code=fields.text(values, "code", 64),
                key=key,
                version=fields.maybe_text(values, "version", 64),
            )
        answer = {
            "device": enrolment.device,
            "dealer": enrolment.dealer,
            "epoch": enrolment.epoch,
            "state": "active",
        }
        return self.answer(request, 201 if enrolment.new else 200, orjson.dumps(answer))

    def batch(self, request: signatures.Request, device: Enrolled) -> Answer:
        """Take a batch; its receipt within ``Prefer: wait``, else 202."""
        known = read_known(request)
        try:
            future = self.devices.take(
                device, request.body, request.headers.get("content-encoding"), known=known
            )
            placed = future.result(timeout=self._wait_s(request))
        except FutureTimeout:
            return self._accepted(request)
        except Refused as refused:
            if refused.problem.status == 409:
                head = self.devices.head(device)
                problem = refused.problem
                raise Refused(409, problem.code, problem.detail, {"head": head}) from refused
            raise
        return self._receipt(request, placed, known)

    def checkpoint(self, request: signatures.Request, device: Enrolled) -> Answer:
        """A box shows the largest tree head it holds; what a restored hub lacks."""
        note = read_json(request.body).get("checkpoint")
        if not isinstance(note, str):
            raise Refused(400, "malformed-request", "checkpoint: expected a signed note")
        state = self.devices.claim(device, note)
        answer = {
            "size": state.size,
            "target": state.target,
            "read_only": state.read_only,
            "wanted": state.wanted,
        }
        return self.answer(request, 200, orjson.dumps(answer))

    def refill(self, request: signatures.Request, device: Enrolled) -> Answer:
        """Take a batch back that this hub had before it was restored."""
        query = read_query(request)
        with refusing():
            first_index = fields.integer(query, "first_index", 0, MAX_INDEX)
            received_ms = fields.integer(query, "received_ms", 0, MAX_RECEIVED_MS)
        size, missing = self.devices.give_back(
            device,
            request.body,
            request.headers.get("content-encoding"),
            first_index=first_index,
            received_ms=received_ms,
        )
        return self.answer(request, 200, orjson.dumps({"size": size, "missing": missing}))

    def _accepted(self, request: signatures.Request) -> Answer:
        # Without the digest nobody can poll, and the body has been parsed once already.
        packed = wire.decompress(request.body, request.headers.get("content-encoding"))
        body = wire.decode_body(packed)
        location = f"/v1/batches/{body.batch_id}"
        return self.answer(
            request,
            202,
            orjson.dumps({"batch_id": body.batch_id}),
            headers={"location": location, "retry-after": "1"},
        )

    def _receipt(self, request: signatures.Request, placed: Placed, known: int | None) -> Answer:
        receipt = self.ledger.proofs.receipt(placed, known=known)
        return self.answer(request, 200, receipt.encode())

    def _wait_s(self, request: signatures.Request) -> float:
        text = request.headers.get("prefer", "")
        if not text.startswith("wait="):
            return 0.0
        digits = text[5:8]
        wait = int(digits) if digits.isascii() and digits.isdigit() else 0
        return float(min(wait, self._wait_s_max))

    def receipt(self, request: signatures.Request, device: Enrolled, batch: str) -> Answer:
        """The receipt of a batch that was sent before."""
        known = read_known(request)
        with refusing():
            fields.hexadecimal({"batch": batch}, "batch")
        receipt = self.devices.receipt(device, batch, known)
        if receipt is None:
            raise Refused(404, "batch-unknown", "not on the ledger; send it again")
        return self.answer(request, 200, receipt.encode())

    def body(self, request: signatures.Request, device: Enrolled, batch: str) -> Answer:
        """A batch as this device sent it, for the ring of a restored card."""
        with refusing():
            fields.hexadecimal({"batch": batch}, "batch")
        body = self.devices.body(device, batch)
        if body is None:
            raise Refused(404, "batch-unknown", "not on the ledger")
        return self.answer(request, 200, body, content_type=wire.CONTENT_TYPE)

    def receipts(self, request: signatures.Request, device: Enrolled) -> Answer:
        """Proofs by capture number."""
        query = read_query(request)
        with refusing():
            lane = fields.choice(query, "lane", LANES)
            first_n = fields.integer(query, "from", 1)
            answer = self.devices.captures(
                device,
                lane=lane,
                gen=fields.integer(query, "gen", 1),
                first_n=first_n,
                last_n=fields.integer(query, "to", first_n),
            )
        return self.answer(request, 200, orjson.dumps(answer))

    def head(self, request: signatures.Request, device: Enrolled) -> Answer:
        """Where the device's lanes continue."""
        return self.answer(request, 200, orjson.dumps(self.devices.head(device)))

    def epochs(self, request: signatures.Request, device: Enrolled) -> Answer:
        """Close an epoch, open the next."""
        values = read_json(request.body)
        with refusing():
            answer = self.devices.open_epoch(
                device,
                close=fields.integer(values, "close", 1),
                nonce=fields.text(values, "nonce", 64),
                reason=fields.text(values, "reason", 64),
                above=fields.maybe_integer(values, "above", 0, MAX_EPOCH) or 0,
            )
        return self.answer(request, 200, orjson.dumps(answer))

    def rotate(self, request: signatures.Request, device: Enrolled) -> Answer:
        """Take a box's next key, for which its newest one has signed."""
        try:
            rotation = Rotation.parse(read_json(request.body))
        except MalformedRotation as error:
            raise Refused(400, "malformed-key", str(error)) from error
        return self.answer(request, 200, orjson.dumps(self.devices.keys.rotate(device, rotation)))

    def cosignature(self, request: signatures.Request, device: Enrolled) -> Answer:
        """Keep a witness's signature."""
        values = read_json(request.body)
        line = values.get("cosignature")
        if not isinstance(line, str) or len(line) > 400:
            raise Refused(400, "malformed-request", "cosignature: expected a signature line")
        with refusing():
            size = fields.integer(values, "size")
        time_s = self.devices.cosign(device, size=size, line=line)
        return self.answer(request, 200, orjson.dumps({"size": size, "time_s": time_s}))


class refusing:  # noqa: N801 - reads as a clause
    """Turns MalformedField into Refused 400."""

    def __enter__(self) -> None:
        """Nothing to prepare."""

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        """Raises Refused for a MalformedField."""
        if isinstance(error, MalformedField):
            raise Refused(400, "malformed-request", str(error)) from error


def read_json(body: bytes) -> Mapping[str, object]:
    """The JSON object of a small request. Raises Refused."""
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Refused(400, "malformed-request", f"not JSON: {error}") from error
    if not isinstance(value, dict):
        raise Refused(400, "malformed-request", "expected a JSON object")
    return value


def read_query(request: signatures.Request) -> dict[str, object]:
    """The query with whole numbers read as such; the last of repeated names wins."""
    values: dict[str, object] = {}
    for name, texts in parse_qs(request.query).items():
        text = texts[-1]
        plain = text.isascii() and text.isdigit() and len(text) <= 15
        values[name] = int(text) if plain else text
    return values


def read_known(request: signatures.Request) -> int | None:
    """The size of ``?known=``, or None."""
    with refusing():
        return fields.maybe_integer(read_query(request), "known")


def blueprint(door: Door) -> Blueprint:
    """The routes of ``/v1``."""
    routes = Blueprint("devices", __name__, url_prefix="/v1")

    def add(method: str, path: str, handle: Callable[..., Answer]) -> None:
        name = path[1:].replace("/", "-")
        routes.add_url_rule(path, name, through_flask(handle), methods=[method])

    add("GET", "/time", partial(door.open, handle=door.now))
    add("GET", "/keys", partial(door.open, handle=door.keyset))
    add("POST", "/enroll", partial(door.open, handle=door.enrol))
    for method, path, handle in (
        ("POST", "/batches", door.batch),
        ("GET", "/receipts", door.receipts),
        ("GET", "/devices/self/head", door.head),
        ("POST", "/devices/self/epochs", door.epochs),
        ("POST", "/devices/self/keys", door.rotate),
        ("POST", "/cosignatures", door.cosignature),
        ("POST", "/checkpoints", door.checkpoint),
        ("POST", "/refill", door.refill),
    ):
        add(method, path, partial(door.signed, handle=handle))
    for path, one in (("/batches/<batch>", door.receipt), ("/batches/<batch>/body", door.body)):
        add("GET", path, partial(_named_batch, door, one))
    return routes


def _named_batch(
    door: Door,
    handle: Callable[[signatures.Request, Enrolled, str], Answer],
    asked: Asked,
    *,
    batch: str,
) -> Answer:
    return door.signed(asked, lambda request, device: handle(request, device, batch))
