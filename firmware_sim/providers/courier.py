"""Carries webhooks: repeated until they are taken, and on demand late, twice or out of order."""

import heapq
import itertools
import random
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import requests

from shared.clock import Clock

Item = TypeVar("Item")

TIMEOUT_S = 20
RETRY_FIRST_MS, RETRY_MAX_MS = 1_000, 60_000
GIVE_UP_MS = 7 * 24 * 3_600_000
"""Meta repeats for days."""
RECORD_MAX = 100_000
LOOK_MS = 50


@dataclass(slots=True, kw_only=True)
class Manner:
    """How badly the vendor delivers. May be changed at any time."""

    batch_max: int = 1
    """Items in one body, as far as they are waiting."""
    times: int = 1
    """How often a body is posted although it was taken."""
    shuffled: bool = False
    """Whatever waits goes in any order."""
    held: bool = False
    """Nothing goes; it waits until this is False."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """One attempt; no status when nobody answered."""

    body: bytes
    status: int | None
    took_ms: int


@dataclass(slots=True)
class _Parcel(Generic[Item]):
    item: Item
    born_ms: int
    attempts: int = 0


class Courier(Generic[Item]):
    """Posts items to one address. At least once, in no promised order."""

    def __init__(
        self,
        url: str,
        *,
        pack: Callable[[Sequence[Item]], bytes],
        sign: Callable[[bytes], Mapping[str, str]],
        clock: Clock,
        workers: int = 1,
        seed: int = 1,
        retry_ms: int = RETRY_FIRST_MS,
    ) -> None:
        """`pack` makes a body of one or more items, `sign` its headers."""
        self.url, self.manner = url, Manner()
        self._pack, self._sign, self._clock = pack, sign, clock
        self._random, self._retry_ms = random.Random(seed), retry_ms
        self._waiting: list[tuple[int, int, _Parcel[Item]]] = []
        """A heap by due time."""
        self._numbers = itertools.count()
        self._under_way, self._stopped = 0, False
        self._changed = threading.Condition()
        self.deliveries: deque[Delivery] = deque(maxlen=RECORD_MAX)
        """Every attempt, oldest first."""
        self._threads = [
            threading.Thread(target=self._run, name="courier", daemon=True) for _ in range(workers)
        ]
        for thread in self._threads:
            thread.start()

    def post(self, item: Item) -> None:
        """Deliver it soon; returns at once."""
        now_ms = self._clock.mono_ms()
        with self._changed:
            self._put(_Parcel(item, now_ms), now_ms)
            self._changed.notify()

    def again(self, body: bytes) -> int | None:
        """Post these very bytes now, signed afresh: what a vendor does days later."""
        with requests.Session() as session:
            return self._deliver(session, body)

    def idle(self) -> bool:
        """Is everything delivered?"""
        with self._changed:
            return not self._waiting and self._under_way == 0

    def stop(self) -> None:
        """Forget what was not delivered."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    def _run(self) -> None:
        with requests.Session() as session:
            while True:
                with self._changed:
                    parcels = self._take()
                    while not parcels and not self._stopped:
                        self._changed.wait(LOOK_MS / 1000 if self._waiting else None)
                        parcels = self._take()
                    if self._stopped:
                        return
                    self._under_way += 1
                self._carry(session, parcels)

    def _put(self, parcel: _Parcel[Item], due_ms: int) -> None:
        heapq.heappush(self._waiting, (due_ms, next(self._numbers), parcel))

    def _take(self) -> list[_Parcel[Item]]:
        taken: list[_Parcel[Item]] = []
        now_ms = self._clock.mono_ms()
        if self.manner.shuffled:
            self._shuffle(now_ms)
        while (
            not self.manner.held
            and len(taken) < self.manner.batch_max
            and self._waiting
            and self._waiting[0][0] <= now_ms
        ):
            taken.append(heapq.heappop(self._waiting)[2])
        return taken

    def _shuffle(self, now_ms: int) -> None:
        """What is due changes places; the rest waits for its time."""
        due = [parcel for due_ms, _, parcel in self._waiting if due_ms <= now_ms]
        self._waiting = [entry for entry in self._waiting if entry[0] > now_ms]
        heapq.heapify(self._waiting)
        self._random.shuffle(due)
        for parcel in due:
            self._put(parcel, now_ms)

    def _carry(self, session: requests.Session, parcels: list[_Parcel[Item]]) -> None:
        body = self._pack([parcel.item for parcel in parcels])
        statuses = [self._deliver(session, body) for _ in range(max(1, self.manner.times))]
        now_ms = self._clock.mono_ms()
        with self._changed:
            self._under_way -= 1
            if 200 not in statuses:
                self._put_back(parcels, now_ms)
            self._changed.notify()

    def _put_back(self, parcels: Sequence[_Parcel[Item]], now_ms: int) -> None:
        for parcel in parcels:
            if now_ms - parcel.born_ms < GIVE_UP_MS:
                pause_ms = min(self._retry_ms * 2**parcel.attempts, RETRY_MAX_MS)
                parcel.attempts += 1
                self._put(parcel, now_ms + pause_ms)

    def _deliver(self, session: requests.Session, body: bytes) -> int | None:
        began_ms = self._clock.mono_ms()
        status: int | None
        try:
            answer = session.post(
                self.url,
                data=body,
                headers={"Content-Type": "application/json", **self._sign(body)},
                timeout=TIMEOUT_S,
                allow_redirects=False,
            )
            status = answer.status_code
        except requests.RequestException:
            status = None
        self.deliveries.append(Delivery(body, status, self._clock.mono_ms() - began_ms))
        return status
