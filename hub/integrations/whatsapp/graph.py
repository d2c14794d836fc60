"""Meta's Graph API over HTTPS: one exchange a call, nothing followed, nothing repeated."""

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import orjson
import requests
from requests.exceptions import InvalidHeader, InvalidSchema, InvalidURL, MissingSchema
from urllib3.exceptions import NewConnectionError

from hub.integrations.whatsapp.reading import NAME_CHARS_MAX, Object, decode, mapping, text, whole

ANSWER_BYTES_MAX: Final = 4 * 1024 * 1024
DETAIL_CHARS_MAX: Final = 300
GONE_SUBCODE: Final = 33


class Unreached(Exception):
    """No answer came."""

    def __init__(self, reason: str, *, sent: bool) -> None:
        """`sent`: whether the request may have taken effect."""
        super().__init__(reason)
        self.sent = sent


class Misaddressed(Exception):
    """The settings name no address that can be asked."""


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
    """Asks the Graph API. For any thread: each keeps a connection of its own alive."""

    def __init__(self, settings: GraphSettings) -> None:
        """Nothing is connected before the first call."""
        self._settings = settings
        self._base = f"{settings.api_url.rstrip('/')}/{settings.api_version}"
        self._auth = _Bearer(settings.access_token)
        self._local = threading.local()

    def get(self, path: str, parameters: Mapping[str, str] | None = None) -> Answer:
        """Raises Unreached and Misaddressed."""
        return self._call("GET", path, parameters, None)

    def post(self, path: str, body: Object) -> Answer:
        """Raises Unreached and Misaddressed."""
        return self._call("POST", path, None, body)

    def _session(self) -> requests.Session:
        session: requests.Session | None = getattr(self._local, "session", None)
        if session is None:
            session = self._local.session = requests.Session()
        return session

    def _call(
        self, method: str, path: str, parameters: Mapping[str, str] | None, body: Object | None
    ) -> Answer:
        headers = {} if body is None else {"Content-Type": "application/json"}
        times_s = (
            self._settings.connect_timeout_ms / 1000,
            self._settings.answer_timeout_ms / 1000,
        )
        try:
            with self._session().request(
                method,
                f"{self._base}/{path}",
                params=parameters,
                data=None if body is None else orjson.dumps(body),
                headers=headers,
                auth=self._auth,
                allow_redirects=False,
                timeout=times_s,
                stream=True,
            ) as answer:
                return Answer(answer.status_code, _document(answer))
        except (InvalidURL, InvalidSchema, MissingSchema, InvalidHeader) as error:
            raise Misaddressed(f"[whatsapp] api_url or token: {type(error).__name__}") from error
        except requests.RequestException as error:
            # Its words may hold the whole address: the kind of the error is enough.
            raise Unreached(type(error).__name__, sent=_may_have_been_sent(error)) from error


def _document(answer: requests.Response) -> Object:
    """The object in the body; a body that is too long or none is an empty one."""
    content = bytearray()
    try:
        for chunk in answer.iter_content(64 * 1024):
            content += chunk
            if len(content) > ANSWER_BYTES_MAX:
                return {}
    except requests.RequestException as error:
        raise Unreached(type(error).__name__, sent=True) from error
    return mapping(decode(bytes(content)))


def _may_have_been_sent(error: requests.RequestException) -> bool:
    """Only what failed before there was a connection certainly did nothing."""
    if isinstance(error, requests.ConnectTimeout | requests.exceptions.SSLError):
        return False
    inner = error.args[0] if error.args else None
    return not isinstance(getattr(inner, "reason", inner), NewConnectionError)
