"""Which connection has something to say: the server's loop, at a cost that does not grow with them.

waitress asks each of its connections before every wait whether it would read or write, and tells
the kernel of all of them anew. With 64 connections that was a sixth of what the process did, and
boxes keep theirs open. Here the kernel is told once (epoll), and only those are asked again that
something happened to: bytes came, or a request thread has finished with them. Once a second all
are asked, as waitress would, for what happens without a word.
"""

import select
import threading
import time
from collections import deque
from collections.abc import Callable, MutableMapping
from typing import Any, Final

from waitress import wasyncore
from waitress.channel import HTTPChannel

LOOK_AT_ALL_S: Final = 1.0
"""What waitress decides by time alone (idle connections, those that have gone) is seen as late."""
_READ: Final = select.EPOLLIN | select.EPOLLPRI
_Objects = MutableMapping[int, Any]


class _Channel(HTTPChannel):  # type: ignore[misc] # waitress has no types
    """A connection that its request thread speaks for."""

    def service(self) -> None:
        """Answer a request; until the thread's next one, who wakes the loop is this connection."""
        self.server.asyncore.serving.channel = self
        super().service()

    def handle_close(self) -> None:
        """Close; a request thread, which may find that nobody is there, leaves that to the loop."""
        if self.server.asyncore.is_loops_own_thread():
            super().handle_close()
        else:
            self.will_close = True  # the loop is woken at the end of `service`

    def add_channel(self, map: _Objects | None = None) -> None:  # noqa: A002 - its base's name
        """Be one of the connections."""
        super().add_channel(map)
        self.server.asyncore.changed.append(self)

    def del_channel(self, map: _Objects | None = None) -> None:  # noqa: A002 - its base's name
        """Be none any more; the kernel forgets a closed one by itself."""
        self.server.asyncore.forget(self._fileno)
        super().del_channel(map)
        if self.server.in_connection_overflow:
            self.server.asyncore.changed.append(self.server)  # there is room for one more


class Connections:
    """Takes the place of waitress's loop: `watch` a server, then run it."""

    def __init__(self) -> None:
        """Watch nothing yet."""
        self.changed: deque[Any] = deque()
        """Connections to be asked again, by whichever thread changed them."""
        self.serving = threading.local()
        self._epoll = select.epoll()
        self._armed: dict[int, int] = {}
        """What the kernel was told to wait for, by descriptor; 0: nothing, until told again."""
        self._is_woken = False
        self._thread_id = 0
        self._until: Callable[[], bool] = lambda: False

    def is_loops_own_thread(self) -> bool:
        """Whether whoever asks is the loop: only it opens, watches and closes connections."""
        return threading.get_ident() == self._thread_id

    def watch(self, server: Any, until: Callable[[], bool] = lambda: False) -> None:
        """Be the loop of a waitress server that has not run yet; `until` is true: end it."""
        self._until = until
        pull = server.pull_trigger

        def pull_trigger() -> None:
            channel = getattr(self.serving, "channel", None)
            if channel is not None:
                self.changed.append(channel)
            # Unset by the loop before it looks at what has changed, and only there: who finds it
            # set has been heard, or has a byte on its way that ends the next wait.
            if not self._is_woken:
                self._is_woken = True
                pull()

        server.asyncore = self
        server.channel_class = _Channel
        server.pull_trigger = pull_trigger

    def forget(self, fd: int) -> None:
        """A connection is about to be closed: its number may be another's at once."""
        if self._armed.pop(fd, None) is not None:
            self._epoll.unregister(fd)

    def loop(self, **asked: Any) -> None:
        """As waitress calls its own: until nothing is left of `map`, or a signal raises."""
        map, timeout_s = asked["map"], asked["timeout"]  # noqa: A001 - waitress's word
        look_at_all_s = 0.0
        ready: list[Any] = []
        self._thread_id = threading.get_ident()
        while map:
            self._is_woken = False
            now_s = time.monotonic()
            if now_s >= look_at_all_s:
                look_at_all_s = now_s + LOOK_AT_ALL_S
                if self._until():
                    raise SystemExit(0)
                self.changed.clear()
                ready = list(map.values())
            for each in ready:
                self._arm(each, map)
            while self.changed:
                self._arm(self.changed.popleft(), map)
            wait_s = min(timeout_s, max(0.0, look_at_all_s - time.monotonic()))
            events = self._epoll.poll(wait_s)
            ready = [(map[fd], fd, flags) for fd, flags in events if fd in map]
            for each, fd, flags in ready:
                self._armed[fd] = 0
                wasyncore.readwrite(each, flags)
            ready = [each for each, _, _ in ready]

    def _arm(self, each: Any, map: _Objects) -> None:  # noqa: A002 - waitress's word
        """Tell the kernel what a connection waits for, unless it knows."""
        fd: int | None = each._fileno  # noqa: SLF001 - waitress gives no other way
        if fd is None or fd not in map or map[fd] is not each:
            return  # closed meanwhile
        flags = _READ if each.readable() else 0
        if each.writable() and not each.accepting:
            flags |= select.EPOLLOUT
        armed = self._armed.get(fd)
        if flags == (armed or 0):
            return
        # Once: until the answer is out, a connection that has hung up would be told again and
        # again.
        told = flags | select.EPOLLONESHOT
        try:
            if armed is None:
                self._epoll.register(fd, told)
            else:
                self._epoll.modify(fd, told)
        except OSError:
            if not isinstance(each, HTTPChannel):
                raise
            each.handle_close()  # the system watches no more of them: this one alone suffers
            return
        self._armed[fd] = flags
