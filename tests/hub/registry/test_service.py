"""Imports on both engines: all or nothing, repeatable, and answered in the contract's shape."""

from dataclasses import replace

import pytest

from hub.registry.service import Registry

REGIONS = b"code,name,timezone\nJATIM,Jawa Timur,WIB\nBALI,Bali,WITA\n"
DEALERS_HEADER = "code;name;region;lat;lon;timezone;hours;authorised;phone;closed_days;weight\n"
SBY01 = "SBY01;Surabaya;JATIM;-7,2575;112,7521;WIB;Mon-Fri 09:00-17:00;yes;0315678901;"
DPS01 = "DPS01;Denpasar;BALI;-8,65;115,2167;WITA;Mon-Sun 09:00-21:00;yes;;"
BAD = "BDG01;Bandung;JABAR;-6,9;107,6;WIB;Mon-Sun 09:00-21:00;yes;;"


def dealers_file(*rows):
    """A dealers file of these rows."""
    return (DEALERS_HEADER + "\n".join(rows)).encode()


@pytest.fixture
def registry(database):
    """A registry that knows two regions."""
    registry = Registry(database)
    registry.regions.import_file(REGIONS)
    return registry


def test_a_second_import_of_a_file_changes_nothing(registry):
    """What is stored is what was read, so an unchanged row is recognised, column by column."""
    content = dealers_file(SBY01 + "2026-12-25|2026-03-20;0,35", DPS01 + ";")
    first = registry.dealers.import_file(content)
    again = registry.dealers.import_file(content)
    assert (first.created, first.changed, first.unchanged) == (2, 0, 0)
    assert (again.created, again.changed, again.unchanged) == (0, 0, 2)


def test_what_was_imported_is_read_back_typed(registry):
    """Lists, truth, coordinates and weights come out as they went in."""
    registry.dealers.import_file(dealers_file(SBY01 + "2026-12-25|2026-03-20;0,35"))
    dealer = registry.dealer("sby01")
    assert (dealer.lat, dealer.lon, dealer.weight) == (-7.2575, 112.7521, 0.35)
    assert dealer.closed_days == ("2026-03-20", "2026-12-25")
    assert dealer.authorised is True
    assert (dealer.phone, dealer.timezone) == ("62315678901", "Asia/Jakarta")


def test_one_refused_row_imports_nothing(registry):
    """All or nothing: the good rows wait until the bad one is mended."""
    answer = registry.dealers.import_file(dealers_file(SBY01 + ";", BAD + ";", DPS01 + ";"))
    assert (answer.rows, answer.created, answer.changed, answer.unchanged) == (3, 0, 0, 0)
    assert [(r.row, r.column, r.code) for r in answer.refused] == [(2, "region", "unknown_region")]
    assert registry.dealers.all() == []


def test_a_partial_import_takes_the_good_rows(registry):
    """The refused row is still answered."""
    answer = registry.dealers.import_file(
        dealers_file(SBY01 + ";", BAD + ";", DPS01 + ";"), partial=True
    )
    assert (answer.created, len(answer.refused)) == (2, 1)
    assert [dealer.code for dealer in registry.dealers.all()] == ["DPS01", "SBY01"]


@pytest.mark.parametrize(
    ("row", "column", "code"),
    [
        ("SULUT,Jl. Raya 1, Manado,WITA", None, "extra_cells"),
        ("SULUT,Sulut,WITA" + "," * 70 + "x", None, "extra_cells"),
        ("SULUT," + "x" * 20_000 + ",WITA", "name", "too_long"),
        ("SULUT, " + "x" * 20_000 + ",WITA", "name", "too_long"),
        (",,," + "x", None, "extra_cells"),
    ],
)
@pytest.mark.parametrize("partial", [True, False])
def test_a_row_that_has_too_much_is_refused_alone(registry, row, column, code, partial):
    """A cell too many or too long is one row's; whoever mends it reads of the other rows too."""
    file = f"code,name,timezone\n{row}\nPAPUA,Papua,WIT\nX,,WIT\n".encode()
    answer = registry.regions.import_file(file, partial=partial)
    assert [(r.row, r.column, r.code) for r in answer.refused] == [
        (1, column, code),
        (3, "name", "missing"),
    ]
    assert (answer.rows, answer.created) == (3, 1 if partial else 0)


def test_a_file_undoes_nothing_that_it_does_not_speak_of(registry):
    """A dealer who has paused in the portal stays paused when the network's list comes again."""
    content = dealers_file(SBY01 + ";")
    registry.dealers.import_file(content)
    assert () == registry.edit_dealer("SBY01", {"paused_until": "2026-12-31", "capacity": "4"})
    paused = registry.dealer("SBY01")

    assert 1 == registry.dealers.import_file(content).unchanged
    moved = content.replace(b"Surabaya", b"Surabaya Timur")
    assert 1 == registry.dealers.import_file(moved).changed
    assert replace(paused, name="Surabaya Timur") == registry.dealer("SBY01")
    spoken_of = moved.replace(b"weight\n", b"weight;paused_until\n").replace(
        b"0315678901;;", b"0315678901;;;"
    )
    assert 1 == registry.dealers.import_file(spoken_of).changed
    assert registry.dealer("SBY01").paused_until_ms is None


@pytest.mark.parametrize("partial", [False, True])
def test_a_dry_run_says_what_would_happen_and_does_nothing(registry, partial):
    """The answer of the dry run is the answer of the run, but for its own flag."""
    content = dealers_file(SBY01 + ";", BAD + ";")
    rehearsal = registry.dealers.import_file(content, partial=partial, dry_run=True)
    assert registry.dealers.all() == []
    performance = registry.dealers.import_file(content, partial=partial)
    assert rehearsal.dry_run
    assert rehearsal.as_json() | {"dry_run": False} == performance.as_json()


def test_a_changed_row_is_changed_in_every_column(registry):
    """An emptied cell empties the column: the file is the truth."""
    registry.dealers.import_file(dealers_file(SBY01 + "2026-12-25;2"))
    moved = SBY01.replace("0315678901", "").replace("Surabaya", "Surabaya Timur") + ";"
    answer = registry.dealers.import_file(dealers_file(moved, DPS01 + ";"))
    dealer = registry.dealer("SBY01")
    assert (answer.created, answer.changed, answer.unchanged) == (1, 1, 0)
    assert (dealer.name, dealer.phone, dealer.closed_days) == ("Surabaya Timur", None, ())
    assert dealer.weight == 1


def test_two_rows_with_one_code_contradict_each_other(registry):
    """The second is refused and names the first."""
    answer = registry.dealers.import_file(dealers_file(SBY01 + ";", SBY01.lower() + ";"))
    (refusal,) = answer.refused
    assert (refusal.row, refusal.column, refusal.code) == (2, "code", "repeated")
    assert "row 1" in refusal.message


def test_the_answer_has_the_contracts_shape(registry):
    """Rows, counts, refusals with row, column, code and message, and whether it was a rehearsal."""
    answer = registry.dealers.import_file(b"code\n").as_json()
    (refusal,) = answer.pop("refused")
    assert answer == {"rows": 0, "created": 0, "changed": 0, "unchanged": 0, "dry_run": False}
    assert (refusal["row"], refusal["column"], refusal["code"]) == (0, "name", "missing_column")
    assert refusal["message"].startswith("column name is missing")


def test_names_and_time_zones_are_looked_up_by_code(registry):
    """Pages show names and local times without reading another feature's tables."""
    registry.dealers.import_file(dealers_file(SBY01 + ";", DPS01 + ";"))
    assert registry.dealer_names() == {"DPS01": "Denpasar", "SBY01": "Surabaya"}
    assert registry.dealer_timezones()["DPS01"] == "Asia/Makassar"


def test_more_dealers_than_a_page_are_all_listed(registry):
    """Keyset pages: nobody is left out, nobody twice, in the order of the codes."""
    rows = [f"D{n:04d}" + SBY01[5:] + ";" for n in range(2001)]
    assert registry.dealers.import_file(dealers_file(*rows)).created == 2001
    assert [dealer.code for dealer in registry.dealers.all()] == [row[:5] for row in rows]
    second_page = registry.dealers.page(after="D0009", limit=3)
    assert [dealer.code for dealer in second_page] == ["D0010", "D0011", "D0012"]
