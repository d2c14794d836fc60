"""A mail server on a socket: keeps what it is given, refuses what it is told to."""

import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default


@dataclass
class Post:
    """What has come, and what to answer."""

    port: int = 0
    mails: list[EmailMessage] = field(default_factory=list)
    signed_in: list[str] = field(default_factory=list)
    refuse: dict[str, str] = field(default_factory=dict)
    """Answers by command, e.g. ``RCPT`` to ``550 nobody``; ``.`` is the end of a mail."""
    silent_after_mail: bool = False
    """The mail is kept and the connection lost."""


class _Session(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        post: Post = self.server.post  # type: ignore[attr-defined]
        self.say("220 ready")
        while line := self.rfile.readline():
            words = line.decode().strip()
            command = words[:4].upper()
            if command == "DATA" and "DATA" not in post.refuse:
                if not self.data(post):
                    return
            else:
                self.say(post.refuse.get(command) or self.answer(post, command, words))
            if command == "QUIT":
                return

    def answer(self, post: Post, command: str, words: str) -> str:
        if command == "AUTH":
            post.signed_in.append(words)
            return "235 welcome"
        return "250-here\r\n250 AUTH PLAIN" if command == "EHLO" else "250 ok"

    def data(self, post: Post) -> bool:
        self.say("354 go on")
        lines = []
        while (line := self.rfile.readline()) not in {b".\r\n", b""}:
            lines.append(line.removeprefix(b".") if line.startswith(b"..") else line)
        refusal = post.refuse.get(".")
        if refusal is None:
            mail = message_from_bytes(b"".join(lines), policy=default)
            assert isinstance(mail, EmailMessage)
            post.mails.append(mail)
        if post.silent_after_mail:
            return False
        self.say(refusal or "250 taken")
        return True

    def say(self, words: str) -> None:
        self.wfile.write(words.encode() + b"\r\n")


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True


@contextmanager
def mail_server() -> Iterator[Post]:
    """Runs on a free port of this machine."""
    with _Server(("127.0.0.1", 0), _Session) as server:
        post = Post(port=server.server_address[1])
        server.post = post  # type: ignore[attr-defined]
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield post
        finally:
            server.shutdown()
            thread.join()
