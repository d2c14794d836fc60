"""The morning message: once a day and person, where it saves money, and at no other time."""

from datetime import datetime

import pytest

from hub.leads.mornings import Mornings
from hub.leads.neighbours import RegistryDirectory
from hub.leads.renderer import LeadRenderer
from hub.outbox.messages import Withhold
from hub.outbox.service import Outbox
from hub.registry.service import Registry
from hub.store import METADATA, Database
from tests.fakes.lead_market import Market, Unasked

DEALERS = (
    b"code;name;region;lat;lon;timezone;hours;authorised;closed_days\n"
    b"SBY01;Surabaya;JATIM;-7.25;112.75;WIB;Mon-Sat 09:00-17:00;yes;2026-11-25\n"
    b"DPS01;Denpasar;JATIM;-8.65;115.21;WITA;Mon-Sat 10:00-18:00;yes;\n"
    b"DPS02;Kuta;JATIM;-8.72;115.17;WITA;Mon-Sat 10:00-18:00;no;\n"
)
PEOPLE = (
    b"id;name;role;dealers;phone;wa_opt_in_at;deputy\n"
    b"per_a;Ani W;rep;SBY01;081234567801;2026-01-01;per_m\n"
    b"per_b;Budi;rep;SBY01|DPS01;081234567802;2026-01-01;\n"
    b"per_n;No;rep;SBY01;081234567803;;\n"
    b"per_m;Made;dealer_manager;SBY01;081234567804;2026-01-01;\n"
    b"per_k;Kadek;rep;DPS02;081234567805;2026-01-01;\n"
)


class Town:
    """A real registry and outbox, and a clock."""

    def __init__(self, url):
        self.database = Database(url)
        self.database.write(METADATA.create_all)
        self.registry = Registry(self.database)
        self.registry.regions.import_file(b"code,name,timezone\nJATIM,Jawa Timur,WIB\n")
        assert not self.registry.dealers.import_file(DEALERS).refused
        assert not self.registry.people.import_file(PEOPLE).refused
        self.market = Market(self.database)
        self.clock = self.market.clock
        self.outbox = Outbox(self.database, self.clock)
        self.desk = self.market.desk
        object.__setattr__(self.desk, "directory", RegistryDirectory(self.registry))
        self.begin()

    def begin(self):
        """A process starts: it knows what is on disk."""
        self.mornings = Mornings(
            self.database,
            self.desk,
            lambda connection, person, at_ms: self.outbox.window_open(
                connection, "reps", person, at_ms
            ),
        )

    def at(self, local):
        """It is so late in Surabaya; who has been asked by then, and for which day."""
        moment = datetime.fromisoformat(f"{local}+07:00")
        self.clock.set_wall(round(moment.timestamp() * 1000))
        self.mornings.step(self.clock.wall_ms())
        return [key.removeprefix("morning/") for key in self.market.outbox.drafts]

    def wrote(self, person, local):
        """A person wrote to us."""
        ms = round(datetime.fromisoformat(f"{local}+07:00").timestamp() * 1000)
        self.database.write(lambda connection: self.outbox.opened(connection, "reps", person, ms))


@pytest.fixture
def town(sqlite_url):
    """Monday before dawn in Surabaya; Bali is an hour ahead."""
    town = Town(sqlite_url)
    yield town
    town.database.close()


MONDAY = [f"per_{who}/2026-11-23" for who in "ba"]


def test_everybody_who_gets_offers_is_asked_once_at_their_own_time(town):
    """Not who has not agreed, nor at a dealer without authority; a restart asks nobody again."""
    assert town.at("2026-11-23 07:29") == []
    assert town.at("2026-11-23 07:30") == MONDAY[:1]
    town.begin()
    assert town.at("2026-11-23 08:29:59") == MONDAY[:1]
    assert town.at("2026-11-23 08:30") == MONDAY
    town.begin()
    assert town.at("2026-11-23 08:31") == MONDAY


def test_who_is_free_all_day_is_not_asked_and_whose_window_ends_at_noon_is(town):
    """A tap at half past eight keeps the window until half past eight: that is not the day."""
    town.wrote("per_b", "2026-11-22 18:30")
    town.wrote("per_a", "2026-11-22 12:00")
    assert town.at("2026-11-23 08:30") == MONDAY[1:]


def test_nobody_is_asked_on_a_day_off_or_too_late(town):
    """LIBUR (the deputy is), a closed day, a Sunday, a hub that was down until ten."""
    town.database.write(lambda c: town.registry.off_today(c, "per_a", "2026-11-23"))
    assert town.at("2026-11-23 08:30") == ["per_b/2026-11-23", "per_m/2026-11-23"]
    before = town.at("2026-11-24 10:00")
    assert town.at("2026-11-25 08:30") == [*before, "per_b/2026-11-25"]
    assert "per_b/2026-11-24" not in before
    after = town.at("2026-11-29 08:30")
    assert not [key for key in after if key.endswith("29")]


def test_the_message_says_siap_and_is_withheld_from_who_went_home(town):
    """Free where it may be, the template where not; a rep who wrote LIBUR meanwhile is spared."""
    town.at("2026-11-23 08:30")
    [draft] = town.market.outbox.said("morning", "per_a")
    town.market.renderer = LeadRenderer(
        town.desk.directory, town.market.book, Unasked(), claim_s=1, contact_s=1
    )
    said = town.market.words(draft)
    assert said.text.startswith("Selamat pagi Ani.")
    assert [button.id for button in said.buttons] == ["READY"]
    assert (said.template.purpose, said.template.payloads) == ("checkin", ("READY",))
    town.database.write(lambda c: town.registry.off_today(c, "per_a", "2026-11-23"))
    assert town.market.words(draft) == Withhold("not there today")
