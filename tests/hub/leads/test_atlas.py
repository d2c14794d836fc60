"""A network's own names of places: imported, understood at once, in every process."""

import json
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from hub.contacts.service import Contacts
from hub.leads.atlas import Atlas
from hub.leads.commands import place_group
from hub.leads.intake import Intake
from hub.leads.lead_rows import read_row
from hub.store import METADATA, Database
from tests.fakes.lead_market import Market, a_dealer

HEADER = "alias,place,lat,lon,region\n"
PAHLAWAN = "Kota Pahlawan,Kota Surabaya,,,\n"
GARDEN = "Citra Garden,,-7.4470,112.7180,Sidoarjo\n"
TAMAN_AT = (-7.35, 112.7, "Taman, Kabupaten Sidoarjo")
TAMAN = "Taman,,-7.3500,112.7000,\n"


@pytest.fixture
def atlas(database):
    """The list that ships."""
    return Atlas(database)


def bring(atlas, *rows, **options):
    """Import a file of these rows; created, changed, unchanged and the refusals."""
    answer = atlas.import_file((HEADER + "".join(rows)).encode(), **options)
    refused = [(refusal.row, refusal.column, refusal.code) for refusal in answer.refused]
    return answer.created, answer.changed, answer.unchanged, refused


def test_what_is_imported_is_understood_by_those_who_run(atlas, database):
    """Another process knows it with the next question; a name of the list, or a point of one's own.

    An imported word is meant, also in a sentence where a district of that name would not be.
    """
    elsewhere = Atlas(database)
    assert elsewhere.locate("kota pahlawan") is None
    assert (3, 0, 0, []) == bring(atlas, PAHLAWAN, GARDEN, TAMAN)
    assert (0, 0, 3, []) == bring(atlas, PAHLAWAN, GARDEN, TAMAN)
    surabaya = elsewhere.locate("di kota pahlawan")
    assert surabaya is not None
    assert surabaya[2] == "Surabaya, Jawa Timur"
    assert elsewhere.locate("perumahan citra garden") == (-7.447, 112.718, "Citra Garden, Sidoarjo")
    assert elsewhere.locate("dekat taman bermain saya") == TAMAN_AT
    assert (0, 1, 0, []) == bring(atlas, GARDEN.replace("Sidoarjo", "Gresik"))
    found = elsewhere.places().resolve("citra garden")
    assert [place.area for place in found] == ["Citra Garden, Gresik"]


@pytest.mark.parametrize(
    ("row", "column", "code"),
    [
        ("kota,Kota Surabaya,,,\n", "alias", "malformed"),
        ("123,Kota Surabaya,,,\n", "alias", "malformed"),
        ("a b c d e f,Kota Surabaya,,,\n", "alias", "malformed"),
        ("sby,Atlantis,,,\n", "place", "unknown_place"),
        ("sby,,,,\n", "place", "one_of_two"),
        ("sby,,-7.1,,\n", "place", "one_of_two"),
        ("sby,Surabaya,-7.1,112.1,\n", "place", "one_of_two"),
        ("sby,,112.1,-7.1,\n", "lat", "swapped_coordinates"),
        ("sby,,0,0,\n", "lat", "outside_indonesia"),
        ("Kota  pahlawan!,Medan,,,\n", "alias", "repeated"),
    ],
)
def test_a_bad_row_is_named_and_nothing_is_imported(sqlite_url, row, column, code):
    """With --partial the others are."""
    database = Database(sqlite_url)
    database.write(METADATA.create_all)
    atlas = Atlas(database)
    assert (0, 0, 0, [(2, column, code)]) == bring(atlas, PAHLAWAN, row)
    assert (1, 0, 0, [(2, column, code)]) == bring(atlas, PAHLAWAN, row, dry_run=True, partial=True)
    assert atlas.all() == []
    bring(atlas, PAHLAWAN, row, partial=True)
    assert [alias.place for alias in atlas.all()] == ["Kota Surabaya"]
    database.close()


def test_a_command_imports_them_and_a_form_is_routed_by_them(sqlite_url, tmp_path):
    """The place of a lead that came as a row is found by the network's own word."""
    database = Database(sqlite_url)
    database.write(METADATA.create_all)
    atlas, market, file = Atlas(database), Market(database), tmp_path / "places.csv"
    file.write_text(HEADER + GARDEN)
    program = SimpleNamespace(hub=SimpleNamespace(leads=SimpleNamespace(atlas=atlas)))
    done = CliRunner().invoke(place_group, ["import", str(file), "--json"], obj=program)
    assert (done.exit_code, json.loads(done.stdout)["created"]) == (0, 1)
    listed = CliRunner().invoke(place_group, ["list", "--json"], obj=program)
    assert json.loads(listed.stdout)["items"][0]["alias"] == "Citra Garden"
    market.town.add(a_dealer("SBY01"))
    intake = Intake(market.desk, market.leads, Contacts(bytes(32)), locate=atlas.locate)
    row = read_row({"source": "form", "phone": "081234567890", "place": "Citra Garden blok B"})
    answer = market.do(lambda c: intake.take(c, row, raw=b"", key=None, now_ms=1))
    lead = market.get(answer.lead)
    assert (lead.area, lead.lat_udeg) == ("Citra Garden, Sidoarjo", -7447000)
    database.close()
