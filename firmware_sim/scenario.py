"""What happens when: a seeded script for two or more stores."""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto


class Act(Enum):
    """One thing that happens."""

    SALE = auto()
    DISCOUNT = auto()
    SEVERAL_UNITS = auto()
    INSTALMENTS = auto()
    WITHOUT_SERIAL = auto()
    COPY = auto()
    VOID = auto()
    RETURN = auto()
    FAULT = auto()
    NOISE = auto()
    REPLUG = auto()
    BROKER_RESTART = auto()
    POWER_CUT = auto()
    LEAD = auto()
    HUB_DOWN = auto()
    HUB_UP = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """At `at_ms` after the first store began to run, `act` happens in store number `store`."""

    at_ms: int
    store: int
    act: Act


# Hundredths of the run, store, act. Everything a store can meet once, the worst not first.
PROGRAMME: tuple[tuple[int, int, Act], ...] = (
    (0, 0, Act.SALE),
    (1, 0, Act.LEAD),
    (3, 1, Act.SALE),
    (8, 1, Act.LEAD),
    (10, 0, Act.DISCOUNT),
    (16, 1, Act.SEVERAL_UNITS),
    (20, 0, Act.LEAD),
    (21, 0, Act.INSTALMENTS),
    (25, 1, Act.COPY),
    (30, 0, Act.NOISE),
    (31, 0, Act.SALE),
    (35, 1, Act.NOISE),
    (37, 1, Act.LEAD),
    (38, 1, Act.WITHOUT_SERIAL),
    (42, 0, Act.VOID),
    (45, 1, Act.FAULT),
    (49, 0, Act.LEAD),
    (50, 0, Act.BROKER_RESTART),
    (52, 0, Act.SALE),
    (56, 0, Act.REPLUG),
    (61, 0, Act.HUB_DOWN),
    (62, 0, Act.SALE),
    (63, 1, Act.LEAD),
    (64, 1, Act.SALE),
    (66, 0, Act.HUB_UP),
    (76, 0, Act.POWER_CUT),
    (78, 0, Act.SALE),
    (82, 1, Act.RETURN),
    (88, 0, Act.SALE),
    (94, 1, Act.DISCOUNT),
)
CALM_MS = 60_000
"""Length of a round when the run has no end."""
EXTRA_EVERY_MS = 4_000
ENDLESS_REST_ROUNDS = 3
"""Hub, broker and power fail only in every third round of an endless run."""
HARSH = frozenset({Act.HUB_DOWN, Act.HUB_UP, Act.BROKER_RESTART, Act.POWER_CUT})
OUTAGES = frozenset({Act.HUB_DOWN, Act.HUB_UP, Act.POWER_CUT})
"""What makes sales wait for seconds: a short first look would show little else."""


def one_round(
    *, seed: int, length_ms: int, stores: int, start_ms: int = 0, outages: bool | None = None
) -> list[Step]:
    """The programme stretched over `length_ms`, with further sales in between, in order of time.

    Under a minute without the outages, unless they are asked for.
    """
    chance = random.Random(seed)
    with_outages = length_ms >= CALM_MS if outages is None else outages
    steps = [
        Step(at_ms=start_ms + length_ms * share // 100, store=store % stores, act=act)
        for share, store, act in PROGRAMME
        if with_outages or act not in OUTAGES
    ]
    usual = (Act.SALE, Act.SALE, Act.SALE, Act.DISCOUNT, Act.INSTALMENTS)
    steps += [
        Step(
            at_ms=start_ms + chance.randrange(length_ms * 9 // 10),
            store=chance.randrange(stores),
            act=chance.choice(usual),
        )
        for _ in range(length_ms // EXTRA_EVERY_MS)
    ]
    return sorted(steps, key=lambda step: step.at_ms)


def endless(*, seed: int, stores: int) -> Iterator[Step]:
    """Round after round of a minute each; hub, broker and power fail only now and then."""
    number = 0
    while True:
        calm = number % ENDLESS_REST_ROUNDS != 0
        for step in one_round(
            seed=seed + number,
            length_ms=CALM_MS,
            stores=stores,
            start_ms=number * CALM_MS,
        ):
            if not (calm and step.act in HARSH):
                yield step
        number += 1


def quiet_trade(*, seed: int, stores: int, sale_every_ms: int) -> Iterator[Step]:
    """Only sales, voids and returns, at random stores: what a large network does all day."""
    chance, at_ms = random.Random(seed), 0
    acts = (*(Act.SALE,) * 8, Act.DISCOUNT, Act.SEVERAL_UNITS, Act.INSTALMENTS, Act.VOID)
    while True:
        yield Step(at_ms=at_ms, store=chance.randrange(stores), act=chance.choice(acts))
        at_ms += 1 + int(chance.expovariate(1 / sale_every_ms))
