"""One check's outcome."""

from dataclasses import asdict, dataclass
from typing import Literal

Verdict = Literal["good", "note", "wrong"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One check's outcome. `fix` is empty when all is well, and only then.

    `wrong` is to be mended before the technician leaves; a `note` is to be known.
    """

    check: str
    verdict: Verdict
    detail: str
    fix: str = ""

    def as_dict(self) -> dict[str, str]:
        """For --json."""
        return asdict(self)


def good(check: str, detail: str) -> Finding:
    """All is well."""
    return Finding(check=check, verdict="good", detail=detail)


def note(check: str, detail: str, fix: str) -> Finding:
    """To be known; the box works."""
    return Finding(check=check, verdict="note", detail=detail, fix=fix)


def wrong(check: str, detail: str, fix: str) -> Finding:
    """To be mended."""
    return Finding(check=check, verdict="wrong", detail=detail, fix=fix)
