"""Everybody of a run: the reps of each dealer and as many customers as are wanted, seeded."""

import csv
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from firmware_sim.people.contest import Contest
from firmware_sim.people.customer import Customer, Temper, Wishes
from firmware_sim.people.rep import Habits, Rep
from firmware_sim.places import Place
from firmware_sim.providers.whatsapp import WhatsApp
from firmware_sim.receipts import MODELS_IDR
from shared.clock import Clock

PEOPLE_COLUMNS = (
    "id",
    "name",
    "role",
    "dealers",
    "regions",
    "phone",
    "email",
    "language",
    "wa_opt_in_at",
)
MODEL_COLUMNS = ("code", "name", "has_telemetry", "active")
OPTED_IN_AT = "2026-01-02T03:04:05.000Z"
REP_PHONES_FROM, CUSTOMER_PHONES_FROM = 6281211000000, 6281322000000
NEARBY_DEGREES = 0.04
"""About four kilometres."""
TEMPERS = (Temper.PINS, Temper.PINS, Temper.PINS, Temper.TYPES, Temper.STUTTERS)


@dataclass(frozen=True, slots=True, kw_only=True)
class CrowdPlan:
    """How many, and whom they write to."""

    network: Sequence[Place]
    reps_per_dealer: int
    customers_number: str
    """Phone of the number that customers write to."""
    reps_number: str
    seed: int = 1
    habits: Habits | None = None
    with_bsuid: bool = True


class Crowd:
    """Reps at work, and customers who come one by one."""

    def __init__(
        self, plan: CrowdPlan, *, whatsapp: WhatsApp, contest: Contest, clock: Clock
    ) -> None:
        """The reps exist from now on; they tap when they are offered something."""
        self._plan, self._whatsapp, self._contest = plan, whatsapp, contest
        self._random = random.Random(plan.seed)
        self.customers: list[Customer] = []
        self.reps = [
            Rep(
                whatsapp.add_person(
                    str(REP_PHONES_FROM + number),
                    name=_rep_name(place, turn),
                    bsuid=f"ID.2{number:015d}" if plan.with_bsuid else None,
                ),
                store=place.code,
                number=plan.reps_number,
                contest=contest,
                timeline=whatsapp.timeline,
                clock=clock,
                seed=plan.seed * 1000 + number,
                habits=plan.habits,
            )
            for number, (place, turn) in enumerate(
                (place, turn) for place in plan.network for turn in range(plan.reps_per_dealer)
            )
        ]

    def come_on_duty(self) -> None:
        """Every rep says *Siap*."""
        for rep in self.reps:
            rep.come_on_duty()

    def customer(self, temper: Temper | None = None, *, near: Place | None = None) -> Customer:
        """Somebody new near one of the dealers, who has not said anything yet."""
        chance, number = self._random, len(self.customers)
        place = near or chance.choice(list(self._plan.network))
        made = Customer(
            self._whatsapp.add_person(
                str(CUSTOMER_PHONES_FROM + number),
                name=f"🛵 {number}",
                bsuid=f"ID.3{number:015d}" if self._plan.with_bsuid else None,
            ),
            number=self._plan.customers_number,
            wishes=Wishes(
                lat=round(place.lat + chance.uniform(-1, 1) * NEARBY_DEGREES, 6),
                lon=round(place.lon + chance.uniform(-1, 1) * NEARBY_DEGREES, 6),
                town=place.town,
                model=chance.choice(list(MODELS_IDR)),
                payment=chance.choice(("cash", "instalments")),
                buy_when=chance.choice(("now", "month", "later")),
            ),
            contest=self._contest,
            timeline=self._whatsapp.timeline,
            seed=self._plan.seed * 1000 + 500 + number,
            temper=temper or chance.choice(TEMPERS),
        )
        self.customers.append(made)
        return made

    def write_people(self, path: Path) -> None:
        """The reps, as `kickstand-hub person import` reads them."""
        rows = [
            (
                f"per_sim{number:04d}",
                rep.person.name,
                "rep",
                rep.store,
                "",
                rep.person.phone,
                "",
                "id",
                OPTED_IN_AT,
            )
            for number, rep in enumerate(self.reps)
        ]
        _write(path, PEOPLE_COLUMNS, rows)


def write_models(path: Path) -> None:
    """The models that customers ask for, as `kickstand-hub model import` reads them."""
    _write(path, MODEL_COLUMNS, [(code, f"Kickstand {code}", "yes", "yes") for code in MODELS_IDR])


def _rep_name(place: Place, turn: int) -> str:
    return f"Rep{turn + 1} {place.code}"


def _write(path: Path, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(rows)
