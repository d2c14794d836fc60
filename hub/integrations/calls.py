"""Vendors asked over HTTPS: one exchange a call, nothing followed, nothing repeated."""

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import orjson
import requests
from requests.auth import AuthBase
from requests.exceptions import InvalidHeader, InvalidSchema, InvalidURL, MissingSchema
from urllib3.exceptions import NewConnectionError

ANSWER_BYTES_MAX: Final = 4 * 1024 * 1024


class Unreached(Exception):
    """No answer came."""

    def __init__(self, reason: str, *, sent: bool) -> None:
        """`sent`: whether the request may have taken effect."""
        super().__init__(reason)
        self.sent = sent


class Misaddressed(Exception):
    """The settings name no address that can be asked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What came back."""

    status: int
    content: bytes
    """Empty when it was longer than anything a vendor of ours says."""
    date: str = ""
    """The vendor's clock, as its header says."""


class Caller:
    """Asks. For any thread: each keeps a connection of its own alive."""

    def __init__(self, *, connect_timeout_ms: int = 5_000, answer_timeout_ms: int = 20_000) -> None:
        """Nothing is connected before the first call."""
        self._times_s = (connect_timeout_ms / 1000, answer_timeout_ms / 1000)
        self._local = threading.local()

    def _session(self, url: str) -> requests.Session:
        """This thread's connection to the host of `url`. Raises Misaddressed and Unreached.

        What the environment says of proxies and authorities is read once: asked for with every
        call, as it would be, it costs what the call costs.
        """
        sessions: dict[str, requests.Session] = self._local.__dict__.setdefault("sessions", {})
        try:
            origin = "{0.scheme}://{0.netloc}".format(urlsplit(url))
            session = sessions.get(origin)
            if session is None:
                session = requests.Session()
                found = session.merge_environment_settings(url, {}, None, None, None)
                session.proxies, session.verify = found["proxies"], found["verify"]
                if isinstance(session.verify, str) and not Path(session.verify).exists():
                    # Said here, where nothing has been sent yet for sure.
                    raise Unreached("the file of authorities is not there", sent=False)
                session.trust_env = False
                sessions[origin] = session
        except ValueError as error:
            raise Misaddressed(type(error).__name__) from error
        return session

    def call(
        self,
        method: str,
        url: str,
        *,
        parameters: Mapping[str, str] | None = None,
        body: Mapping[str, object] | None = None,
        headers: Mapping[str, str] | None = None,
        auth: AuthBase | None = None,
    ) -> Reply:
        """Raises Unreached and Misaddressed, never with the address in its words."""
        sent_headers = dict(headers or {})
        if body is not None:
            sent_headers["Content-Type"] = "application/json"
        session = self._session(url)
        try:
            with session.request(
                method,
                url,
                params=parameters,
                data=None if body is None else orjson.dumps(body),
                headers=sent_headers,
                auth=auth,
                allow_redirects=False,
                timeout=self._times_s,
                stream=True,
            ) as answer:
                return Reply(
                    status=answer.status_code,
                    content=_content(answer),
                    date=answer.headers.get("Date", ""),
                )
        except (InvalidURL, InvalidSchema, MissingSchema, InvalidHeader) as error:
            raise Misaddressed(type(error).__name__) from error
        except requests.RequestException as error:
            # Its words may hold the whole address: the kind of the error is enough.
            raise Unreached(type(error).__name__, sent=_may_have_been_sent(error)) from error


def _content(answer: requests.Response) -> bytes:
    content = bytearray()
    try:
        for chunk in answer.iter_content(64 * 1024):
            content += chunk
            if len(content) > ANSWER_BYTES_MAX:
                return b""
    except requests.RequestException as error:
        raise Unreached(type(error).__name__, sent=True) from error
    return bytes(content)


def _may_have_been_sent(error: requests.RequestException) -> bool:
    """Only what failed before there was a connection certainly did nothing."""
    if isinstance(error, requests.ConnectTimeout | requests.exceptions.SSLError):
        return False
    inner = error.args[0] if error.args else None
    return not isinstance(getattr(inner, "reason", inner), NewConnectionError)
