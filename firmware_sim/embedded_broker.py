"""amqtt on an event loop of its own, with our accounts and our access rule."""

import asyncio
import hmac
import logging
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from amqtt.broker import Broker as AmqttBroker
from amqtt.contexts import Action, BaseContext
from amqtt.plugins.base import BaseAuthPlugin, BaseTopicPlugin
from amqtt.session import Session

from firmware_sim.errors import NotReady
from firmware_sim.ports import LOOPBACK

READY_MS = 30_000
FROM_SCOOTER = frozenset({"telemetry", "state", "ack"})
COMMAND = "cmd"

# amqtt builds its plugins itself, from their import path and plain values, so the accounts of
# each broker are found by its port.
_ACCOUNTS: dict[int, Mapping[str, str]] = {}


class KnownDevices(BaseAuthPlugin):  # type: ignore[misc]  # amqtt ships no types
    """Lets in whoever knows their password."""

    @dataclass
    class Config:
        """Which broker this is."""

        port: int = field(default=0)

    async def authenticate(self, *, session: Session) -> bool:
        """True for a known name with its own password."""
        expected = _ACCOUNTS.get(self._get_config_option("port", 0), {}).get(session.username or "")
        return expected is not None and hmac.compare_digest(expected, session.password or "")


class OwnTopics(BaseTopicPlugin):  # type: ignore[misc]
    """A scooter writes and reads below its own serial; the box hears all and sends commands."""

    @dataclass
    class Config:
        """What the box signs in as."""

        agent: str = field(default="agent")

    def __init__(self, context: BaseContext) -> None:
        """Takes the settings from amqtt."""
        super().__init__(context)
        self._agent: str = self._get_config_option("agent", "agent")

    async def topic_filtering(
        self,
        *,
        session: Session | None = None,
        topic: str | None = None,
        action: Action | None = None,
    ) -> bool:
        """True when the session may do `action` on `topic`."""
        parts = (topic or "").split("/")
        if session is None or len(parts) != 3 or parts[0] != "scooter":
            return False
        _, serial, channel = parts
        is_box, is_own = session.username == self._agent, serial == session.username
        is_upwards, is_command = channel in FROM_SCOOTER, channel == COMMAND
        if action == Action.PUBLISH:
            return bool((is_own and is_upwards) or (is_box and is_command))
        return bool((is_box and is_upwards) or (is_own and is_command))


class SteadyTable(dict[str, list[Any]]):
    """A table that may change while somebody goes through it.

    amqtt 0.12 awaits inside a loop over its subscriptions: a client that subscribed at that
    moment broke the loop, and the message reached nobody although its sender had its PUBACK.
    """

    def __iter__(self) -> Iterator[str]:
        """Over the keys of now."""
        return iter(list(super().__iter__()))

    def items(self) -> Any:
        """The pairs of now."""
        return [(key, list(self[key])) for key in self]


class ClosingBroker(AmqttBroker):  # type: ignore[misc]
    """amqtt, but no connection outlives it: clients must see that it is gone."""

    def __init__(self, settings: dict[str, Any]) -> None:
        """Call within a running loop."""
        super().__init__(settings)
        self._open: set[asyncio.StreamWriter] = set()
        self._subscriptions = SteadyTable()

    async def stream_connected(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, listener_name: str
    ) -> None:
        """Serve one connection until it ends."""
        self._open.add(writer)
        try:
            await super().stream_connected(reader, writer, listener_name)
        finally:
            self._open.discard(writer)
            writer.transport.abort()

    async def shutdown(self) -> None:
        """Stop, then cut what is still connected."""
        await super().shutdown()
        for writer in self._open:
            writer.transport.abort()


class EmbeddedServer:
    """One run of an amqtt broker. Its sessions end with it."""

    def __init__(self, port: int, accounts: Mapping[str, str], *, agent: str) -> None:
        """`accounts` maps names to passwords and may grow while it runs."""
        _ACCOUNTS[port] = accounts
        self._settings: dict[str, Any] = {
            "listeners": {"default": {"type": "tcp", "bind": f"{LOOPBACK}:{port}"}},
            "plugins": {
                f"{__name__}.{KnownDevices.__name__}": {"port": port},
                f"{__name__}.{OwnTopics.__name__}": {"agent": agent},
            },
        }
        self._port = port
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=self._loop.run_forever, name=f"broker {port}", daemon=True
        )
        self._broker: Any = None

    def start(self) -> None:
        """Listening when it returns. Raises NotReady."""
        # Its log tells of every lost connection, which is what the simulator is for.
        for name in ("amqtt", "transitions"):
            logging.getLogger(name).setLevel(logging.CRITICAL)
        self._thread.start()
        started = asyncio.run_coroutine_threadsafe(self._start(), self._loop)
        try:
            started.result(READY_MS / 1000)
        except Exception as error:
            raise NotReady(f"amqtt does not listen on port {self._port}: {error}") from error

    async def _start(self) -> None:
        self._broker = ClosingBroker(self._settings)
        await self._broker.start()

    def stop(self) -> None:
        """Close every connection and the loop."""
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result(READY_MS / 1000)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(READY_MS / 1000)
        self._loop.close()
        _ACCOUNTS.pop(self._port, None)

    async def _stop(self) -> None:
        await self._broker.shutdown()
        # amqtt leaves its connections' tasks behind.
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def unacknowledged(self) -> int:
        """Messages on their way to somebody, over all sessions."""
        sessions = [session for session, _ in list(self._broker.sessions.values())]
        return sum(
            session.inflight_out_count + session.retained_messages_count for session in sessions
        )
