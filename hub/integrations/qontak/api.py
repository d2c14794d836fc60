"""Mekari's API over HTTPS: one exchange a call, and one more when a token had ended."""

from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Final

from hub.integrations.calls import Caller, Misaddressed, Reply
from hub.integrations.qontak.credentials import (
    Credentials,
    HmacCredentials,
    OAuthCredentials,
    QontakSettings,
)
from hub.integrations.whatsapp.reading import (
    NAME_CHARS_MAX,
    Object,
    decode,
    mapping,
    objects,
    text,
)
from shared.clock import Clock

SKEW_S_MAX: Final = 300
"""Mekari believes no signature whose date is further from its own clock."""
UNAUTHORISED: Final = 401


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came back: a status, and an object, empty when the body held none."""

    status: int
    document: Object
    skew_s: int = 0
    """By how much our clock is ahead of theirs."""

    @property
    def ok(self) -> bool:
        """Whether Mekari has done it."""
        return 200 <= self.status < 300

    @property
    def reason(self) -> str:
        """Mekari's words about a refusal."""
        error = mapping(self.document.get("error"))
        listed = error.get("messages")
        messages = listed if isinstance(listed, list) else []
        told = [word for word in messages if isinstance(word, str)]
        words = "; ".join(told) or text(error, "message", NAME_CHARS_MAX)
        words = words or text(mapping(self.document.get("meta")), "error_message", NAME_CHARS_MAX)
        words = words or text(self.document, "message", NAME_CHARS_MAX) or f"HTTP {self.status}"
        if self.status == UNAUTHORISED and abs(self.skew_s) > SKEW_S_MAX:
            words += f" (this machine's clock is {self.skew_s} s ahead of Mekari's)"
        return words[:NAME_CHARS_MAX]

    @property
    def data(self) -> Object:
        """The one object that was asked for or made."""
        return mapping(self.document.get("data")) or mapping(self.document.get("response"))

    @property
    def rows(self) -> list[Object]:
        """The objects of a list."""
        listed = self.document.get("data") or self.document.get("response")
        return [row for _, row in objects(listed)]


class QontakApi:
    """Asks Mekari. For any thread."""

    def __init__(self, settings: QontakSettings, clock: Clock) -> None:
        """Nothing is connected before the first call."""
        self.settings = settings
        self._clock = clock
        self._caller = Caller(
            connect_timeout_ms=settings.connect_timeout_ms,
            answer_timeout_ms=settings.answer_timeout_ms,
        )
        self._credentials: Credentials = (
            HmacCredentials(settings, clock)
            if settings.auth == "hmac"
            else OAuthCredentials(settings, clock, self._caller)
        )

    def chat(
        self,
        method: str,
        path: str,
        *,
        parameters: Mapping[str, str] | None = None,
        body: Object | None = None,
        key: str | None = None,
    ) -> Answer:
        """Rooms, messages, broadcasts. `key`: the same again is to do nothing new.

        Raises Unreached, Misaddressed and Unauthorised.
        """
        headers = {} if key is None else {"X-Idempotency-Key": key}
        url = self.settings.chat_base + path
        return self._call(method, url, parameters=parameters, body=body, headers=headers)

    def crm(
        self,
        method: str,
        path: str,
        *,
        parameters: Mapping[str, str] | None = None,
        body: Object | None = None,
    ) -> Answer:
        """Contacts, deals, notes. Raises Unreached, Misaddressed and Unauthorised."""
        headers = {"X-Crm-User-Sso-Id": self.settings.crm_sso_id}
        url = self.settings.crm_base + path
        return self._call(method, url, parameters=parameters, body=body, headers=headers)

    def _call(
        self,
        method: str,
        url: str,
        *,
        parameters: Mapping[str, str] | None,
        body: Object | None,
        headers: Mapping[str, str],
    ) -> Answer:
        def once() -> Reply:
            return self._caller.call(
                method,
                url,
                parameters=parameters,
                body=body,
                headers=headers,
                auth=self._credentials.auth(),
            )

        try:
            reply = once()
            if reply.status == UNAUTHORISED and self._credentials.refused():
                # Whoever was not let in has done nothing: asking again doubles nothing.
                reply = once()
        except Misaddressed as error:
            raise Misaddressed(f"[qontak] api_url or secret: {error}") from error
        return self._answer(reply)

    def _answer(self, reply: Reply) -> Answer:
        skew_s = 0
        try:
            theirs_s = parsedate_to_datetime(reply.date).timestamp()
            skew_s = round(self._clock.wall_ms() / 1000 - theirs_s)
        except (TypeError, ValueError, OverflowError):
            skew_s = 0
        return Answer(status=reply.status, document=mapping(decode(reply.content)), skew_s=skew_s)
