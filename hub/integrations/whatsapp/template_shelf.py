"""Our templates at Meta: what is there, what is missing, and putting there what our files say."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from hub.integrations.whatsapp.graph import Answer, Graph, Misaddressed, Unreached
from hub.integrations.whatsapp.reading import (
    NAME_CHARS_MAX,
    Object,
    identifier,
    mapping,
    objects,
    text,
    whole,
)
from hub.integrations.whatsapp.template_book import MISSING, TemplateBook, TemplateState
from hub.integrations.whatsapp.template_files import (
    LANGUAGES,
    TemplateFile,
    bounded_s,
    template_files,
)

FIELDS: Final = (
    "id,name,language,status,category,rejected_reason,components,message_send_ttl_seconds"
)
PAGE_ROWS: Final = 100
PAGES_MAX: Final = 100

Done: TypeAlias = Literal["created", "changed", "unchanged", "refused", "no_file"]


class ShelfUnreadable(Exception):
    """Meta's list could not be read; says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AtMeta:
    """One language of a template, as Meta lists it."""

    id: str | None
    state: TemplateState
    body: str | None
    buttons: tuple[str, ...]
    lifetime_s: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """A template of ``[templates]`` in one language."""

    purpose: str
    name: str
    language: str
    state: str
    category: str | None = None
    reason: str | None = None
    pushed: bool = True
    """Whether Meta holds what our file says; True where we have no file of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pushed:
    """What a push has done with one template."""

    name: str
    language: str
    done: Done
    reason: str | None = None


class TemplateShelf:
    """Reads and writes the account's templates. Asks Meta each time: for commands and jobs."""

    def __init__(
        self, graph: Graph, waba_id: str, book: TemplateBook, lifetimes_s: Mapping[str, int]
    ) -> None:
        """`lifetimes_s` by purpose, e.g. the claim time for ``offer``."""
        self._graph = graph
        self._path = f"{waba_id}/message_templates" if waba_id else None
        self._book = book
        self._lifetimes_s = lifetimes_s

    def refresh(self) -> None:
        """Tell the book what Meta lists now. Raises ShelfUnreadable."""
        self._book.listed({key: there.state for key, there in self._listed().items()})

    def standing(self) -> list[Standing]:
        """Every template of the settings in both languages. Raises ShelfUnreadable."""
        listed = self._listed()
        return [
            self._stands(purpose, name, language, listed.get((name, language)))
            for purpose, name, language in self._wanted()
        ]

    def push(self) -> list[Pushed]:
        """Submit what is missing, edit what differs, leave the rest. Raises ShelfUnreadable.

        Idempotent. A refusal stops nothing else.
        """
        listed = self._listed()
        return [
            self._push(purpose, name, language, listed.get((name, language)))
            for purpose, name, language in self._wanted()
        ]

    def _wanted(self) -> list[tuple[str, str, str]]:
        return [
            (purpose, name, language)
            for purpose, names in self._book.purposes.items()
            for name in names
            for language in LANGUAGES
        ]

    def _lifetime_s(self, purpose: str) -> int | None:
        lifetime_s = self._lifetimes_s.get(purpose)
        return None if lifetime_s is None else bounded_s(lifetime_s)

    def _stands(self, purpose: str, name: str, language: str, there: AtMeta | None) -> Standing:
        file = template_files().get((name, language))
        if there is None:
            return Standing(
                purpose=purpose, name=name, language=language, state=MISSING, pushed=file is None
            )
        return Standing(
            purpose=purpose,
            name=name,
            language=language,
            state=there.state.state,
            category=there.state.category,
            reason=there.state.reason,
            pushed=file is None or _same(file, self._lifetime_s(purpose), there),
        )

    def _push(self, purpose: str, name: str, language: str, there: AtMeta | None) -> Pushed:
        file = template_files().get((name, language))
        lifetime_s = self._lifetime_s(purpose)
        if file is None:
            return Pushed(name=name, language=language, done="no_file")
        submission = file.submission(lifetime_s)
        if there is None:
            assert self._path is not None
            done, reason = self._posted(self._path, submission, "created")
        elif _same(file, lifetime_s, there):
            done, reason = "unchanged", None
        elif there.id is None:
            done, reason = "refused", "Meta lists it without an id"
        else:
            for fixed in ("name", "language", "category"):
                del submission[fixed]
            done, reason = self._posted(there.id, submission, "changed")
        return Pushed(name=name, language=language, done=done, reason=reason)

    def _posted(self, path: str, body: Object, done: Done) -> tuple[Done, str | None]:
        try:
            why = why_refused(self._graph.post(path, body))
        except (Unreached, Misaddressed) as error:
            return "refused", f"no answer: {error}"
        return (done, None) if why is None else ("refused", why)

    def _listed(self) -> dict[tuple[str, str], AtMeta]:
        found: dict[tuple[str, str], AtMeta] = {}
        after: str | None = None
        for _ in range(PAGES_MAX):
            parameters = {"fields": FIELDS, "limit": str(PAGE_ROWS)}
            page = self._page(parameters if after is None else parameters | {"after": after})
            for _, row in objects(page.get("data")):
                name, language = identifier(row, "name"), identifier(row, "language")
                if name is not None and language is not None:
                    found[name, language] = _at_meta(row)
            paging = mapping(page.get("paging"))
            cursor = text(mapping(paging.get("cursors")), "after")
            if text(paging, "next") is None or cursor in (None, after):
                return found
            after = cursor
        raise ShelfUnreadable(f"more than {PAGES_MAX * PAGE_ROWS} templates")

    def _page(self, parameters: Mapping[str, str]) -> Object:
        if self._path is None:
            raise ShelfUnreadable("[whatsapp] waba_id is not set")
        try:
            answer = self._graph.get(self._path, parameters)
        except (Unreached, Misaddressed) as error:
            raise ShelfUnreadable(f"Meta did not answer: {error}") from error
        why = why_refused(answer)
        if why is not None:
            raise ShelfUnreadable(why)
        return answer.document


def why_refused(answer: Answer) -> str | None:
    """What Meta says against a request; None when it was done."""
    refusal = answer.refusal
    if refusal is not None:
        return f"{refusal.code} {refusal.reason}"
    return None if 200 <= answer.status < 300 else f"HTTP {answer.status}"


def _at_meta(row: Object) -> AtMeta:
    body, buttons = None, []
    for _, component in objects(row.get("components")):
        if component.get("type") == "BODY":
            body = text(component, "text")
        for _, button in objects(component.get("buttons")):
            buttons.append(text(button, "text", NAME_CHARS_MAX) or "")
    reason = text(row, "rejected_reason", NAME_CHARS_MAX)
    return AtMeta(
        id=identifier(row, "id"),
        state=TemplateState(
            state=text(row, "status", NAME_CHARS_MAX) or MISSING,
            category=text(row, "category", NAME_CHARS_MAX),
            reason=None if reason == "NONE" else reason,
        ),
        body=body,
        buttons=tuple(buttons),
        lifetime_s=whole(row, "message_send_ttl_seconds"),
    )


def _same(file: TemplateFile, lifetime_s: int | None, there: AtMeta) -> bool:
    """Whether Meta holds the file's words and, where one is asked for, its lifetime."""
    words = (there.body, there.buttons) == (file.body, file.buttons)
    return words and (lifetime_s is None or lifetime_s == there.lifetime_s)
