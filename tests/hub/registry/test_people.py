"""People: imported, found again, stood in for, and on duty, on both engines."""

from dataclasses import replace
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from hub.registry.people.rules import Person
from hub.registry.service import CannotBe, Registry

REGIONS = b"code,name,timezone\nJATIM,Jawa Timur,WIB\n"
DEALERS = (
    b"code,name,region,lat,lon,timezone,hours,authorised\n"
    b"SBY01,Surabaya,JATIM,-7.2575,112.7521,WIB,Mon-Fri 09:00-17:00,yes\n"
    b"SBY02,Surabaya Timur,JATIM,-7.28,112.79,WIB,Mon-Fri 09:00-17:00,yes\n"
)
HEADER = "id;name;role;dealers;regions;phone;email;deputy;wa_opt_in_at\n"
BUDI = "per_budi;Budi Santoso;rep;SBY01;;0812-3456-7801;;per_ani;2026-01-01\n"
ANI = "per_ani;Ani;rep;SBY01|SBY02;;081234567802;;;2026-01-01\n"
CITRA = ";Citra;rep;SBY01;;081234567803;citra@dealer.example;;2026-01-01\n"
MONDAY = "2026-11-23"


def at(time: str, day: str = MONDAY) -> int:
    """A time in Surabaya, in ms."""
    moment = datetime.fromisoformat(f"{day} {time}").replace(tzinfo=ZoneInfo("Asia/Jakarta"))
    return round(moment.timestamp() * 1000)


def file_of(*rows: str) -> bytes:
    """A people file of these rows."""
    return (HEADER + "".join(rows)).encode()


@pytest.fixture
def registry(database) -> Registry:
    """Two dealers, and nobody yet."""
    registry = Registry(database)
    registry.regions.import_file(REGIONS)
    registry.dealers.import_file(DEALERS)
    return registry


@pytest.fixture
def staffed(registry) -> Registry:
    """Budi and Ani in Surabaya; Ani stands in for Budi."""
    assert not registry.people.import_file(file_of(BUDI, ANI)).refused
    return registry


def on_duty(registry: Registry, now_ms: int, dealer: str = "SBY01") -> list[str]:
    """Ids of who may be offered a lead."""
    with registry._database.read() as connection:
        found = registry.dealer_in(connection, dealer)
        assert found is not None
        people = registry.reps_on_duty(connection, found, now_ms)
    return [person.id for person in people]


def by_phone(registry: Registry, phone: str, now_ms: int | None = None) -> Person | None:
    """Whose phone it is."""
    with registry._database.read() as connection:
        return registry.person_by_phone(connection, phone, now_ms=now_ms)


def id_of(registry: Registry, phone: str) -> str:
    """The id of whose phone it is."""
    person = by_phone(registry, phone)
    assert person is not None
    return person.id


def refusals(answer) -> list[tuple[int, str | None, str]]:
    """Row, column and code of each refusal."""
    return [(refusal.row, refusal.column, refusal.code) for refusal in answer.refused]


# --- Import ---


def test_a_second_import_of_a_file_changes_nothing(registry):
    """Also for a row without an id: its person is found again by the phone."""
    first = registry.people.import_file(file_of(BUDI, ANI, CITRA))
    again = registry.people.import_file(file_of(BUDI, ANI, CITRA))
    assert (first.created, first.changed, first.refused) == (3, 0, ())
    assert (again.created, again.changed, again.unchanged) == (0, 0, 3)


def test_what_was_imported_is_read_back_typed(staffed):
    """A phone has one form, an opt-in on a day began with that day."""
    budi = by_phone(staffed, "6281234567801")
    assert budi == Person(
        id="per_budi",
        name="Budi Santoso",
        role="rep",
        dealers=("SBY01",),
        regions=(),
        phone="6281234567801",
        email=None,
        language="id",
        active_from=None,
        active_until=None,
        deputy="per_ani",
        wa_opt_in_ms=at("00:00", "2026-01-01"),
    )
    assert budi.first_name == "Budi"


def test_somebody_new_gets_an_id_of_the_hub(registry):
    """130 random bits; nothing of the person shows in it."""
    registry.people.import_file(file_of(CITRA))
    (citra,) = registry.people.all()
    assert citra.id.startswith("per_")
    assert len(citra.id) == 30


def test_a_new_phone_is_the_same_person_by_e_mail_and_name(registry):
    """An address that a whole dealer shares, in any case of letters, makes nobody somebody else."""
    registry.people.import_file(file_of(CITRA))
    (citra,) = registry.people.all()
    moved = registry.people.import_file(
        file_of(CITRA.replace("7803", "7804").replace("citra@", "Citra@"))
    )
    other = registry.people.import_file(
        file_of(CITRA.replace("Citra", "Dewi").replace("7803", "7805"))
    )
    assert (moved.created, moved.changed, other.created) == (0, 1, 1)
    assert by_phone(registry, "6281234567804") == replace(
        citra, phone="6281234567804", email="Citra@dealer.example"
    )


# --- Columns that a file does not have ---


def imported(registry: Registry, row: str) -> Person:
    """The one person whom this row makes."""
    assert not registry.people.import_file(file_of(row)).refused
    (person,) = registry.people.all()
    return person


WHOLE = (
    b"id,name,role,dealers,regions,phone,email,language,active_from,active_until,deputy,"
    b"wa_opt_in_at\n"
    b"per_ani,Ani,rep,SBY01,,081234567802,,id,,,,\n"
    b"per_budi,Budi,rep,SBY01,JATIM,081234567801,b@dealer.example,en,2026-01-01,2027-01-01,"
    b"per_ani,2026-01-02\n"
)


@pytest.fixture
def whole(registry) -> Registry:
    """Ani and Budi, of whom every column says something."""
    assert not registry.people.import_file(WHOLE).refused
    return registry


def budi_of(registry: Registry) -> Person:
    """Budi as he is stored."""
    return {person.id: person for person in registry.people.all()}["per_budi"]


@pytest.mark.parametrize(
    "row",
    [
        b"id,name,role,dealers\nper_budi,Budi,rep,SBY02\n",
        b"name,role,dealers,phone\nBudi,rep,SBY02,0812 3456 7801\n",
        b"name,role,dealers,email\nBudi,rep,SBY02,B@dealer.example\n",
    ],
)
def test_a_column_that_the_file_does_not_have_stays_as_it_is(whole, row):
    """By whatever the row finds its person: only the dealers change, and the e-mail if it says."""
    before = budi_of(whole)
    answer = whole.people.import_file(row)
    after = budi_of(whole)
    assert (answer.created, answer.changed, answer.refused) == (0, 1, ())
    assert replace(after, email=None) == replace(before, dealers=("SBY02",), email=None)
    assert (after.email or "").lower() == before.email


def test_an_empty_cell_empties_what_is_stored(whole):
    """Also where a spreadsheet wrote no cell at all at the end of a row."""
    whole.people.import_file(b"id,name,role,dealers,regions,email\nper_budi,Budi,rep,SBY01\n")
    after = budi_of(whole)
    assert (after.regions, after.email, after.phone) == ((), None, "6281234567801")


def test_nobody_is_made_twice_by_a_file_without_ids_and_phones(whole):
    """By the name and every place that it does say; two of one name are told apart by an id."""
    file = b"name,role,dealers,language\nBudi,rep,SBY01,id\n"
    first = whole.people.import_file(file)
    again = whole.people.import_file(file)
    assert (first.created, first.changed, again.unchanged) == (0, 1, 1)
    whole.people.import_file(b"id,name,role,dealers\nper_b2,Budi,rep,SBY01\n")
    assert refusals(whole.people.import_file(file)) == [(1, "id", "ambiguous")]


@pytest.mark.parametrize(
    ("file", "refused"),
    [
        (b"id,name,role\nper_budi,Budi,rep\n", []),
        (b"id,name,role\nper_new,Dewi,rep\n", [(1, "dealers", "missing")]),
        (b"id,name,role,dealers\nper_budi,Budi,regional_manager,\n", []),
        (b"id,name,role\nper_ani,Ani,regional_manager\n", [(1, "regions", "missing")]),
        (
            b"id,name,role,active_until\nper_budi,Budi,rep,2025-12-31\n",
            [(1, "active_until", "ends_before_it_begins")],
        ),
    ],
)
def test_what_hangs_together_is_judged_as_it_would_stand(whole, file, refused):
    """A role and its places, the first day and the last: half from the file, half as stored."""
    assert refusals(whole.people.import_file(file)) == refused


@pytest.mark.parametrize(
    ("row", "column", "code"),
    [
        (BUDI.replace("0812-3456-7801", "031-5678901"), "phone", "not_mobile"),
        (BUDI.replace("0812-3456-7801", "0812"), "phone", "malformed_phone"),
        (BUDI.replace("rep", "boss"), "role", "unknown_role"),
        (BUDI.replace("SBY01", "SBY99"), "dealers", "unknown_dealer"),
        (BUDI.replace("SBY01", ""), "dealers", "missing"),
        (BUDI.replace("rep;SBY01;", "regional_manager;;"), "regions", "missing"),
        (BUDI.replace("rep;SBY01;", "regional_manager;;BALI"), "regions", "unknown_region"),
        (BUDI.replace("per_budi", "budi"), "id", "malformed_id"),
        (BUDI.replace("per_ani", "per_nobody"), "deputy", "unknown_person"),
        (BUDI.replace("per_ani", "per_budi"), "deputy", "own_deputy"),
    ],
)
def test_a_bad_cell_is_named(registry, row, column, code):
    """Row, column, code; and nothing of the file is imported."""
    answer = registry.people.import_file(file_of(ANI, row))
    assert refusals(answer) == [(2, column, code)]
    assert (answer.created, registry.people.all()) == (0, [])


@pytest.mark.parametrize("phone", ["0812-3456-7801", "+62 812 3456 7801", "0062 812 34567801"])
def test_a_mobile_number_may_be_written_as_people_write_it(registry, phone):
    """Spaces, dashes, the trunk's zero or the country's code."""
    registry.people.import_file(file_of(ANI, BUDI.replace("0812-3456-7801", phone)))
    assert by_phone(registry, "6281234567801") is not None


def test_a_phone_has_one_owner(staffed):
    """Taken in the file or in the hub; two people may exchange theirs."""
    taken = staffed.people.import_file(
        file_of(CITRA.replace(";Citra", "per_c;Citra", 1).replace("7803", "7801"))
    )
    assert refusals(taken) == [(1, "phone", "phone_taken")]
    twice = staffed.people.import_file(file_of(CITRA, CITRA.replace(";Citra", "per_c;Dewi", 1)))
    assert refusals(twice) == [(2, "phone", "phone_taken")]
    swapped = staffed.people.import_file(
        file_of(BUDI.replace("7801", "7802"), ANI.replace("7802", "7801"))
    )
    assert (swapped.changed, swapped.refused) == (2, ())
    assert id_of(staffed, "6281234567801") == "per_ani"


def test_two_rows_about_one_person_contradict_each_other(registry):
    """By id, or by the phone that finds the same person."""
    registry.people.import_file(file_of(CITRA))
    (citra,) = registry.people.all()
    answer = registry.people.import_file(file_of(CITRA, citra.id + CITRA))
    assert refusals(answer) == [(2, "id", "repeated")]


def test_with_partial_what_leans_on_a_refused_row_is_refused_too(registry):
    """Ani's row is bad, so Budi's deputy does not exist; Citra is imported."""
    answer = registry.people.import_file(
        file_of(BUDI, ANI.replace("SBY02", "SBY99"), CITRA), partial=True
    )
    assert refusals(answer) == [(1, "deputy", "unknown_person"), (2, "dealers", "unknown_dealer")]
    assert [person.name for person in registry.people.all()] == ["Citra"]


def test_a_dry_run_says_what_would_happen_and_does_nothing(registry):
    """The same counts as the run."""
    rehearsal = registry.people.import_file(file_of(BUDI, ANI), dry_run=True)
    assert registry.people.all() == []
    performance = registry.people.import_file(file_of(BUDI, ANI))
    assert rehearsal.as_json() | {"dry_run": False} == performance.as_json()


# --- On duty ---


def test_on_duty_is_who_works_there_while_it_is_open(staffed):
    """By id, each once."""
    assert on_duty(staffed, at("12:00")) == ["per_ani", "per_budi"]
    assert on_duty(staffed, at("12:00"), "SBY02") == ["per_ani"]
    assert on_duty(staffed, at("17:00")) == []


def test_all_of_a_large_dealer_are_on_duty(registry):
    """Who is offered the next lead is the longest waiting of all, not of the first fifty."""
    crowd = [
        f"per_{turn:03},Rep {turn},rep,SBY01,+{6281300000000 + turn},2026-01-01"
        for turn in range(60)
    ]
    content = "\n".join(["id,name,role,dealers,phone,wa_opt_in_at", *crowd])
    assert not registry.people.import_file(content.encode()).refused
    assert len(on_duty(registry, at("12:00"))) == 60


def test_who_has_not_agreed_is_offered_nothing(registry):
    """Without a date, with one to come, without a phone."""
    registry.people.import_file(
        file_of(
            ANI,
            BUDI.replace("2026-01-01", ""),
            CITRA.replace("2026-01-01", "2026-12-01"),
            "per_d;Dewi;rep;SBY01;;;;;2026-01-01\n",
        )
    )
    assert on_duty(registry, at("12:00")) == ["per_ani"]


def test_people_begin_and_end(registry):
    """Both days included; later the phone is a stranger's again."""
    header = "id;name;role;dealers;phone;active_from;active_until;wa_opt_in_at\n"
    row = "per_e;Eka;rep;SBY01;081234567805;2026-11-23;2026-11-24;2026-01-01\n"
    registry.people.import_file((header + row).encode())
    days = [f"2026-11-{day}" for day in (20, 23, 24, 25)]
    assert [on_duty(registry, at("12:00", day)) for day in days] == [[], ["per_e"], ["per_e"], []]
    known = [by_phone(registry, "6281234567805", at("12:00", day)) is not None for day in days]
    assert known == [False, True, True, False]


def test_the_deputy_stands_in_for_who_is_away(staffed):
    """From the first day to the last; whoever is on duty anyway is on duty once."""
    staffed.people.import_file(file_of(BUDI, ANI.replace("SBY01|", ""), CITRA))
    staffed.away("per_budi", MONDAY, "2026-11-24")
    citra = id_of(staffed, "6281234567803")
    assert on_duty(staffed, at("12:00")) == sorted(["per_ani", citra])
    assert on_duty(staffed, at("12:00", "2026-11-25")) == sorted(["per_budi", citra])
    staffed.away("per_budi", MONDAY, "2026-11-24", deputy=citra)
    assert on_duty(staffed, at("12:00")) == [citra]


def test_deputies_who_are_all_away_are_nobody(staffed):
    """Two who stand in for each other do not keep the hub asking."""
    staffed.away("per_budi", MONDAY, MONDAY, deputy="per_ani")
    staffed.away("per_ani", MONDAY, MONDAY, deputy="per_budi")
    assert on_duty(staffed, at("12:00")) == []


def test_off_today_ends_with_the_day_or_with_ready(staffed):
    """LIBUR, and *Siap* after all; without it tomorrow is another day."""
    database = staffed._database
    database.write(lambda c: staffed.off_today(c, "per_ani", MONDAY))
    database.write(lambda c: staffed.off_today(c, "per_ani", MONDAY))
    assert on_duty(staffed, at("12:00")) == ["per_budi"]
    assert on_duty(staffed, at("12:00", "2026-11-24")) == ["per_ani", "per_budi"]
    database.write(lambda c: staffed.ready(c, "per_ani", at("14:00")))
    assert on_duty(staffed, at("12:00")) == ["per_ani", "per_budi"]


def test_ready_does_not_end_a_leave_that_somebody_else_entered(staffed):
    """Nor does LIBUR on its first day shorten it."""
    staffed.away("per_ani", MONDAY, "2026-11-24", deputy="per_budi")
    staffed._database.write(lambda c: staffed.off_today(c, "per_ani", MONDAY))
    staffed._database.write(lambda c: staffed.ready(c, "per_ani", at("14:00")))
    assert on_duty(staffed, at("12:00", "2026-11-24")) == ["per_budi"]


def test_ready_means_on_duty_outside_the_hours(staffed):
    """Until it ends, and not at a dealer that is paused."""
    database = staffed._database
    database.write(lambda c: staffed.ready(c, "per_ani", at("22:00")))
    assert on_duty(staffed, at("21:59")) == ["per_ani"]
    assert on_duty(staffed, at("22:00")) == []
    staffed.dealers.import_file(
        DEALERS.replace(b"authorised\n", b"authorised,paused_until\n").replace(
            b"yes\n", b"yes,2026-11-24\n"
        )
    )
    assert on_duty(staffed, at("21:59")) == []


def test_an_unauthorised_dealer_has_nobody_on_duty(staffed):
    """Whatever its hours."""
    staffed.dealers.import_file(DEALERS.replace(b",yes\n", b",no\n"))
    assert on_duty(staffed, at("12:00")) == []


def test_a_holiday_is_no_day_of_work(staffed):
    """The hub's own list of days closes every dealer."""
    assert on_duty(Registry(staffed._database, holidays=[MONDAY]), at("12:00")) == []


def test_an_absence_needs_people_and_days_that_exist(staffed):
    """Each refusal says what to do."""
    for person, until, deputy in (
        ("per_x", MONDAY, None),
        ("per_ani", MONDAY, "per_x"),
        ("per_ani", MONDAY, "per_ani"),
        ("per_ani", "2026-11-22", None),
    ):
        with pytest.raises(CannotBe):
            staffed.away(person, MONDAY, until, deputy=deputy)


# --- What WhatsApp calls them ---


def test_a_whatsapp_id_is_learnt_and_belongs_to_one_person(staffed):
    """Seen with another's phone it is nobody's, and is learnt anew."""
    database = staffed._database

    def learn(person: str) -> bool:
        return database.write(lambda c: staffed.learn_bsuid(c, person, "ID.1"))

    def owner() -> str | None:
        with database.read() as connection:
            person = staffed.person_by_bsuid(connection, "ID.1")
        return None if person is None else person.id

    assert (learn("per_ani"), learn("per_ani"), owner()) == (True, True, "per_ani")
    assert (learn("per_budi"), owner()) == (False, None)
    assert (learn("per_budi"), owner()) == (True, "per_budi")


def test_a_whatsapp_id_goes_with_the_phone(staffed):
    """Whoever gets another phone in the file is not known by the old one's WhatsApp."""
    staffed._database.write(lambda c: staffed.learn_bsuid(c, "per_ani", "ID.1"))
    staffed.people.import_file(file_of(ANI.replace("7802", "7809")))
    with staffed._database.read() as connection:
        assert staffed.person_by_bsuid(connection, "ID.1") is None


# --- Closing a dealer ---


def test_a_closed_dealer_hands_its_people_on(staffed):
    """It is open until that day; its people work at the other one at once."""
    assert staffed.close_dealer("sby01", "2026-11-24", into="sby02") == 1
    assert on_duty(staffed, at("12:00")) == ["per_ani", "per_budi"]
    assert on_duty(staffed, at("12:00", "2026-11-24")) == []
    assert on_duty(staffed, at("12:00", "2026-11-24"), "SBY02") == ["per_ani", "per_budi"]
    assert staffed.close_dealer("SBY01", "2026-11-24", into="SBY02") == 0


@pytest.mark.parametrize(("code", "into"), [("X", None), ("SBY01", "X"), ("SBY01", "SBY01")])
def test_a_dealer_closes_into_one_that_is_open(staffed, code, into):
    """And nothing has changed when it cannot."""
    with pytest.raises(CannotBe):
        staffed.close_dealer(code, "2026-11-24", into=into)
    assert staffed.dealer("SBY01").closed_on is None
