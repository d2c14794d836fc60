"""Which of our templates Meta lets us use now: by its own list, its news and its refusals."""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from hub.inbox.incoming import TemplateNews

APPROVED: Final = "APPROVED"
MISSING: Final = "MISSING"
"""Meta's list does not hold it: never pushed, or deleted."""
USABLE_EVENTS: Final = frozenset({"APPROVED", "REINSTATED", "FLAGGED", "UNPAUSED"})
"""After these a template can be used; FLAGGED only warns."""
FALLBACK_LANGUAGE: Final = "id"
"""A person is better told in the country's language than not at all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TemplateState:
    """One language of one template at Meta."""

    state: str
    category: str | None = None
    reason: str | None = None


class TemplateBook:
    """What is known in this process; the vendor's own list is the truth and heals it.

    A template of which nothing is known yet is tried: Meta's answer says what it is.
    """

    def __init__(self, purposes: Mapping[str, Sequence[str]]) -> None:
        """`purposes` is ``[templates]``: ordered names for each purpose."""
        self.purposes = {purpose: tuple(names) for purpose, names in purposes.items()}
        self._states: dict[tuple[str, str], TemplateState] = {}
        self._listed = False
        self._lock = threading.Lock()

    def candidates(self, purpose: str, language: str) -> list[tuple[str, str]]:
        """Names and languages to try, best first: the list's order, then the fallback language."""
        names = self.purposes.get(purpose, ())
        languages = dict.fromkeys((language, FALLBACK_LANGUAGE))
        with self._lock:
            return [
                (name, lang) for lang in languages for name in names if self._usable(name, lang)
            ]

    def _usable(self, name: str, language: str) -> bool:
        known = self._states.get((name, language))
        return not self._listed if known is None else known.state == APPROVED

    def state(self, name: str, language: str) -> TemplateState | None:
        """What is known; None when Meta has not been asked."""
        with self._lock:
            known = self._states.get((name, language))
            return TemplateState(state=MISSING) if known is None and self._listed else known

    def listed(self, states: Mapping[tuple[str, str], TemplateState]) -> None:
        """Meta's whole list: replaces everything."""
        with self._lock:
            self._states = dict(states)
            self._listed = True

    def heard(self, news: TemplateNews) -> bool:
        """A webhook's news; True when a template of ours cannot be used, or costs more, since."""
        key = (news.name, news.language)
        with self._lock:
            before = self._states.get(key, TemplateState(state=APPROVED))
            if news.event.startswith("CATEGORY:"):
                after = replace(before, category=news.event.removeprefix("CATEGORY:"))
            else:
                state = APPROVED if news.event in USABLE_EVENTS else news.event
                after = replace(before, state=state, reason=news.reason)
            self._states[key] = after
        worse = after.state not in (APPROVED, "PENDING") or after.category == "MARKETING"
        return worse and any(news.name in names for names in self.purposes.values())

    def refused(self, name: str, language: str, code: int) -> None:
        """Meta has refused it as such: not tried again before Meta's list or news say otherwise."""
        with self._lock:
            before = self._states.get((name, language), TemplateState(state=APPROVED))
            self._states[name, language] = replace(before, state="REFUSED", reason=str(code))
