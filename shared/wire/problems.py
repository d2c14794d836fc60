"""Refusals as RFC 9457 problem documents, with a stable `code` that programs act on."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import orjson

from shared.wire import fields
from shared.wire.fields import MalformedField

CONTENT_TYPE = "application/problem+json"
MAX_PROBLEM_BYTES = 64 * 1024


class MalformedProblem(ValueError):
    """The bytes are not a problem document."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Why a request was refused. `extra` holds members of this code's own, such as ``head``."""

    status: int
    code: str
    detail: str
    extra: Mapping[str, object] = field(default_factory=dict)

    def encode(self) -> bytes:
        """The answer's body."""
        return orjson.dumps(
            {
                **self.extra,
                "type": f"urn:kickstand:problem:{self.code}",
                "title": self.code.replace("-", " "),
                "status": self.status,
                "detail": self.detail,
                "code": self.code,
            }
        )


def parse_problem(raw: bytes) -> Problem:
    """Parse a problem document. Raises MalformedProblem, and nothing else, for any bytes."""
    if len(raw) > MAX_PROBLEM_BYTES:
        raise MalformedProblem(f"problem of {len(raw)} bytes")
    try:
        values = fields.mapping(orjson.loads(raw), "problem")
        detail = values.get("detail")
        known = {"type", "title", "status", "detail", "code"}
        return Problem(
            status=fields.integer(values, "status", 100, 599),
            code=fields.text(values, "code", 64),
            detail=detail if isinstance(detail, str) else "",
            extra={name: value for name, value in values.items() if name not in known},
        )
    except MalformedField as error:
        raise MalformedProblem(str(error)) from error
    except (orjson.JSONDecodeError, UnicodeError, RecursionError, OverflowError) as error:
        raise MalformedProblem(f"not JSON: {error}") from error
