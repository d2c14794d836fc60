"""The intake door: leads from forms, scripts and partners, signed with a key of their own."""

import hashlib
import hmac
import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import orjson
import structlog
from flask import Blueprint, Response
from flask import request as http
from sqlalchemy.exc import SQLAlchemyError
from werkzeug.exceptions import RequestEntityTooLarge

from hub.errors import ConfigError, Refused, StoreUnavailable
from hub.leads.intake import Intake, IntakeAnswer
from hub.leads.lead_rows import read_row
from hub.store import Database
from shared.clock import Clock
from shared.wire.problems import CONTENT_TYPE

BODY_BYTES_MAX: Final = 64 * 1024
SKEW_S: Final = 300
KEY_CHARS_MAX: Final = 200
A_MINUTE: Final = 600
"""Requests of one key within a minute."""
log = structlog.get_logger()


def read_keys(path: Path | None) -> dict[str, bytes]:
    """Secrets by key id from a file of ``<key id> <secret>`` lines. Raises ConfigError."""
    if path is None:
        return {}
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeError) as error:
        raise ConfigError(f"[intake] keys_file: {path}: {error}") from error
    keys: dict[str, bytes] = {}
    for number, line in enumerate(lines, start=1):
        parts = line.split()
        if not parts or parts[0].startswith("#"):
            continue
        if len(parts) != 2 or parts[0] in keys:
            raise ConfigError(f"[intake] keys_file: {path}:{number}: expected <key id> <secret>")
        keys[parts[0]] = parts[1].encode()
    return keys


@dataclass(frozen=True, slots=True, kw_only=True)
class IntakeDoor:
    """What the door works with."""

    database: Database
    intake: Intake
    keys: Mapping[str, bytes]
    clock: Clock


class _Pace:
    """How often each key has asked lately. For any thread."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._asked: dict[str, deque[int]] = {}
        self._lock = threading.Lock()

    def take(self, key: str) -> None:
        """Raises Refused 429, with the seconds to wait."""
        now_ms = self._clock.mono_ms()
        with self._lock:
            asked = self._asked.setdefault(key, deque(maxlen=A_MINUTE))
            if len(asked) == A_MINUTE and now_ms - asked[0] < 60_000:
                wait_s = max(1, -(-(60_000 - now_ms + asked[0]) // 1000))
                raise Refused(
                    429, "too-many", f"at most {A_MINUTE} leads a minute", {"retry_after_s": wait_s}
                )
            asked.append(now_ms)


def intake_blueprint(door: IntakeDoor) -> Blueprint:
    """``POST /api/v1/lead``: HMAC-SHA256 over timestamp, a point and the raw body."""
    blueprint = Blueprint("intake", __name__, url_prefix="/api/v1")
    pace = _Pace(door.clock)

    @blueprint.post("/lead")
    def take() -> Response:
        """A lead; durable before it is answered."""
        try:
            body = _body()
            key = _sender(door, body)
            pace.take(key)
            answer = _take(door, key, body)
        except Refused as refused:
            problem = refused.problem
            wait_s = problem.extra.get("retry_after_s")
            wait = {} if wait_s is None else {"retry-after": str(wait_s)}
            return Response(
                problem.encode(), status=problem.status, content_type=CONTENT_TYPE, headers=wait
            )
        except (SQLAlchemyError, StoreUnavailable) as error:
            log.warning("lead_not_stored", error=type(error).__name__)
            problem = Refused(503, "not-stored", "send it again later").problem
            return Response(problem.encode(), status=503, content_type=CONTENT_TYPE)
        return Response(
            orjson.dumps(answer.body), status=answer.status, mimetype="application/json"
        )

    return blueprint


def _body() -> bytes:
    http.max_content_length = BODY_BYTES_MAX
    try:
        return http.get_data(cache=False)
    except RequestEntityTooLarge:
        raise Refused(413, "too-large", f"at most {BODY_BYTES_MAX} bytes") from None


def _sender(door: IntakeDoor, body: bytes) -> str:
    """The key id of whoever signed this. Raises Refused 401 without saying what was wrong."""
    key = http.headers.get("X-Kickstand-Key", "")
    stamp = http.headers.get("X-Kickstand-Timestamp", "")
    given = http.headers.get("X-Kickstand-Signature", "")
    # An unknown key costs as much as a known one.
    secret = door.keys.get(key, b"\0" * 32)
    signed = hmac.new(secret, stamp.encode("utf-8", "replace") + b"." + body, hashlib.sha256)
    fits = hmac.compare_digest(
        b"sha256=" + signed.hexdigest().encode(), given.encode("utf-8", "replace")
    )
    if not fits or key not in door.keys:
        raise Refused(401, "signature", "not signed with a key of this hub")
    now_s = door.clock.wall_ms() // 1000
    if not stamp.isascii() or not stamp.isdigit() or abs(int(stamp[:15]) - now_s) > SKEW_S:
        raise Refused(
            401, "clock-skew", f"X-Kickstand-Timestamp is not within {SKEW_S} s", {"now_s": now_s}
        )
    return key


def _take(door: IntakeDoor, key: str, body: bytes) -> IntakeAnswer:
    idempotency = http.headers.get("Idempotency-Key")
    if idempotency is not None and not 0 < len(idempotency) <= KEY_CHARS_MAX:
        raise Refused(422, "malformed-key", f"Idempotency-Key: 1…{KEY_CHARS_MAX} characters")
    try:
        values = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Refused(422, "malformed-lead", f"not JSON: {error}") from error
    if not isinstance(values, dict):
        raise Refused(422, "malformed-lead", "expected a JSON object")
    row = read_row(values)
    return door.database.write(
        lambda connection: door.intake.take(
            connection,
            row,
            raw=body,
            key=None if idempotency is None else f"{key}/{idempotency}",
            now_ms=door.clock.wall_ms(),
        )
    )
