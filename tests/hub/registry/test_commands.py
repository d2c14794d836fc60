"""The commands as a person or a script runs them."""

import json
from types import SimpleNamespace

import click
import pytest
from click.testing import CliRunner

from hub.registry.commands import groups
from hub.registry.service import Registry
from hub.store import Database

GOOD = "code,name,timezone\nJATIM,Jawa Timur,WIB\n"
BAD = "code,name,timezone\nJATIM,Jawa Timur,WIB\nBALI,,WITA\n"


@pytest.fixture
def run(sqlite_url, tmp_path):
    """Run `kickstand-hub …` with a file `rows.csv` of the given text."""
    database = Database(sqlite_url)
    program = SimpleNamespace(hub=SimpleNamespace(registry=Registry(database)))
    root = click.Group("kickstand-hub", commands=groups)
    file = tmp_path / "rows.csv"

    def invoke(*words, text=GOOD):
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
        full = [str(file) if word == "FILE" else word for word in words]
        return CliRunner().invoke(root, full, obj=program, catch_exceptions=False)

    yield invoke
    database.close()


def test_an_import_answers_with_one_json_object(run):
    """A script reads what happened from stdout; exit 0 means everything went in."""
    result = run("region", "import", "FILE", "--json")
    assert result.exit_code == 0
    assert json.loads(result.stdout) == {
        "rows": 1,
        "created": 1,
        "changed": 0,
        "unchanged": 0,
        "refused": [],
        "dry_run": False,
    }


@pytest.mark.parametrize("options", [[], ["--partial"], ["--dry-run"], ["--json"]])
def test_a_refused_row_makes_the_exit_code_1(run, options):
    """Also with --partial: something of the file is not in the hub."""
    assert run("region", "import", "FILE", *options, text=BAD).exit_code == 1


def test_a_person_reads_row_reason_and_next_step(run):
    """Refusals go to stderr, the sum to stdout."""
    result = run("region", "import", "FILE", text=BAD)
    assert "row 2: name: is empty, and every row needs one [missing]" in result.stderr
    assert "add --partial" in result.stderr
    assert result.stdout == "2 rows: 0 created, 0 changed, 0 unchanged, 1 refused\n"


@pytest.mark.parametrize(
    ("text", "options", "next_step"),
    [
        (BAD, [], "Nothing was imported; mend the rows above, or add --partial."),
        (BAD, ["--dry-run"], "Nothing would be imported; mend the rows above, or add --partial."),
        ("code,name,timezone\nBALI,,WITA\n", ["--partial"], "mend the rows above."),
        ("code,name\nJATIM,Jawa Timur\n", [], "Nothing was imported; mend the file."),
        (GOOD + 'X,"Y,WIB\n', [], "Nothing was imported; mend the file."),
        (GOOD + 'X,"Y,WIB\n', ["--partial"], "Nothing was imported; mend the file."),
    ],
)
def test_the_next_step_is_one_that_helps(run, text, options, next_step):
    """A file that cannot be read has no good rows: --partial would import nothing of it."""
    result = run("region", "import", "FILE", *options, text=text)
    assert result.stderr.splitlines()[-1].endswith(next_step)


@pytest.mark.parametrize("noun", ["region", "model", "dealer", "person"])
@pytest.mark.parametrize("options", [[], ["--json"], ["--partial", "--json"]])
def test_a_header_that_is_not_utf8_is_refused_in_words(run, noun, options):
    """Whatever bytes a file holds, the answer is one that a program can read."""
    result = run(noun, "import", "FILE", *options, text=b"code,na\xffme,timezone\nA,B,WIB\n")
    assert result.exit_code == 1
    if "--json" in options:
        (refusal,) = json.loads(result.stdout)["refused"]
        assert (refusal["row"], refusal["column"], refusal["code"]) == (0, None, "not_utf8")
    else:
        assert "file: column 2 of the header is not UTF-8" in result.stderr


def test_wrong_usage_is_exit_code_2(run):
    """A file that is not there is the caller's mistake."""
    assert run("dealer", "import", "nowhere.csv").exit_code == 2


def test_a_listing_is_json_with_items(run):
    """Every list has the same shape."""
    run("region", "import", "FILE")
    listed = json.loads(run("region", "list", "--json").stdout)
    assert listed == {
        "items": [
            {
                "code": "JATIM",
                "name": "Jawa Timur",
                "timezone": "Asia/Jakarta",
                "manager": None,
                "executives": [],
            }
        ],
        "next": None,
    }


PEOPLE = "id,name,role,dealers,phone\nper_a,Ani,rep,SBY01,081234567802\n"
DEALERS = (
    "code,name,region,lat,lon,timezone,hours,authorised\n"
    "SBY01,Surabaya,JATIM,-7.2575,112.7521,WIB,Mon-Fri 09:00-17:00,yes\n"
)


def test_people_are_imported_sent_on_leave_and_their_dealer_is_closed(run):
    """Each command answers with one JSON object and 0."""
    run("region", "import", "FILE")
    run("dealer", "import", "FILE", text=DEALERS)
    imported = run("person", "import", "FILE", "--json", text=PEOPLE)
    leave = ["--from", "2026-11-23", "--until", "2026-11-24", "--json"]
    left = run("person", "away", "per_a", *leave)
    closed = run("dealer", "close", "sby01", "--on", "2026-12-01", "--json")
    assert json.loads(imported.stdout)["created"] == 1
    assert json.loads(left.stdout)["until"] == "2026-11-24"
    assert json.loads(closed.stdout)["closed_on"] == "2026-12-01"
    assert run("person", "away", "per_b", *leave).exit_code == 1
    assert run("dealer", "close", "X", "--on", "2026-12-01").exit_code == 1
    assert run("dealer", "close", "SBY01", "--on", "soon").exit_code == 2


def test_times_of_a_listing_are_rfc_3339(run):
    """Under the names of the files' columns, as the pages' JSON has them."""
    run("region", "import", "FILE")
    paused = DEALERS.replace("authorised\n", "authorised,paused_until\n").replace(
        "yes\n", "yes,2026-12-01T00:00:00Z\n"
    )
    run("dealer", "import", "FILE", text=paused)
    agreed = PEOPLE.replace("phone\n", "phone,wa_opt_in_at\n").replace(
        "802\n", "802,2026-01-02T03:04:05.678+07:00\n"
    )
    run("person", "import", "FILE", text=agreed + "per_b,Budi,rep,SBY01,,\n")
    (dealer,) = json.loads(run("dealer", "list", "--json").stdout)["items"]
    ani, budi = json.loads(run("person", "list", "--json").stdout)["items"]
    assert dealer["paused_until"] == "2026-12-01T00:00:00.000Z"
    assert (ani["wa_opt_in_at"], budi["wa_opt_in_at"]) == ("2026-01-01T20:04:05.678Z", None)
    assert [] == [name for name in (*dealer, *ani) if name.endswith("_ms")]
