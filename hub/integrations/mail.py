"""E-mail: an outbox channel to one mail server, which is asked over SMTP."""

import smtplib
import ssl
import threading
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import formatdate
from typing import Final

from hub.config import SmtpConfig
from hub.errors import ConfigError
from hub.outbox.messages import Accepted, Action, Address, Failed, Rendered
from shared.clock import Clock

TIMEOUT_S: Final = 20
TLS_PORT: Final = 465
NAME: Final = "mail"


@dataclass(frozen=True, slots=True, kw_only=True)
class MailSettings:
    """``[smtp]`` with its password."""

    host: str
    port: int
    sender: str
    username: str | None = None
    password: str = field(default="", repr=False)


def settings_from(smtp: SmtpConfig) -> MailSettings | None:
    """None: no e-mail is sent. Raises ConfigError for a password that cannot be read."""
    if smtp.host is None or smtp.from_ is None:
        return None
    password = ""
    if smtp.password_file is not None:
        try:
            password = smtp.password_file.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeError) as error:
            why = getattr(error, "strerror", None) or type(error).__name__
            raise ConfigError(f"[smtp] password_file: {smtp.password_file}: {why}") from error
    return MailSettings(
        host=smtp.host,
        port=smtp.port,
        sender=smtp.from_,
        username=smtp.username,
        password=password,
    )


class Unencrypted(smtplib.SMTPException):
    """The server offers no encryption, and a password is not shown to the whole way."""


class MailChannel:
    """Implements `hub.outbox.messages.Channel`. For any thread; one mail at a time.

    A mail that was handed over without an answer is told as unknown; sent again it has the same
    Message-ID, by which a mailbox knows it.
    """

    name = NAME

    def __init__(self, settings: MailSettings, clock: Clock) -> None:
        """Nothing is connected before the first mail, nor kept after it."""
        self._settings, self._clock = settings, clock
        self._lock = threading.Lock()

    def send(
        self, address: Address, rendered: Rendered, *, window_open: bool, out_id: str
    ) -> Accepted | Failed:
        """Send one mail."""
        del window_open  # a mailbox is never shut
        if address.email is None:
            return Failed("unreachable", None, "no e-mail address is known")
        try:
            message = self._message(address.email, rendered, out_id)
        except ValueError:
            return Failed("unreachable", None, "that is no e-mail address")
        with self._lock:
            return self._sent(message, out_id)

    def _message(self, to: str, rendered: Rendered, out_id: str) -> EmailMessage:
        """Raises ValueError for an address that cannot stand in a header."""
        message = EmailMessage(policy=SMTP)
        message["From"] = self._settings.sender
        message["To"] = to
        message["Subject"] = rendered.subject or rendered.text.split("\n", 1)[0]
        message["Date"] = formatdate(self._clock.wall_ms() / 1000)
        message["Message-ID"] = f"<{out_id}@{self._settings.sender.rpartition('@')[2]}>"
        message["Auto-Submitted"] = "auto-generated"
        message.set_content(rendered.text)
        return message

    def _sent(self, message: EmailMessage, out_id: str) -> Accepted | Failed:
        handed_over = False
        try:
            server = self._connected()
            handed_over = True
            try:
                server.send_message(message)
            finally:
                server.close()
        except smtplib.SMTPRecipientsRefused as error:
            code = max((code for code, _ in error.recipients.values()), default=550)
            return Failed(_meaning(code, "unreachable"), None, f"the mailbox is refused: {code}")
        except smtplib.SMTPAuthenticationError as error:
            return Failed("stop", None, f"the mail server refuses our password: {error.smtp_code}")
        except smtplib.SMTPResponseException as error:
            action = _meaning(error.smtp_code, "permanent")
            return Failed(action, None, f"the mail server refuses it: {error.smtp_code}")
        except Unencrypted as error:
            return Failed("stop", None, str(error))
        except (smtplib.SMTPException, OSError) as error:
            # Its words may hold an address: the kind of the error is enough.
            action = "unknown" if handed_over else "retry"
            return Failed(action, None, f"the mail server does not answer: {type(error).__name__}")
        return Accepted(out_id)

    def _connected(self) -> smtplib.SMTP:
        held = self._settings
        tls = ssl.create_default_context()
        server: smtplib.SMTP
        if held.port == TLS_PORT:
            server = smtplib.SMTP_SSL(held.host, held.port, timeout=TIMEOUT_S, context=tls)
        else:
            server = smtplib.SMTP(held.host, held.port, timeout=TIMEOUT_S)
        try:
            server.ehlo()
            encrypted = held.port == TLS_PORT
            if not encrypted and server.has_extn("starttls"):
                server.starttls(context=tls)
                server.ehlo()
                encrypted = True
            if held.username is not None:
                _sign_in(server, held, encrypted=encrypted)
        except BaseException:
            server.close()
            raise
        return server


def _sign_in(server: smtplib.SMTP, held: MailSettings, *, encrypted: bool) -> None:
    if not encrypted and held.host not in {"127.0.0.1", "localhost", "::1"}:
        raise Unencrypted("the mail server offers no encryption for our password")
    assert held.username is not None
    server.login(held.username, held.password)


def _meaning(code: int, lasting: Action) -> Action:
    """4xx passes, 5xx does not."""
    return "retry" if code < 500 else lasting
