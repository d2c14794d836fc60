"""Speaking with the hub: every request signed, every answer proven, nothing followed or retried.

An answer that is not signed by the hub and bound to this very request is a network failure,
whatever its status says.
"""

import secrets
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from edge_agent import identity as identities
from edge_agent.errors import (
    AnswerUnproven,
    EnrolmentRefused,
    HubRefused,
    KeyUnknown,
)
from edge_agent.identity import Identity
from edge_agent.timekeeping import Timekeeper
from edge_agent.transports import RawAnswer, Transport
from shared import http_signatures
from shared.clock import Clock
from shared.crypto.keys import KeySet, PublicKey, SigningKey, b64url
from shared.http_signatures import REQUEST_ID, Request, SignatureRefused
from shared.wire import batch as wire
from shared.wire import problems
from shared.wire.problems import MalformedProblem

MAX_RETRY_AFTER_S = 3600
RENEW_MS = 60_000
"""The hub's key set is fetched anew at most so often."""
Renew = Callable[[bytes], Mapping[str, PublicKey] | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A proven answer of the hub."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    signed_s: int
    sent_mono_ms: int

    def json(self) -> dict[str, Any]:
        """The body as a JSON object. Raises AnswerUnproven: a hub speaks JSON."""
        try:
            value = orjson.loads(self.body)
        except orjson.JSONDecodeError as error:
            raise AnswerUnproven("the hub's answer is not JSON") from error
        if not isinstance(value, dict):
            raise AnswerUnproven("the hub's answer is not a JSON object")
        return value


class HubLink:
    """Exchanges with one hub. One object per thread: a transport carries one at a time."""

    def __init__(
        self,
        hub_url: str,
        *,
        key: SigningKey,
        http_keys: Mapping[str, PublicKey],
        timekeeper: Timekeeper,
        clock: Clock,
        transport: Transport,
        random_bytes: Callable[[int], bytes] = secrets.token_bytes,
        renew: Renew | None = None,
    ) -> None:
        """`http_keys`: the hub's keys for answers, by key id; `renew` judges a newer key set."""
        self._base = hub_url.rstrip("/")
        self._key = key
        self._http_keys = http_keys
        self._timekeeper = timekeeper
        self._clock = clock
        self._transport = transport
        self._random_bytes = random_bytes
        self._renew = renew
        self._renewed_mono_ms: int | None = None
        self._lock = threading.Lock()
        self._tallies: dict[str, int] = {}

    @property
    def tallies(self) -> Mapping[str, int]:
        """Since the start: ``unproven`` answers, which no hub signed, and its ``refused`` ones."""
        return dict(self._tallies)

    def _tally(self, name: str) -> None:
        self._tallies[name] = self._tallies.get(name, 0) + 1

    def exchange(
        self,
        method: str,
        path: str,
        *,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
        signed: bool = True,
        key: SigningKey | None = None,
    ) -> Answer:
        """One signed request and its proven answer (2xx). `key` signs it instead of the box's.

        A signed refusal for a wrong clock sets the offset and is repeated once; so is an answer
        signed by an unknown key, once the hub's key set was fetched anew and holds it.

        Raises:
            HubUnreachable: no answer, or (AnswerUnproven) none that is provably the hub's.
            HubRefused: the hub's signed refusal.
        """
        with self._lock:
            signer = (key or self._key) if signed else None

            def once() -> Answer:
                return self._once(method, path, body, headers or {}, signer=signer)

            try:
                return self._with_known_keys(once)
            except HubRefused as refusal:
                if refusal.code != "clock-skew" or not refusal.time_learned:
                    raise
            return self._with_known_keys(once)

    def _with_known_keys(self, once: Callable[[], Answer]) -> Answer:
        try:
            return once()
        except KeyUnknown:
            if not self._fetch_keys():
                raise
        return once()

    def renew_keys(self) -> None:
        """Fetch the hub's key set anew, at most once a minute. Raises HubUnreachable."""
        with self._lock:
            self._fetch_keys()

    def _fetch_keys(self) -> bool:
        """Whether a key set was fetched that is believed."""
        now, last = self._clock.mono_ms(), self._renewed_mono_ms
        if self._renew is None or (last is not None and now - last < RENEW_MS):
            # Whoever signs with keys of their own must not make this box ask all the time.
            return False
        self._renewed_mono_ms = now
        headers = {REQUEST_ID: b64url(self._random_bytes(16))}
        raw = self._transport.send("GET", self._base + "/v1/keys", headers, b"")
        keys = self._renew(raw.body) if raw.status == 200 else None
        if keys is not None:
            self._http_keys = keys
        return keys is not None

    def _once(
        self,
        method: str,
        path: str,
        body: bytes,
        headers: Mapping[str, str],
        *,
        signer: SigningKey | None,
    ) -> Answer:
        url = self._base + path
        authority, plain_path, query = http_signatures.split_url(url)
        nonce = b64url(self._random_bytes(16))
        request = Request(
            method=method,
            authority=authority,
            path=plain_path,
            query=query,
            headers=headers,
            body=body,
        )
        if signer is not None:
            added = http_signatures.sign_request(
                request, signer, now_s=self._timekeeper.signing_s(), nonce=nonce
            )
        else:
            added = {REQUEST_ID: nonce}
            if body:
                added["content-digest"] = http_signatures.content_digest(body)
        sent = {**headers, **added}
        sent_mono_ms = self._clock.mono_ms()
        raw = self._transport.send(method, url, sent, body)
        bound = Request(
            method=method,
            authority=authority,
            path=plain_path,
            query=query,
            headers=sent,
            body=body,
        )
        return self._proven(bound, raw, sent_mono_ms)

    def _proven(self, request: Request, raw: RawAnswer, sent_mono_ms: int) -> Answer:
        try:
            proof = http_signatures.verify_response(
                request,
                status=raw.status,
                headers=raw.headers,
                body=raw.body,
                keys=self._http_keys,
            )
        except SignatureRefused as error:
            self._tally("unproven")
            kind = KeyUnknown if error.code == "key-unknown" else AnswerUnproven
            raise kind(
                f"status {raw.status} that the hub did not sign ({error}): a login page or a "
                "proxy stands between this box and the hub"
            ) from error
        answer = Answer(
            status=raw.status,
            headers=raw.headers,
            body=raw.body,
            signed_s=proof.created_s,
            sent_mono_ms=sent_mono_ms,
        )
        if not 200 <= raw.status < 300:
            self._tally("refused")
            raise self._refusal(answer)
        return answer

    def _refusal(self, answer: Answer) -> HubRefused:
        try:
            problem = problems.parse_problem(answer.body)
        except MalformedProblem:
            problem = problems.Problem(
                status=answer.status, code=f"status-{answer.status}", detail="no problem document"
            )
        refusal = HubRefused(problem, retry_after_ms=_retry_after_ms(answer.headers))
        if problem.code == "clock-skew":
            # The second in which the hub signed, bound to our nonce, is an authentic time.
            refusal.time_learned = self._timekeeper.learn(
                answer.signed_s * 1000 + 500, sent_mono_ms=answer.sent_mono_ms, err_ms=500
            )
        return refusal

    # --- what the hub offers --------------------------------------------------------------

    def post_batch(self, body: bytes, *, known: int | None, wait_s: int) -> Answer:
        """Deliver a batch body (unpacked); 200 with a receipt, or 202."""
        headers = {
            "content-type": wire.CONTENT_TYPE,
            "content-encoding": "zstd",
            "prefer": f"wait={wait_s}",
        }
        packed = wire.compress(body)
        return self.exchange("POST", "/v1/batches" + _known(known), body=packed, headers=headers)

    def get_batch(self, batch_id: str, *, known: int | None) -> Answer:
        """Ask after a batch: 200 with a receipt, or 202."""
        return self.exchange("GET", f"/v1/batches/{batch_id}" + _known(known))

    def receipts(self, lane: str, gen: int, first_n: int, last_n: int) -> dict[str, Any]:
        """Where the hub has capture numbers of ours."""
        query = f"lane={lane}&gen={gen}&from={first_n}&to={last_n}"
        return self.exchange("GET", f"/v1/receipts?{query}").json()

    def head(self) -> dict[str, Any]:
        """Where the hub believes this box to be."""
        return self.exchange("GET", "/v1/devices/self/head").json()

    def open_epoch(
        self, *, close: int, nonce: str, reason: str, above: int | None = None
    ) -> dict[str, Any]:
        """Close an epoch and open the next, greater than `above`; the same nonce opens it once."""
        wish: dict[str, object] = {"close": close, "nonce": nonce, "reason": reason}
        if above is not None:
            wish["above"] = above
        return self.post("/v1/devices/self/epochs", **wish).json()

    def batch_body(self, batch_id: str) -> bytes:
        """A whole batch of ours as the hub took it, unpacked."""
        return self.exchange("GET", f"/v1/batches/{batch_id}/body").body

    def show_checkpoint(self, checkpoint: str) -> dict[str, Any]:
        """What a hub with fewer entries than this signed tree head wants back."""
        return self.post("/v1/checkpoints", checkpoint=checkpoint).json()

    def give_back(self, body: bytes, *, first_index: int, received_ms: int) -> None:
        """Give a restored hub a batch back, with the place that its receipt proved."""
        headers = {"content-type": wire.CONTENT_TYPE, "content-encoding": "zstd"}
        path = f"/v1/refill?first_index={first_index}&received_ms={received_ms}"
        self.exchange("POST", path, body=wire.compress(body), headers=headers)

    def cosign(self, line: str, size: int) -> None:
        """Vouch for a checkpoint."""
        self.post("/v1/cosignatures", cosignature=line, size=size)

    def rotate(self, rotation: Mapping[str, object], *, key: SigningKey) -> dict[str, Any]:
        """Name the box's next key, in a request that `key` signs."""
        return self.exchange(
            "POST",
            "/v1/devices/self/keys",
            body=orjson.dumps(rotation),
            headers={"content-type": "application/json"},
            key=key,
        ).json()

    def use_key(self, key: SigningKey) -> None:
        """Sign with this key from now on."""
        with self._lock:
            self._key = key

    def learn_time(self) -> bool:
        """Ask the hub for the time; False when it is before the floor and not believed."""
        answer = self.exchange("GET", "/v1/time", signed=False)
        now_ms = answer.json().get("now_ms")
        if not isinstance(now_ms, int):
            raise AnswerUnproven("the hub's time is not a number")
        return self._timekeeper.learn(now_ms, sent_mono_ms=answer.sent_mono_ms)

    def post(self, path: str, **values: object) -> Answer:
        """One JSON request."""
        return self.exchange(
            "POST",
            path,
            body=orjson.dumps(values),
            headers={"content-type": "application/json"},
        )


def _known(size: int | None) -> str:
    return "" if size is None else f"?known={size}"


def _retry_after_ms(headers: Mapping[str, str]) -> int | None:
    text = headers.get("retry-after", "")
    return min(int(text), MAX_RETRY_AFTER_S) * 1000 if text.isascii() and text.isdecimal() else None


def enroll(
    state_dir: Path,
    hub_url: str,
    code: str,
    *,
    version: str,
    clock: Clock,
    timekeeper: Timekeeper,
    transport: Transport,
) -> Identity:
    """Enrol this box with a one-use code and keep its identity. Idempotent for the same code.

    The key is made here and never leaves; the hub is believed only if its key set is signed by
    the root key whose fingerprint the code carries.

    Raises:
        EnrolmentRefused: wrong hub, or the code is unknown, used or expired.
        HubUnreachable: no proven answer.
    """
    invitation, fingerprint = identities.split_code(code)
    key = identities.own_key(state_dir)
    keyset = _fetch_keyset(hub_url, fingerprint, transport)
    link = HubLink(
        hub_url,
        key=key,
        http_keys=keyset.http,
        timekeeper=timekeeper,
        clock=clock,
        transport=transport,
    )
    link.learn_time()
    public = b64url(key.public.raw)
    try:
        answer = link.post("/v1/enroll", code=invitation, public_key=public, version=version).json()
    except HubRefused as refusal:
        raise EnrolmentRefused(_advice(refusal)) from refusal
    if not isinstance(answer.get("device"), str) or not isinstance(answer.get("dealer"), str):
        raise AnswerUnproven("the hub's answer names no device")
    enrolled = Identity(
        key=key,
        device=answer["device"],
        dealer=answer["dealer"],
        hub_url=hub_url.rstrip("/"),
        keyset=keyset,
    )
    identities.save(state_dir, enrolled)
    return enrolled


def _fetch_keyset(hub_url: str, fingerprint: str, transport: Transport) -> KeySet:
    """The key set proves itself: its root signature and the code's fingerprint."""
    headers = {REQUEST_ID: b64url(secrets.token_bytes(16))}
    raw = transport.send("GET", hub_url.rstrip("/") + "/v1/keys", headers, b"")
    if raw.status != 200:
        raise AnswerUnproven(f"{hub_url}/v1/keys answered {raw.status}: is this the hub's address?")
    return identities.check_keyset(raw.body, fingerprint)


def _advice(refusal: HubRefused) -> str:
    advice: Sequence[tuple[str, str]] = (
        ("invitation-unknown", "the hub does not know this code: copy it again, whole"),
        ("invitation-used", "this code was used by another box: ask for a new one"),
        ("invitation-expired", "this code has expired: ask for a new one"),
    )
    for code, text in advice:
        if refusal.code == code:
            return text
    return str(refusal)
