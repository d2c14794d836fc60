"""Serving: one process, its request threads, and how systemd hears of it."""

import gc
import logging
import os
import select
import signal
import socket
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager
from functools import partial
from types import FrameType

import structlog
from flask import Flask
from waitress.server import create_server

from hub.connections import Connections
from hub.integrations.whatsapp.graph import Misaddressed, Unreached
from hub.integrations.whatsapp.template_shelf import ShelfUnreadable
from hub.jobs import Loop, Worker
from hub.wiring import Hub
from hub.work_process import INBOX, LEDGER, Lifeline, WorkProcess, signals
from shared.systemd_notify import Notifier

CHANNEL_TIMEOUT_S = 30
REQUEST_BYTES_MAX = 8 * 1024 * 1024
"""Above it the server itself refuses; below, the app can still sign its refusal."""
BACKLOG = 1024
log = structlog.get_logger()
TEMPLATES_WAIT_S = 600.0
INBOX_WAIT_S = 0.05
"""How often due leads are looked for."""
INBOX_GLANCE_S = 0.02
"""How often deliveries that another process has stored are: somebody has tapped and waits."""


def listen(address: str) -> socket.socket:
    """A listening socket on ``host:port``; port 0 takes any free one. Raises OSError."""
    host, _, port = address.rpartition(":")
    host = host.strip("[]") or "127.0.0.1"
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    opened = socket.socket(family, socket.SOCK_STREAM)
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    opened.bind((host, int(port)))
    opened.listen(BACKLOG)
    return opened


told_to_stop = threading.Event()
"""Beside the exception, which is lost where it comes while something is thrown away."""


def _stop(_signal: int, _frame: FrameType | None) -> None:
    signal.signal(signal.SIGTERM, _told_already)
    told_to_stop.set()
    raise SystemExit(0)


def _told_already(_signal: int, _frame: FrameType | None) -> None:
    """A signal to a group that one of them passes on: once is enough, what is in hand is finished.

    Python would call SIG_IGN a race, on stderr, when both come at the same moment.
    """


class Errands:
    """The threads that act on what came in and send what goes out."""

    def __init__(self, hub: Hub) -> None:
        """They run from now on."""
        self._sender = hub.leads.sender
        inbox = hub.leads.inbox
        self._inbox = Loop(
            "inbox",
            hub.leads.step,
            idle_wait_s=INBOX_WAIT_S,
            glance=hub.leads.news,
            glance_wait_s=INBOX_GLANCE_S,
        )
        self._templates = Loop("templates", partial(_refresh, hub), idle_wait_s=TEMPLATES_WAIT_S)
        inbox.listeners.append(self._inbox.wake)
        self._inbox.start()
        self._sender.start()
        self._templates.start()
        self._crm = hub.leads.crm
        if self._crm is not None:
            self._crm.start()

    def stop(self) -> None:
        """Finish what is in hand."""
        self._inbox.stop()
        self._sender.stop()
        self._templates.stop()
        if self._crm is not None:
            self._crm.stop()


def _refresh(hub: Hub) -> int:
    """Ask Meta what may be sent at present; what it does not answer now it will answer later."""
    if hub.whatsapp.settings.access_token:
        try:
            hub.whatsapp.refresh()
        except (ShelfUnreadable, Unreached, Misaddressed) as error:
            log.warning("whatsapp_account_not_read", error=str(error)[:200])
    return 0


def serve(
    app: Flask,
    hub: Hub,
    worker: Worker | None,
    beside: WorkProcess | None = None,
    *,
    sequences: bool = True,
) -> None:
    """Serve until SIGTERM or SIGINT. Prints ``listening on http://…`` once ready.

    Without a worker one that only orders the hub's own facts (on SQLite, where nobody else may) and
    asks the database how it is keeps the watchdog fed; with one `beside` us as long as both get
    somewhere. Raises WorkerEnded.
    """
    # A line for every request that waits would be most of the journal.
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)
    opened = listen(hub.config.server.listen)
    host, port = opened.getsockname()[:2]
    server = create_server(
        app,
        sockets=[opened],
        threads=hub.config.server.threads,
        channel_timeout=CHANNEL_TIMEOUT_S,
        connection_limit=1000,
        max_request_body_size=REQUEST_BYTES_MAX,
        ident="kickstand",
        # Boxes keep their connections; the pages are gzipped by the app itself.
        asyncore_use_poll=True,
    )
    Connections().watch(server, until=told_to_stop.is_set)
    signal.signal(signal.SIGTERM, _stop)
    signal.signal(signal.SIGINT, _stop)
    notifier = Notifier.from_environment()
    pulse = worker or Worker(
        hub.database, hub.ledger, sequences=sequences and hub.database.is_sqlite, follows=False
    )
    pulse.on_progress = partial(_pulse, notifier, beside)
    pulse.start()
    errands = None if worker is None else Errands(hub)
    try:
        if beside is not None:
            hub.leads.inbox.listeners.append(partial(beside.tell, INBOX))
            hub.ledger.sequencer.listeners.append(partial(beside.tell, LEDGER))
            beside.go()
        _keep_what_is_there()
        sys.stdout.write(f"listening on http://{host}:{port}\n")
        sys.stdout.flush()
        notifier.ready()
        server.run()
    finally:
        notifier.stopping()
        if beside is not None:
            beside.tell_to_stop()
        server.close()
        if errands is not None:
            errands.stop()
        pulse.stop()
        hub.close()
        if beside is not None:
            beside.stop()


def _keep_what_is_there() -> None:
    """What a program loads it keeps: to look through it for garbage held everybody up for 80 ms."""
    gc.collect()
    gc.freeze()


def _pulse(notifier: Notifier, beside: WorkProcess | None) -> None:
    if beside is None or beside.well():
        notifier.watchdog()


def run_worker(hub: Hub, worker: Worker) -> None:
    """Work until SIGTERM or SIGINT."""
    notifier = Notifier.from_environment()
    worker.on_progress = notifier.watchdog
    with _working(hub, worker):
        sys.stdout.write("working\n")
        sys.stdout.flush()
        notifier.ready()
        told = signals()
        try:
            while not told_to_stop.is_set():
                select.select([told], [], [])
                os.read(told, 4096)
        finally:
            notifier.stopping()


def run_beside(hub: Hub, worker: Worker, lifeline: Lifeline) -> None:
    """Work beside the `serve` that began this process, as long as it is there."""
    with _working(hub, worker):
        lifeline.beat()
        worker.on_progress = lifeline.beat
        news = {INBOX: hub.leads.inbox.woken, LEDGER: worker.wake}
        lifeline.follow(news, until=told_to_stop.is_set)


@contextmanager
def _working(hub: Hub, worker: Worker) -> Generator[None]:
    """All that works, until SIGTERM or SIGINT; then what is in hand is finished."""
    signal.signal(signal.SIGTERM, _stop)
    signal.signal(signal.SIGINT, _stop)
    worker.start()
    errands = Errands(hub)
    _keep_what_is_there()
    try:
        yield
    finally:
        errands.stop()
        worker.stop()
        hub.close()
