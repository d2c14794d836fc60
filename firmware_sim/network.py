"""A stretch of network that can be slow, stop, or break: a TCP proxy on this machine."""

import selectors
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

from firmware_sim.ports import LOOPBACK

CHUNK_BYTES = 65_536
TURN_S = 0.02


@dataclass(slots=True)
class _Pair:
    """One connection through the proxy: two sockets."""

    near: socket.socket
    far: socket.socket

    def close(self) -> None:
        for side in (self.near, self.far):
            with suppress(OSError):
                side.shutdown(socket.SHUT_RDWR)
            side.close()


@dataclass(slots=True)
class Link:
    """Forwards connections to `target_port`; each fault can be switched while it runs.

    `up=False` refuses new connections and cuts the old ones; `silent=True` keeps them and
    forwards nothing, as a dead mobile link does; `delay_ms` holds each piece back.
    """

    target_port: int
    delay_ms: int = 0
    silent: bool = False
    _up: bool = True
    _stop: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _pairs: list[_Pair] = field(default_factory=list)
    _threads: list[threading.Thread] = field(default_factory=list)
    _door: socket.socket = field(default_factory=lambda: socket.create_server((LOOPBACK, 0)))

    @property
    def port(self) -> int:
        """Where to connect."""
        port: int = self._door.getsockname()[1]
        return port

    def start(self) -> None:
        """Begin to forward."""
        self._door.settimeout(TURN_S)
        self._spawn(self._accept)

    def stop(self) -> None:
        """Cut everything and close the door."""
        self._stop.set()
        self.cut()
        for thread in self._threads:
            thread.join()
        self._door.close()

    @property
    def up(self) -> bool:
        """Are new connections let through?"""
        return self._up

    @up.setter
    def up(self, value: bool) -> None:
        self._up = value
        if not value:
            self.cut()

    def cut(self) -> None:
        """Break every connection; new ones are possible while the link is up."""
        with self._lock:
            pairs, self._pairs = self._pairs, []
        for pair in pairs:
            pair.close()

    def _spawn(self, work: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=work, args=arguments, name="link", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while not self._stop.is_set():
            try:
                near, _ = self._door.accept()
            except TimeoutError:
                continue
            if not self._up:
                near.close()
                continue
            try:
                far = socket.create_connection((LOOPBACK, self.target_port), timeout=1)
            except OSError:
                near.close()
                continue
            pair = _Pair(near, far)
            with self._lock:
                self._pairs.append(pair)
            self._spawn(self._forward, pair)

    def _forward(self, pair: _Pair) -> None:
        with selectors.DefaultSelector() as ready, suppress(OSError, ValueError):
            ready.register(pair.near, selectors.EVENT_READ, pair.far)
            ready.register(pair.far, selectors.EVENT_READ, pair.near)
            while not self._stop.is_set():
                if self.silent:
                    self._stop.wait(TURN_S)
                    continue
                for key, _ in ready.select(TURN_S):
                    if not self._pass_on(key.fileobj, key.data):  # type: ignore[arg-type]
                        return pair.close()
        return pair.close()

    def _pass_on(self, source: socket.socket, sink: socket.socket) -> bool:
        data = source.recv(CHUNK_BYTES)
        if self.delay_ms:
            self._stop.wait(self.delay_ms / 1000)
        sink.sendall(data)
        return bool(data)
