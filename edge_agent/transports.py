"""One HTTP exchange with the hub: no redirects, no retries, nothing believed yet."""

import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from edge_agent.errors import AnswerUnproven, HubUnreachable
from edge_agent.timekeeping import Timekeeper

MAX_ANSWER_BYTES = 4 * 1024 * 1024
NO_CHECK_TIME = 0x200000
"""OpenSSL's X509_V_FLAGNO_CHECK_TIME, which Python does not name."""


@dataclass(frozen=True, slots=True)
class RawAnswer:
    """An HTTP answer as it came. Header names are lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Transport(Protocol):
    """One HTTP exchange: no redirects, no retries."""

    def send(self, method: str, url: str, headers: Mapping[str, str], body: bytes) -> RawAnswer:
        """Raises HubUnreachable."""
        ...


class PoolTransport:
    """urllib3 with one connection kept alive: a lane's own line to the hub."""

    def __init__(self, timeout_ms: int, timekeeper: Timekeeper) -> None:
        """Nothing is connected before the first send()."""
        self._timeout_s = timeout_ms / 1000
        self._timekeeper = timekeeper
        self._pool: Any = None

    def send(self, method: str, url: str, headers: Mapping[str, str], body: bytes) -> RawAnswer:
        """One exchange. Raises HubUnreachable."""
        import urllib3  # noqa: PLC0415 - a tenth of a second that `status` need not pay

        if self._pool is None:
            # A context holds every authority's certificate: megabytes that plain HTTP can spare.
            context = tls_context(self._timekeeper) if url.startswith("https:") else None
            self._pool = urllib3.PoolManager(num_pools=1, maxsize=1, ssl_context=context)
        try:
            answer = self._pool.request(
                method,
                url,
                headers=dict(headers),
                body=body or None,
                redirect=False,
                retries=False,
                timeout=urllib3.Timeout(total=self._timeout_s),
                preload_content=False,
                decode_content=False,
            )
            try:
                content = answer.read(MAX_ANSWER_BYTES + 1)
                return _bounded(answer.status, dict(answer.headers.items()), content)
            finally:
                answer.drain_conn()
                answer.release_conn()
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise HubUnreachable(f"the hub did not answer: {error}") from error


class SessionTransport:
    """requests, for the one exchange of enrolment."""

    def __init__(self, timeout_ms: int) -> None:
        """No connection is made before the first send()."""
        self._timeout_s = timeout_ms / 1000

    def send(self, method: str, url: str, headers: Mapping[str, str], body: bytes) -> RawAnswer:
        """One exchange. Raises HubUnreachable."""
        import requests  # noqa: PLC0415 - only enrolment needs it

        try:
            answer = requests.request(
                method,
                url,
                headers=dict(headers),
                data=body or None,
                allow_redirects=False,
                timeout=self._timeout_s,
            )
        except requests.RequestException as error:
            raise HubUnreachable(f"the hub did not answer: {error}") from error
        return _bounded(answer.status_code, dict(answer.headers.items()), answer.content)


def _bounded(status: int, headers: Mapping[str, str], content: bytes) -> RawAnswer:
    if len(content) > MAX_ANSWER_BYTES:
        raise AnswerUnproven(f"answer of more than {MAX_ANSWER_BYTES} bytes")
    return RawAnswer(status, {name.lower(): value for name, value in headers.items()}, content)


def tls_context(timekeeper: Timekeeper) -> ssl.SSLContext:
    """Chain and host name are always verified; dates only when the box can know the date.

    What the hub says is proven by its signature over our nonce, so a box that woke up in 1970
    can get through and learn the time.
    """
    context = ssl.create_default_context()
    if not timekeeper.certificates_datable():
        context.verify_flags |= ssl.VerifyFlags(NO_CHECK_TIME)
    return context
