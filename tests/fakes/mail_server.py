"""A real mail server on a socket: keeps what it is given, refuses what it is told to."""

import asyncio
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

TAKEN = "250 taken"


@dataclass
class Post:
    """What has come, and what to answer."""

    port: int = 0
    mails: list[EmailMessage] = field(default_factory=list)
    signed_in: list[LoginPassword] = field(default_factory=list)
    encrypted: list[bool] = field(default_factory=list)
    """Of each mail: did it come over TLS?"""
    refuse: dict[str, str] = field(default_factory=dict)
    """Answers by command, e.g. ``RCPT`` to ``550 nobody``; ``.`` is the end of a mail."""
    silent_after_mail: bool = False
    """The mail is kept and the connection lost."""

    def authenticate(
        self, _server: SMTP, _session: Session, _envelope: Envelope, _mechanism: str, who: object
    ) -> AuthResult:
        """Take whoever is not refused."""
        if "AUTH" in self.refuse:
            return AuthResult(success=False, handled=False, message=self.refuse["AUTH"])
        assert isinstance(who, LoginPassword)
        self.signed_in.append(who)
        return AuthResult(success=True)

    async def handle_MAIL(  # noqa: N802 - because aiosmtpd calls it so
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: object
    ) -> str:
        """From whom."""
        envelope.mail_from = address
        return self.refuse.get("MAIL", TAKEN)

    async def handle_RCPT(  # noqa: N802 - because aiosmtpd calls it so
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: object
    ) -> str:
        """To whom."""
        if "RCPT" not in self.refuse:
            envelope.rcpt_tos.append(address)
        return self.refuse.get("RCPT", TAKEN)

    async def handle_DATA(  # noqa: N802 - because aiosmtpd calls it so
        self, server: SMTP, session: Session, envelope: Envelope
    ) -> str:
        """A whole mail."""
        if "." in self.refuse:
            return self.refuse["."]
        assert isinstance(envelope.content, bytes)
        mail = message_from_bytes(envelope.content, policy=default)
        assert isinstance(mail, EmailMessage)
        self.mails.append(mail)
        self.encrypted.append(session.ssl is not None)
        if self.silent_after_mail:
            assert isinstance(server.transport, asyncio.Transport)
            server.transport.abort()
        return TAKEN


class _Anywhere(Controller):
    def _trigger_server(self) -> None:
        # It greets its own port, which the system has chosen.
        assert isinstance(self.server, asyncio.Server)
        self.port = self.server.sockets[0].getsockname()[1]
        super()._trigger_server()


@contextmanager
def mail_server(tls: ssl.SSLContext | None = None) -> Iterator[Post]:
    """Runs on a free port of this machine; with `tls` it offers STARTTLS and insists on it."""
    post = Post()
    controller = _Anywhere(
        post,
        hostname="127.0.0.1",
        port=0,
        tls_context=tls,
        require_starttls=tls is not None,
        authenticator=post.authenticate,
        auth_require_tls=tls is not None,
    )
    controller.start()
    try:
        post.port = controller.port
        yield post
    finally:
        controller.stop()
