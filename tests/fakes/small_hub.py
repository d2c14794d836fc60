"""A hub in miniature: the device API over real HTTP, a ledger in memory, faults on demand.

Every fault can strike before or after the request took effect. After every test `check()` looks
at the whole ledger.
"""

import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

import orjson

from shared import http_signatures
from shared.checkpoint import NoteSigner, open_checkpoint
from shared.clock import Clock, SystemClock
from shared.crypto.encryption import DecryptionKey
from shared.crypto.keys import (
    BadSignature,
    KeySet,
    PublicKey,
    SigningKey,
    from_b64url,
    root_fingerprint,
)
from shared.crypto.rotation import Rotation
from shared.generation import Opening, origin_of
from shared.http_signatures import Request, SignatureRefused
from shared.identifiers import device_id
from shared.wire import batch as wire
from shared.wire import problems
from shared.wire.events import LANES, parse_event
from shared.wire.problems import Problem
from shared.wire.receipts import Consistency, Receipt, pack_hashes
from tests.checks.small_log import SmallLog

ORIGIN = "hub.example/ledger"
CODE = "invitation-1"


class Refusal(Exception):
    """Ends a request with a signed problem."""

    def __init__(self, status: int, code: str, **extra: object) -> None:
        super().__init__(code)
        self.problem = Problem(status=status, code=code, detail=code, extra=extra)


@dataclass
class Place:
    """Where one lane of one epoch stands."""

    next_seq: int = 1
    last_batch: str | None = None


@dataclass
class Placed:
    """One batch on the ledger."""

    first_index: int
    received_ms: int
    body: wire.Body


@dataclass
class SmallHub:
    """One device, one ledger. `faults` are taken one per request, first come first served."""

    clock: Clock = field(default_factory=SystemClock)
    faults: list[str] = field(default_factory=list)
    faults_at: dict[str, list[str]] = field(default_factory=dict)
    """The same for the requests of one path alone."""
    log: SmallLog = field(default_factory=lambda: SmallLog(name=ORIGIN))
    batches: dict[str, Placed] = field(default_factory=dict)
    places: dict[tuple[int, str], Place] = field(default_factory=dict)
    nonces: dict[str, int] = field(default_factory=dict)
    cosignatures: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    epoch: int = 1
    device: str = ""
    device_key: PublicKey | None = None
    retired: set[str] = field(default_factory=set)
    """Key ids of this box that are over."""
    older: list[PublicKey] = field(default_factory=list)
    withhold: set[str] = field(default_factory=set)
    refuse: dict[str, str] = field(default_factory=dict)
    openings: list[Opening] = field(default_factory=list)
    """Of the ledger's later generations."""
    suspended: bool = False
    """Head office lets this box in no longer."""
    arrived: threading.Condition = field(default_factory=threading.Condition)

    def __post_init__(self) -> None:
        self.root = SigningKey.generate()
        self.new_http_key(version=1)
        self.lock = threading.Lock()
        self.server: ThreadingHTTPServer | None = None

    def new_http_key(
        self, *, version: int, root: SigningKey | None = None, name: str = "hub.example"
    ) -> None:
        """Sign answers with a new key, in a key set of this version."""
        self.http = SigningKey.generate()
        self.keyset = KeySet.sign(
            name=name,
            version=version,
            root=root or self.root,
            http=self.http.public,
            ledger_vkey=self.log.key.vkey,
            encryption=DecryptionKey.generate().public,
            generations=[opening.values() for opening in self.openings],
        )

    def new_ledger_key(self, *, version: int) -> None:
        """Sign tree heads with a new key, in a key set of this version."""
        self.log.signer = NoteSigner(self.log.signer.verifier.name, SigningKey.generate())
        self.log.key = self.log.signer.verifier
        self.new_http_key(version=version)

    @property
    def code(self) -> str:
        """What the technician copies."""
        return f"{CODE}.{root_fingerprint(self.root.public)}"

    @property
    def url(self) -> str:
        """Where it listens."""
        assert self.server is not None
        return f"http://127.0.0.1:{self.server.server_address[1]}"

    def __enter__(self) -> Self:
        hub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                hub.handle(self)

            do_POST = do_GET  # noqa: N815 - the base class's name

            def log_message(self, *_args: object) -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self._thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        assert self.server is not None
        self.server.shutdown()
        self.server.server_close()
        self._thread.join()

    # --- HTTP -----------------------------------------------------------------------------

    def handle(self, http: BaseHTTPRequestHandler) -> None:
        """Answer one request, or fail in the way the next fault says."""
        body = http.rfile.read(int(http.headers.get("content-length") or 0))
        parts = urlsplit(http.path)
        request = Request(
            method=http.command,
            authority=http.headers["host"],
            path=parts.path,
            query=parts.query,
            headers={name.lower(): value for name, value in http.headers.items()},
            body=body,
        )
        with self.lock:
            self.requests.append(f"{http.command} {http.path}")
            faults = self.faults_at.get(parts.path) or self.faults
            fault = faults.pop(0) if faults else ""
            if fault == "drop_before":
                http.close_connection = True
                return
            if fault == "portal":
                _send(http, 200, {"content-type": "text/html"}, b"<html>please log in</html>")
                return
            if fault == "redirect":
                _send(http, 302, {"location": self.url + "/elsewhere"}, b"")
                return
            status, headers, answer = self._answer(request, fault)
        with self.arrived:
            self.arrived.notify_all()
        if fault == "drop_after":
            http.close_connection = True
            return
        if fault == "tamper":
            answer = answer[:-2] + b" " + answer[-1:]
        _send(http, status, headers, answer)

    def _answer(self, request: Request, fault: str) -> tuple[int, dict[str, str], bytes]:
        headers = {"content-type": "application/json"}
        try:
            status, answer = self._route(request, fault)
        except Refusal as refusal:
            status, answer = refusal.problem.status, refusal.problem.encode()
            headers["content-type"] = problems.CONTENT_TYPE
            if status in {429, 503}:
                headers["retry-after"] = "7"
        now_s = self.clock.wall_ms() // 1000
        headers["date"] = formatdate(now_s, usegmt=True)
        signed = http_signatures.sign_response(
            request, status=status, headers=headers, body=answer, key=self.http, now_s=now_s
        )
        return status, {**headers, **signed}, answer

    def _route(self, request: Request, fault: str) -> tuple[int, bytes]:
        if fault.isdecimal():
            raise Refusal(int(fault), {"429": "too-many", "503": "busy"}.get(fault, "refused"))
        query = {name: values[0] for name, values in parse_qs(request.query).items()}
        if request.path == "/v1/keys":
            return 200, self.keyset.encode()
        if request.path == "/v1/time":
            return 200, orjson.dumps({"now_ms": self.clock.wall_ms()})
        if request.path == "/v1/enroll":
            return self._enroll(request)
        assert self.device_key is not None
        self._verify(request, self.device_key, *self.older)
        if self.suspended:
            raise Refusal(403, "suspended")
        routes: dict[str, Callable[[], tuple[int, bytes]]] = {
            "/v1/batches": lambda: self._post(request, query),
            "/v1/devices/self/head": lambda: (200, orjson.dumps(self.head())),
            "/v1/devices/self/epochs": lambda: self._open_epoch(orjson.loads(request.body)),
            "/v1/receipts": lambda: (200, orjson.dumps(self._receipts(query))),
            "/v1/checkpoints": lambda: self._shown(orjson.loads(request.body)),
            "/v1/refill": lambda: self._refill(request, query),
            "/v1/devices/self/keys": lambda: self._rotate(orjson.loads(request.body)),
            "/v1/cosignatures": lambda: self._cosign(orjson.loads(request.body)),
        }
        if request.path in routes:
            return routes[request.path]()
        if request.path.endswith("/body"):
            return self._body(request.path.split("/")[-2])
        return self._receipt(request.path.rsplit("/", 1)[1], query)

    def _verify(self, request: Request, *keys: PublicKey) -> None:
        known = {key.keyid: key for key in keys}

        def key_of(keyid: str) -> PublicKey:
            if keyid in self.retired:
                raise SignatureRefused("key-retired", keyid)
            if keyid not in known:
                raise SignatureRefused("key-unknown", keyid)
            return known[keyid]

        try:
            http_signatures.verify_request(
                request,
                authority=request.headers["host"],
                key_of=key_of,
                now_s=self.clock.wall_ms() // 1000,
            )
        except SignatureRefused as error:
            raise Refusal(401, error.code) from error

    # --- what it does ---------------------------------------------------------------------

    def _enroll(self, request: Request) -> tuple[int, bytes]:
        wish = orjson.loads(request.body)
        key = PublicKey(from_b64url(wish["public_key"]))
        self._verify(request, key)
        if wish["code"] != CODE:
            raise Refusal(403, "invitation-unknown")
        if self.device_key is not None and self.device_key != key:
            raise Refusal(409, "invitation-used")
        self.enrol(key)
        answer = {"device": self.device, "dealer": "SBY01", "epoch": self.epoch, "state": "active"}
        return 201, orjson.dumps(answer)

    def enrol(self, key: PublicKey) -> str:
        """Know this box; its device id."""
        if key in {self.device_key, *self.older}:
            return self.device
        self.device_key, self.device = key, device_id(key.raw)
        return self.device

    def _rotate(self, wish: dict[str, Any]) -> tuple[int, bytes]:
        rotation = Rotation.parse(wish)
        if "rotation" in self.refuse:
            raise Refusal(409, self.refuse["rotation"])
        assert self.device_key is not None
        if rotation.new != self.device_key:
            rotation.verify(self.device_key)
            self.older.append(self.device_key)
            self.device_key = rotation.new
        return 200, orjson.dumps({"keyid": rotation.new.keyid, "old": rotation.old})

    def _place(self, epoch: int, lane: str) -> Place:
        return self.places.setdefault((epoch, lane), Place())

    def head(self) -> dict[str, Any]:
        """Where this hub believes the box to be."""
        gens = [r.gen for placed in self.batches.values() for r in placed.body.statement.ranges]
        lanes = {lane: self._place(self.epoch, lane) for lane in LANES}
        return {
            "device": self.device,
            "dealer": "SBY01",
            "epoch": self.epoch,
            "max_gen": max(gens, default=0),
            "lanes": {
                lane: {"next_seq": place.next_seq, "last_batch": place.last_batch}
                for lane, place in lanes.items()
            },
            "checkpoint": self.log.checkpoint(),
        }

    def _open_epoch(self, wish: dict[str, Any]) -> tuple[int, bytes]:
        if wish["nonce"] not in self.nonces:
            if wish["close"] != self.epoch:
                raise Refusal(409, "epoch-closed", head=self.head())
            self.epoch = max(self.epoch, wish.get("above", 0)) + 1
            self.nonces[wish["nonce"]] = self.epoch
        return 200, orjson.dumps(self.head())

    def _post(self, request: Request, query: dict[str, str]) -> tuple[int, bytes]:
        raw = wire.decompress(request.body, request.headers.get("content-encoding"))
        body = wire.decode_body(raw)
        stated = body.statement
        if int(query.get("known", "0")) > self.log.size:
            raise Refusal(503, "read-only")
        sealed_with = self._sealed_with(body)
        if stated.lane in self.refuse:
            raise Refusal(400, self.refuse[stated.lane])
        if body.batch_id not in self.batches:
            place = self._place(stated.epoch, stated.lane)
            if stated.epoch != self.epoch:
                raise Refusal(409, "epoch-closed", head=self.head())
            if sealed_with.keyid in self.retired:
                raise Refusal(403, "seal-retired")
            if (stated.first_seq, stated.prev) != (place.next_seq, place.last_batch):
                raise Refusal(409, "seq-conflict", head=self.head())
            received_ms = self.clock.wall_ms()
            hashes = wire.leaf_hashes(body.events, bytes.fromhex(body.batch_id), received_ms)
            first = self.log.extend(hashes)
            self.batches[body.batch_id] = Placed(first, received_ms, body)
            place.next_seq += stated.count
            place.last_batch = body.batch_id
        if stated.lane in self.withhold:
            return 202, orjson.dumps({"batch_id": body.batch_id})
        return self._receipt(body.batch_id, query)

    def _sealed_with(self, body: wire.Body) -> PublicKey:
        assert self.device_key is not None
        for key in self.older:
            with suppress(BadSignature):
                wire.verify_seal(body.statement_bytes, body.seal, key)
                return key
        wire.verify_seal(body.statement_bytes, body.seal, self.device_key)
        return self.device_key

    def _receipt(self, batch_id: str, query: dict[str, str]) -> tuple[int, bytes]:
        placed = self.batches.get(batch_id)
        if placed is None:
            raise Refusal(404, "batch-unknown")
        if placed.body.statement.lane in self.withhold:
            return 202, orjson.dumps({"batch_id": batch_id})
        known = int(query.get("known", "0"))
        growth = None
        if 0 < known <= self.log.size:
            growth = Consistency(old=known, proof=tuple(self.log.consistency(known)))
        count = placed.body.statement.count
        receipt = Receipt(
            batch_id=batch_id,
            first_index=placed.first_index,
            count=count,
            received_ms=placed.received_ms,
            proof=tuple(self.log.range_proof(placed.first_index, placed.first_index + count)),
            checkpoint=self.log.checkpoint(),
            consistency=growth,
        )
        return 200, receipt.encode()

    def _body(self, batch_id: str) -> tuple[int, bytes]:
        if batch_id not in self.batches:
            raise Refusal(404, "batch-unknown")
        body = self.batches[batch_id].body
        return 200, wire.encode_body(body.statement_bytes, body.seal, body.events, body.attachments)

    # --- after a restore ------------------------------------------------------------------

    def restore(self, size: int) -> None:
        """Forget everything from entry `size` on, as a backup from then would have."""
        hashes = self.log.levels[0][:size]
        self.log.levels = [[]]
        self.log.extend(hashes)
        self.places.clear()
        kept = [(i, p) for i, p in self.batches.items() if p.first_index < size]
        self.batches = {}
        for batch_id, placed in sorted(kept, key=lambda item: item[1].first_index):
            self._stand(batch_id, placed)

    def open_generation(self, size: int, *, root: SigningKey | None = None) -> None:
        """Lose everything from entry `size` on and go on in a new generation of the ledger."""
        ended, generation = self.log.checkpoint(), len(self.openings) + 2
        self.restore(size)
        old = self.log.levels[0]
        self.log = SmallLog(old, origin_of(ORIGIN, generation))
        self.openings.append(
            Opening.sign(
                root or self.root,
                generation=generation,
                begins=self.log.checkpoint(),
                ended=ended,
                reason="restored",
                now_ms=1,
            )
        )
        self.new_http_key(version=generation)

    def _stand(self, batch_id: str, placed: Placed) -> None:
        stated = placed.body.statement
        self.batches[batch_id] = placed
        place = self._place(stated.epoch, stated.lane)
        place.next_seq, place.last_batch = stated.first_seq + stated.count, batch_id

    def _shown(self, wish: dict[str, Any]) -> tuple[int, bytes]:
        shown = open_checkpoint(wish["checkpoint"], self.log.key)
        wanted = [[self.log.size, shown.size]] if shown.size > self.log.size else []
        return 200, orjson.dumps({"size": self.log.size, "target": shown.size, "wanted": wanted})

    def _refill(self, request: Request, query: dict[str, str]) -> tuple[int, bytes]:
        raw = wire.decompress(request.body, request.headers.get("content-encoding"))
        body = wire.decode_body(raw)
        assert self.device_key is not None
        wire.verify_seal(body.statement_bytes, body.seal, self.device_key)
        first_index, received_ms = int(query["first_index"]), int(query["received_ms"])
        if first_index != self.log.size:
            raise Refusal(409, "place-taken")
        self.log.extend(wire.leaf_hashes(body.events, bytes.fromhex(body.batch_id), received_ms))
        self._stand(body.batch_id, Placed(first_index, received_ms, body))
        return 200, orjson.dumps({"size": self.log.size, "missing": []})

    def _receipts(self, query: dict[str, str]) -> dict[str, Any]:
        lane, gen = query["lane"], int(query["gen"])
        wanted = range(int(query["from"]), int(query["to"]) + 1)
        runs: list[dict[str, Any]] = []
        for batch_id, placed in self.batches.items():
            stated, index = placed.body.statement, placed.first_index
            for found in stated.ranges:
                first, last = max(found.first, wanted.start), min(found.last, wanted.stop - 1)
                if (stated.lane, found.gen) == (lane, gen) and first <= last:
                    at = index + first - found.first
                    runs.append(
                        {
                            "n_from": first,
                            "n_to": last,
                            "batch_id": batch_id,
                            "first_index": at,
                            "received_ms": placed.received_ms,
                            "proof": pack_hashes(self.log.range_proof(at, at + last - first + 1)),
                        }
                    )
                index += found.last - found.first + 1
        runs.sort(key=lambda run: int(run["n_from"]))
        return {"runs": runs, "checkpoint": self.log.checkpoint()}

    def _cosign(self, wish: dict[str, Any]) -> tuple[int, bytes]:
        self.cosignatures.append(wish["cosignature"])
        return 200, b"{}"

    # --- what a test asks afterwards ------------------------------------------------------

    def events(self) -> list[bytes]:
        """Every event on the ledger, in its order."""
        placed = sorted(self.batches.values(), key=lambda item: item.first_index)
        return [event for item in placed for event in item.body.events]

    def ids(self) -> list[tuple[int, str, int]]:
        """(gen, lane, n) of every event on the ledger."""
        parsed = [parse_event(event) for event in self.events()]
        return [(event.gen, event.lane, event.n) for event in parsed]

    def check(self) -> None:
        """No event stands twice, and the tree is the fold of the batches."""
        ids = self.ids()
        assert len(ids) == len(set(ids))
        assert len(ids) == self.log.size

    def wait_for(self, condition: Callable[[], bool], timeout_s: float = 10) -> None:
        """Wait until something is true of the ledger; fails the test after `timeout_s`."""
        with self.arrived:
            assert self.arrived.wait_for(condition, timeout_s), self.requests[-10:]


def _send(http: BaseHTTPRequestHandler, status: int, headers: dict[str, str], body: bytes) -> None:
    http.send_response_only(status)
    for name, value in headers.items():
        http.send_header(name, value)
    http.send_header("content-length", str(len(body)))
    http.end_headers()
    http.wfile.write(body)
