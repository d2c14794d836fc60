"""`kickstand-hub` as a person at a terminal meets it: processes, exit codes, JSON."""

import contextlib
import fcntl
import subprocess
import sys
import urllib.request
from pathlib import Path

import orjson
import pytest

ROOT = Path(__file__).parents[2]
REGION = "code,name,timezone\nR,R,Asia/Jakarta\n"
DEALER = (
    "code,name,region,address,lat,lon,timezone,hours,authorised\n"
    "D1,D1,R,Jl. 1,-7.2,112.7,Asia/Jakarta,Mon-Sun 09:00-21:00,yes\n"
)


class Site:
    """A hub's settings in a folder, and its program."""

    def __init__(self, folder):
        self.folder = folder
        self.first: dict[str, str] = {}
        self.config = folder / "hub.toml"
        self.config.write_text(
            f'[server]\nlisten = "127.0.0.1:0"\npublic_url = "http://hub.example"\n'
            f'keys_dir = "{folder}/keys"\ndatabase = "sqlite:///{folder}/hub.db"\n'
        )
        self.call = [sys.executable, "-m", "hub", "--config", str(self.config)]

    def run(self, *arguments):
        """Exit code, stdout and stderr."""
        done = subprocess.run(
            [*self.call, *arguments],
            capture_output=True, text=True, check=False, timeout=120, cwd=ROOT,
        )  # fmt: skip
        return done.returncode, done.stdout, done.stderr

    @contextlib.contextmanager
    def serving(self):
        """A serving process; its address."""
        process = subprocess.Popen(
            [*self.call, "serve"], cwd=ROOT, stdout=subprocess.PIPE, text=True
        )
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line.startswith("listening on http://127.0.0.1:")
            yield line.split()[-1]
        finally:
            process.terminate()
            assert process.wait(60) == 0
            assert process.stdout is not None
            assert process.stdout.read() == ""
            process.stdout.close()


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A hub with one dealer."""
    made = Site(tmp_path_factory.mktemp("site"))
    code, out, err = made.run("init", "--admin", "admin@example.com", "--json")
    assert (code, err) == (0, "")
    made.first = orjson.loads(out)
    for noun, rows in (("region", REGION), ("dealer", DEALER)):
        (made.folder / f"{noun}.csv").write_text(rows)
        assert made.run(noun, "import", str(made.folder / f"{noun}.csv"))[0] == 0
    return made


def test_init_is_idempotent(site):
    """Keys and ledger stay; each call gives a new login link."""
    keys = {path.name: path.read_bytes() for path in (site.folder / "keys").iterdir()}
    code, out, _ = site.run("init", "--admin", "admin@example.com", "--json")
    again = orjson.loads(out)

    assert code == 0
    assert keys == {path.name: path.read_bytes() for path in (site.folder / "keys").iterdir()}
    assert (site.folder / "keys").stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in (site.folder / "keys").iterdir()} == {0o600}
    assert again["log_key"] == site.first["log_key"]
    assert again["login_url"] != site.first["login_url"]
    assert again["login_url"].startswith("http://hub.example/")


def test_work_is_done_beside_a_serving_process(site):
    """
    One `serve`, and beside it: `work --until-idle` returns, a second `serve` says clearly why
    not, `device invite` works, `ledger verify` is unbroken.
    """
    with site.serving() as address:
        with urllib.request.urlopen(f"{address}/readyz", timeout=30) as answer:
            assert answer.status == 200
        code, out, err = site.run("serve")
        assert (code, out) == (1, "")
        assert "another process orders the ledger" in err
        assert "Traceback" not in err
        code, out, _ = site.run("device", "invite", "--dealer", "D1", "--json")
        secret, fingerprint = orjson.loads(out)["code"].split(".")
        assert (code, len(secret), fingerprint) == (0, 16, site.first["root_fingerprint"])
        assert site.run("work", "--until-idle")[0] == 0
    code, out, _ = site.run("ledger", "verify", "--json")
    assert (code, orjson.loads(out)["findings"]) == (0, [])


def test_a_restored_hub_is_held_and_released(site):
    """Before the first start after a restore; each command says where the hub stands, twice too."""
    for _ in range(2):
        code, out, _ = site.run("ledger", "hold")
        assert code == 0
        assert out.startswith("read-only: held")
    code, out, _ = site.run("ledger", "refill", "--json")
    found = orjson.loads(out)
    assert (code, found["held"], found["read_only"]) == (0, True, True)
    assert (found["target"], found["missing"]) == (None, [])
    for _ in range(2):
        code, out, _ = site.run("ledger", "release")
        assert code == 0
        assert out.startswith("open")


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["device", "invite", "--dealer", "NONE"], 1, "no dealer 'NONE'"),
        (["device", "invite"], 2, "--dealer"),
        (["serve", "--only", "boxes"], 2, "--only"),
        (["nonsense"], 2, "nonsense"),
        (["--config", "/nowhere/hub.toml", "ledger", "verify"], 1, "/nowhere/hub.toml"),
    ],
)
def test_exit_codes_tell_refused_from_misused(site, arguments, code, says):
    """1: something refused, with what to do; 2: wrong usage. Never a traceback."""
    found, _, err = site.run(*arguments)
    assert (found, "Traceback" in err) == (code, False)
    assert says in err


def test_a_hub_without_keys_says_what_to_do(tmp_path):
    """Before `init`: one sentence."""
    code, _, err = Site(tmp_path).run("ledger", "verify")
    assert (code, "run `kickstand-hub init` first" in err) == (1, True)


def test_what_nobody_else_orders_is_work_left(site):
    """The lock is held by a process that does nothing: `work --until-idle` alone still ends."""
    with (site.folder / "hub.db.sequencer").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        code, out, err = site.run("work", "--until-idle")
    assert (code, out, err) == (0, "", "")


def test_a_person_gets_a_login_link(site):
    """Of this hub's address and for ten minutes; an unknown person is an error of one sentence."""
    people = site.folder / "people.csv"
    people.write_text("id,name,role,dealers\nper_m,Maya,dealer_manager,D1\n")
    assert site.run("person", "import", str(people))[0] == 0

    code, out, _ = site.run("person", "login-link", "per_m", "--json")
    assert code == 0
    made = orjson.loads(out)
    assert made["login_url"].startswith("http://hub.example/login/")
    assert (made["person"], made["expires_s"]) == ("per_m", 600)
    code, _, err = site.run("person", "login-link", "per_x")
    assert (code, "per_x" in err) == (1, True)


SETTINGS = {
    "whatsapp": ("access_token_file", "[whatsapp] access_token_file"),
    "intake": ("keys_file", "[intake] keys_file"),
    "leads": ("holidays_file", "[leads] holidays_file"),
    "smtp": ("password_file", "[smtp] password_file"),
}


@pytest.mark.parametrize("table", SETTINGS)
def test_a_file_that_a_setting_names_and_that_is_not_there_is_said_with_it(tmp_path, table):
    """The setting, the file, and that it is missing."""
    site = Site(tmp_path)
    assert site.run("init", "--admin", "admin@example.com")[0] == 0
    key, named = SETTINGS[table]
    more = 'holidays = "all"\n' if table == "leads" else ""
    more = 'host = "mail.example"\nfrom = "a@mail.example"\n' if table == "smtp" else more
    with site.config.open("a") as config:
        config.write(f'[{table}]\n{key} = "{tmp_path}/nowhere"\n{more}')
    code, _, err = site.run("work", "--until-idle")
    assert code == 1
    assert err.startswith(f"Error: {named}: {tmp_path}/nowhere: ")
    assert "No such file" in err


def test_every_error_begins_the_same_way(site, tmp_path):
    """Of the settings, of the keys, of a command; wrong usage shows the usage before it."""
    bare = Site(tmp_path)
    wrong = bare.folder / "wrong.toml"
    wrong.write_text("not = = toml")
    for call in (
        site.run("person", "login-link", "per_nobody"),
        bare.run("region", "list"),
        bare.run("--config", str(wrong), "region", "list"),
        bare.run("--config", str(tmp_path / "none.toml"), "region", "list"),
    ):
        assert call[0] == 1
        assert call[2].startswith("Error: "), call[2]
    code, _, err = site.run("region", "import", "nowhere.csv")
    assert code == 2
    assert "\nError: " in err
