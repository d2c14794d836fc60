"""Files of leads: judged whole, taken in once, answered like every import."""

import pytest

from hub.contacts.service import Contacts
from hub.leads import lead_file
from hub.leads.intake import Intake
from hub.leads.lead_file import LeadFile
from hub.leads.lead_rows import read_row
from hub.store import METADATA, Database
from tests.fakes.lead_market import SURABAYA, Market, a_dealer, a_rep

HEADER = "source,external_id,name,phone,email,place,consent_version,consent_at\n"
Counts = tuple[int, int, int, list[tuple[int, str | None, str]]]
AGREED = "Surabaya,2026-11,2026-11-22T08:00:00+07:00\n"
BUDI = "form,17,Budi,0812-3456-7890,," + AGREED
SITI = "csv,,Siti,,siti@example.com," + AGREED
BUDI_BY_TIKTOK = "tiktok,x9,Budi,6281234567890,," + AGREED


@pytest.fixture
def market(sqlite_url):
    """One dealer with a rep, an intake, and files that come in through it."""
    database = Database(sqlite_url)
    database.write(METADATA.create_all)
    market = Market(database)
    market.town.add(a_dealer("SBY01", 1.0), a_rep(1, "SBY01"))
    where = {"Surabaya": (*SURABAYA, "Surabaya")}
    market.intake = Intake(market.desk, market.leads, Contacts(bytes(32)), locate=where.get)
    market.file = LeadFile(database, market.intake, market.clock)
    yield market
    database.close()


def bring(market, *rows, **options):
    """Import a file of these rows; created, changed, unchanged, and the refusals' codes."""
    answer = market.file.import_file((HEADER + "".join(rows)).encode(), **options)
    codes = [(refusal.row, refusal.column, refusal.code) for refusal in answer.refused]
    return answer.created, answer.changed, answer.unchanged, codes


def count(market):
    """How many leads there are."""
    with market.database.read() as connection:
        return connection.exec_driver_sql("SELECT count(*) FROM lead").scalar_one()


def test_a_file_is_taken_in_once_however_often_it_comes(market, monkeypatch):
    """A dry run says beforehand what will be; then the leads are offered like any others.

    Rows without an id are known again by what they say, with one also when all else is the same.
    """
    monkeypatch.setattr(lead_file, "ROWS_AT_ONCE", 2)
    rows = (BUDI, SITI, BUDI_BY_TIKTOK, SITI)
    expected: Counts = (2, 1, 1, [])
    assert expected == bring(market, *rows, dry_run=True)
    assert count(market) == 0
    assert expected == bring(market, *rows)
    assert count(market) == 3
    assert (0, 0, 4, []) == bring(market, *rows, dry_run=True)
    assert (0, 0, 4, []) == bring(market, *rows)
    market.pass_time(0)
    assert len(market.outbox.said("offer")) == 2


def test_one_refused_row_stores_nothing_unless_partial(market):
    """What is wrong is named by row and column, never by whose number it is."""
    bad = "pigeon,1,Ani,021 5551234,,," + ",\n"
    codes = [(2, "phone", "not_mobile"), (2, "source", "unknown_word")]
    assert (0, 0, 0, codes) == bring(market, BUDI, bad)
    assert count(market) == 0
    assert (1, 0, 0, codes) == bring(market, BUDI, bad, partial=True)
    answer = market.file.import_file((HEADER + bad).encode())
    assert not any("5551234" in refusal.message for refusal in answer.refused)


def test_an_id_that_stands_for_something_else_is_refused(market):
    """Whether the other row stands in the same file or came a month ago."""
    other = BUDI.replace("Budi", "Bambang")
    assert (0, 0, 0, [(2, "external_id", "changed")]) == bring(market, BUDI, other)
    bring(market, BUDI)
    assert (0, 0, 0, [(1, "external_id", "changed")]) == bring(market, other)


def test_a_file_and_a_request_tell_one_person_from_another_alike(market):
    """The door's open lead makes the file's row a duplicate, which its owner hears of."""
    values = {
        "source": "form",
        "phone": "081234567890",
        "consent_version": "1",
        "place": "Surabaya",
    }
    market.do(
        lambda connection: market.intake.take(
            connection, read_row(values), raw=b"", key=None, now_ms=market.clock.wall_ms()
        )
    )
    assert (0, 1, 0, []) == bring(market, BUDI, dry_run=True)
    assert (0, 1, 0, []) == bring(market, BUDI)


@pytest.mark.parametrize(
    "content", [b"", b"source,phone\nform,\xff0812", b"a,b\n1,2\n", b"PK\x03\x04x"]
)
def test_what_is_no_file_of_leads_is_refused(market, content):
    """Empty, not UTF-8, other columns, no workbook: an answer, not a crash."""
    answer = market.file.import_file(content)
    assert (answer.created, len(answer.refused) > 0) == (0, True)
