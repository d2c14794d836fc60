"""What Qontak calls the templates that we know by name: asked for, and kept for a while."""

import threading
from collections.abc import Mapping, Sequence
from typing import Final

from hub.integrations.qontak.api import Answer, QontakApi
from hub.integrations.whatsapp.reading import NAME_CHARS_MAX, identifier, text
from hub.integrations.whatsapp.template_book import APPROVED, FALLBACK_LANGUAGE
from shared.clock import Clock

KEPT_MS: Final = 600_000
ROWS: Final = 100
PAGES_MAX: Final = 20


class NotListed(Exception):
    """Qontak did not say which templates there are."""

    def __init__(self, answer: Answer) -> None:
        """With what it said instead."""
        super().__init__(answer.reason)
        self.answer = answer


class TemplateIds:
    """For any thread."""

    def __init__(self, api: QontakApi, clock: Clock, purposes: Mapping[str, Sequence[str]]) -> None:
        """`purposes` is ``[templates]``: ordered names for each purpose. Asks nothing yet."""
        self._api, self._clock = api, clock
        self._purposes = {purpose: tuple(names) for purpose, names in purposes.items()}
        self._lock = threading.Lock()
        self._ids: dict[tuple[str, str], str] = {}
        self._until_ms: int | None = None

    def candidates(self, purpose: str, language: str) -> list[tuple[str, str]]:
        """Ids and languages of the approved ones, best first.

        Raises NotListed and what `api.chat` raises.
        """
        with self._lock:
            if self._until_ms is None or self._clock.mono_ms() >= self._until_ms:
                self._ids = self._listed()
                self._until_ms = self._clock.mono_ms() + KEPT_MS
            names = self._purposes.get(purpose, ())
            return [
                (self._ids[name, lang], lang)
                for lang in dict.fromkeys((language, FALLBACK_LANGUAGE))
                for name in names
                if (name, lang) in self._ids
            ]

    def forget(self) -> None:
        """Something in the list is not true any more: it is asked for again."""
        with self._lock:
            self._until_ms = None

    def _listed(self) -> dict[tuple[str, str], str]:
        ids: dict[tuple[str, str], str] = {}
        for page in range(PAGES_MAX):
            answer = self._api.chat(
                "GET",
                "/templates/whatsapp",
                parameters={"limit": str(ROWS), "offset": str(page * ROWS + 1)},
            )
            if not answer.ok:
                raise NotListed(answer)
            rows = answer.rows
            known = len(ids)
            for row in rows:
                template = identifier(row, "id")
                name = text(row, "name", NAME_CHARS_MAX)
                status = text(row, "status", NAME_CHARS_MAX) or ""
                language = text(row, "language", NAME_CHARS_MAX)
                if template and name and language and status.upper() == APPROVED:
                    ids[name, language] = template
            if len(rows) < ROWS or len(ids) == known:
                break
        return ids
