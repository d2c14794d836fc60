"""Moments as they are written: RFC 3339, UTC, milliseconds."""

from datetime import UTC, datetime


def rfc3339(at_ms: int) -> str:
    """``2026-11-22T08:04:11.284Z``."""
    moment = datetime.fromtimestamp(at_ms // 1000, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{at_ms % 1000:03d}Z"
