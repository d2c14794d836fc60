"""Meta's Graph API over HTTPS: one exchange a call, nothing followed, nothing repeated."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import requests

from hub.integrations.calls import Caller, Misaddressed, Unreached
from hub.integrations.whatsapp.reading import NAME_CHARS_MAX, Object, decode, mapping, text, whole

__all__ = ["Answer", "Graph", "GraphSettings", "Misaddressed", "Refusal", "Unreached"]

DETAIL_CHARS_MAX: Final = 300
GONE_SUBCODE: Final = 33


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphSettings:
    """Where and as whom the Graph API is asked."""

    access_token: str = field(repr=False)
    api_url: str = "https://graph.facebook.com"
    api_version: str = "v25.0"
    connect_timeout_ms: int = 5_000
    answer_timeout_ms: int = 20_000


@dataclass(frozen=True, slots=True)
class Refusal:
    """An error object of Meta's."""

    code: int
    reason: str
    transient: bool
    gone: bool
    """The object asked for does not exist, or is not ours to see."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: a status, and an object, empty when the body held none."""

    status: int
    document: Object

    @property
    def refusal(self) -> Refusal | None:
        """Meta's error object, if there is one."""
        error = mapping(self.document.get("error"))
        code = whole(error, "code")
        if code is None:
            return None
        title = text(error, "message", NAME_CHARS_MAX) or "refused"
        details = text(mapping(error.get("error_data")), "details", DETAIL_CHARS_MAX)
        reason = title if details is None else f"{title}: {details}"
        return Refusal(
            code,
            reason,
            transient=error.get("is_transient") is True,
            gone=(code, error.get("error_subcode")) == (100, GONE_SUBCODE),
        )


class _Bearer(requests.auth.AuthBase):
    """The token in each request; given as auth, because a header would give way to a .netrc."""

    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._token}"
        return request


class Graph:
    """Asks the Graph API. For any thread."""

    def __init__(self, settings: GraphSettings) -> None:
        """Nothing is connected before the first call."""
        self._settings = settings
        self._base = f"{settings.api_url.rstrip('/')}/{settings.api_version}"
        self._auth = _Bearer(settings.access_token)
        self._caller = Caller(
            connect_timeout_ms=settings.connect_timeout_ms,
            answer_timeout_ms=settings.answer_timeout_ms,
        )

    def get(self, path: str, parameters: Mapping[str, str] | None = None) -> Answer:
        """Raises Unreached and Misaddressed."""
        return self._call("GET", path, parameters, None)

    def post(self, path: str, body: Object) -> Answer:
        """Raises Unreached and Misaddressed."""
        return self._call("POST", path, None, body)

    def _call(
        self, method: str, path: str, parameters: Mapping[str, str] | None, body: Object | None
    ) -> Answer:
        try:
            reply = self._caller.call(
                method,
                f"{self._base}/{path}",
                parameters=parameters,
                body=body,
                auth=self._auth,
            )
        except Misaddressed as error:
            raise Misaddressed(f"[whatsapp] api_url or token: {error}") from error
        return Answer(reply.status, mapping(decode(reply.content)))
