"""A whole hub on a database of the test's own, boxes that seal for it, and a client of its door."""

import random
from collections.abc import Callable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

import orjson
from flask import Flask

from firmware_sim.fresh_database import put_migrated
from hub.app import create_app
from hub.config import HubConfig, IngestConfig, ServerConfig
from hub.keys import create_keys
from hub.ledger.placed import Placed
from hub.ledger.sequencer import Incoming
from hub.store.database import ConnectionFactory, connect_sqlite
from hub.wiring import Hub, open_hub
from shared import http_signatures as signatures
from shared.clock import Clock
from shared.crypto.keys import SigningKey, b64url
from shared.crypto.rotation import Rotation
from shared.identifiers import device_id
from shared.wire import batch as wire
from shared.wire.events import Attachment, Occurred, encode_event
from tests.fakes.manual_clock import ManualClock

AUTHORITY = "hub.example"
DEALER = "SBY01"
OCCURRED = Occurred(wall_ms=1_795_354_312_000, err_ms=3, clock="hub", boot="b7", mono_ms=1)
DEADLINE_S = 30


@contextmanager
def running(
    folder: Path,
    url: str,
    *,
    clock: Clock | None = None,
    factory: ConnectionFactory = connect_sqlite,
    ingest: IngestConfig | None = None,
):
    """A hub on `url` with keys in `folder`; the same pair again is the same hub, restarted."""
    config = HubConfig(
        server=ServerConfig(
            public_url=f"https://{AUTHORITY}", keys_dir=folder / "keys", database=url
        ),
        ingest=ingest or IngestConfig(),
    )
    create_keys(config.server.keys_dir)
    if url.startswith("sqlite:///") and not Path(url.removeprefix("sqlite:///")).exists():
        put_migrated(Path(url.removeprefix("sqlite:///")))
    hub = open_hub(config, clock=clock or ManualClock(), connection_factory=factory)
    try:
        yield hub
    finally:
        hub.close()


@dataclass(frozen=True, kw_only=True)
class Batch:
    """A sealed batch, as a box keeps it until its receipt."""

    device: str
    statement: bytes
    seal: bytes
    events: tuple[bytes, ...]
    attachments: tuple[bytes, ...] = ()

    @property
    def id(self) -> str:
        """Hex SHA-256 of the statement."""
        return wire.batch_id(self.statement)

    @property
    def unpacked(self) -> bytes:
        """The body before compression."""
        return wire.encode_body(self.statement, self.seal, self.events, self.attachments)

    @property
    def body(self) -> bytes:
        """What is sent."""
        return wire.compress(self.unpacked)

    def incoming(self, received_ms: int = 1_800_000_000_000) -> Incoming:
        """As the door hands it to the sequencer."""
        body = wire.decode_body(self.unpacked)
        return Incoming(device=self.device, body=body, received_ms=received_ms)


def key_of(seed: int) -> SigningKey:
    """The key of a small number."""
    return SigningKey.from_seed(seed.to_bytes(32, "big"))


@dataclass
class Box:
    """A store's box as far as the hub can see it: a key, and where its lanes are."""

    seed: int
    epoch: int = 1
    places: dict[str, tuple[int, str | None]] = field(default_factory=dict)
    captured: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.key = key_of(self.seed)
        self.device = device_id(self.key.public.raw)

    def rotation(self, seed: int) -> Rotation:
        """Its newest key and that of `seed` sign for the latter."""
        return Rotation.sign(self.device, old=self.key, new=key_of(seed))

    def enrolled(self, hub: Hub, dealer: str = DEALER) -> "Box":
        """This box, after it used an invitation of `dealer`."""
        code = hub.database.write(lambda connection: hub.devices.invite(connection, dealer))
        hub.devices.enrol(code=code, key=self.key.public, version="0")
        return self

    def event(
        self,
        data: Mapping[str, object],
        *,
        lane: str = "vehicle",
        type: str = "scooter.report",  # noqa: A002 - the wire's own word
        attachments: Sequence[bytes] = (),
    ) -> bytes:
        """The next capture of a lane."""
        n = self.captured.get(lane, 0) + 1
        self.captured[lane] = n
        named = [Attachment(sha256(item).hexdigest(), len(item)) for item in attachments]
        return encode_event(
            type=type,
            device=self.device,
            gen=1,
            lane=lane,
            n=n,
            occurred=OCCURRED,
            data=data,
            attachments=named,
        )

    def reports(self, count: int) -> tuple[bytes, ...]:
        """So many reports of scooters in stock."""
        return tuple(
            self.event({"serial": f"KSE8JKT26000{i % 7:05d}", "state": "stock"})
            for i in range(count)
        )

    def batch(
        self, events: int | Sequence[bytes] = 1, *, lane: str = "vehicle", **changed: object
    ) -> Batch:
        """Seal the next batch of a lane: so many reports, or these events.

        `changed` fields of the statement are sealed as given and leave the lane where it was.
        """
        attachments: Sequence[bytes] = changed.pop("attachments", ())  # type: ignore[assignment]
        sealed = self.reports(events) if isinstance(events, int) else tuple(events)
        seq, prev = self.places.get(lane, (1, None))
        values: dict[str, object] = {
            "device": self.device,
            "epoch": self.epoch,
            "lane": lane,
            "first_seq": seq,
            "count": len(sealed),
            "root": wire.event_root(sealed).hex(),
            "prev": prev,
            "checkpoint": None,
            "ranges": (wire.CaptureRange(1, seq, seq + len(sealed) - 1),),
            "sealed": OCCURRED,
        }
        statement = wire.Statement(**{**values, **changed}).encode()  # type: ignore[arg-type]
        if not changed:
            self.places[lane] = (seq + len(sealed), wire.batch_id(statement))
        return Batch(
            device=self.device,
            statement=statement,
            seal=wire.seal(statement, self.key),
            events=sealed,
            attachments=tuple(attachments),
        )


def deliver(hub: Hub, *batches: Batch) -> list[Placed]:
    """Hand batches to the sequencer together; their places once durable. Raises Refused."""
    futures = [hub.ledger.sequencer.submit(batch.incoming()) for batch in batches]
    return [future.result(timeout=DEADLINE_S) for future in futures]


def history(hub: Hub, seed: int, entries: int, boxes: int = 3) -> list[Batch]:
    """Some boxes deliver batches of all sizes until the ledger holds so many entries."""
    dice = random.Random(seed)
    some = [Box(seed * 100 + number).enrolled(hub) for number in range(1, boxes + 1)]
    batches: list[Batch] = []
    while hub.ledger.size() < entries:
        group = [dice.choice(some).batch(dice.choice([1, 1, 2, 5, 40, 130])) for _ in range(4)]
        deliver(hub, *group)
        batches += group
    return batches


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What the door said, its signature verified."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> dict[str, object]:
        """The body as an object."""
        value = orjson.loads(self.body)
        assert isinstance(value, dict)
        return value

    @property
    def refusal(self) -> tuple[int, object]:
        """Status and problem code."""
        assert self.headers["content-type"] == "application/problem+json"
        return self.status, self.json["code"]


class DoorClient:
    """Signs what it sends and believes no answer that the hub did not sign."""

    def __init__(self, hub: Hub, app: Flask | None = None) -> None:
        self.hub = hub
        self.app = app or create_app(hub)
        self.test_client = self.app.test_client()
        self._nonces = random.Random(7)
        self.before_sending: Callable[[dict[str, str]], object] = lambda _: None

    def nonce(self) -> str:
        """Sixteen bytes nobody has used."""
        return b64url(self._nonces.randbytes(16))

    def call(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        *,
        key: SigningKey | None = None,
        query: str = "",
        headers: Mapping[str, str] | None = None,
        skew_s: int = 0,
        nonce: str | None = None,
        content_type: str = "application/json",
    ) -> Answer:
        """One request; its answer, whose signature has been verified as bound to it."""
        plain = {"content-type": content_type} if body else {}
        request = self._request(method, path, query, body, plain)
        nonce = nonce or self.nonce()
        if key is None:
            signed = {"hub-request-id": nonce}
            if body:
                signed["content-digest"] = signatures.content_digest(body)
        else:
            now_s = self.hub.clock.wall_ms() // 1000 + skew_s
            signed = signatures.sign_request(request, key, now_s=now_s, nonce=nonce)
        sent = {**plain, **signed, **(headers or {})}
        self.before_sending(sent)
        response = self.test_client.open(
            path,
            method=method,
            query_string=query,
            data=body,
            headers=sent,
            base_url=f"https://{AUTHORITY}",
        )
        answer = Answer(
            status=response.status_code,
            headers={name.lower(): value for name, value in response.headers.items()},
            body=response.get_data(),
        )
        signatures.verify_response(
            self._request(method, path, query, body, sent),
            status=answer.status,
            headers=answer.headers,
            body=answer.body,
            keys=self.hub.keys.keyset.http,
        )
        return answer

    @staticmethod
    def _request(
        method: str, path: str, query: str, body: bytes, headers: Mapping[str, str]
    ) -> signatures.Request:
        return signatures.Request(
            method=method, authority=AUTHORITY, path=path, query=query, headers=headers, body=body
        )

    def get(self, path: str, box: Box, query: str = "") -> Answer:
        """A box asks."""
        return self.call("GET", path, key=box.key, query=query)

    def post(self, path: str, box: Box, values: Mapping[str, object]) -> Answer:
        """A box sends JSON."""
        return self.call("POST", path, orjson.dumps(values), key=box.key)

    def send(
        self,
        box: Box,
        body: bytes,
        *,
        encoding: str | None = "zstd",
        wait_s: int | None = 5,
        query: str = "",
        nonce: str | None = None,
    ) -> Answer:
        """A box sends a batch's body."""
        headers = {"content-encoding": encoding} if encoding else {}
        if wait_s is not None:
            headers["prefer"] = f"wait={wait_s}"
        return self.call(
            "POST",
            "/v1/batches",
            body,
            key=box.key,
            query=query,
            headers=headers,
            nonce=nonce,
            content_type=wire.CONTENT_TYPE,
        )
