"""The network between boxes and hub: loses, doubles, delays, and lies where it can."""

from collections.abc import Callable, Mapping
from random import Random
from urllib.parse import urlsplit

from edge_agent.errors import HubUnreachable
from edge_agent.transports import RawAnswer
from firmware_sim.chaos.hub_side import HubSide

LATE_MAX = 20
Exchange = Callable[[str, str, Mapping[str, str], bytes], RawAnswer]


class Network:
    """What lies between. `trouble` 0 is a perfect line, 1 the worst we simulate."""

    def __init__(self, random: Random, hub: HubSide) -> None:
        """A perfect line at first."""
        self._random = random
        self._hub = hub
        self._late: list[tuple[str, str, Mapping[str, str], bytes]] = []
        self.trouble = 0.0

    def send(self, method: str, url: str, headers: Mapping[str, str], body: bytes) -> RawAnswer:
        """One exchange of a box. Raises HubUnreachable."""
        fate = self._random.random()
        if fate < 0.10 * self.trouble:
            raise HubUnreachable("simulated: the request was lost")
        if fate < 0.14 * self.trouble:
            return RawAnswer(200, {"content-type": "text/html"}, b"<html>Welcome to Cafe WiFi")
        lying = 0.14 * self.trouble <= fate < 0.17 * self.trouble
        if lying and method == "POST" and urlsplit(url).path == "/v1/batches":
            return self._hub.lie(method, url, headers, body)
        if fate < 0.30 * self.trouble and len(self._late) < LATE_MAX:
            self._late.append((method, url, dict(headers), body))
        answer = self._hub.handle(method, url, headers, body)
        if self._random.random() < 0.12 * self.trouble:
            raise HubUnreachable("simulated: the answer was lost")
        return answer

    def deliver_late(self) -> None:
        """An old request arrives once more, long after its answer."""
        if not self._late:
            return
        request = self._late.pop(self._random.randrange(len(self._late)))
        try:
            self._hub.handle(*request)
        except HubUnreachable:
            return
