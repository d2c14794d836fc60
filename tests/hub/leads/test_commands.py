"""`kickstand-hub lead …` over a market: what it says, and that it does what it says."""

import json
from dataclasses import dataclass
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from hub.contacts.service import Contacts
from hub.leads.board import Board
from hub.leads.commands import CLOSE_REASONS, lead_group
from hub.portals import lead_words
from tests.fakes.lead_market import START_MS, Market, a_dealer, a_rep


@dataclass
class Shell:
    """A command line on a market's machine."""

    market: Market

    def run(self, *arguments):
        """Exit code and output of a command."""
        market = self.market
        board = Board(market.database, market.desk, Contacts(b"k" * 32))
        hub = SimpleNamespace(
            leads=SimpleNamespace(board=board, leads=market.leads),
            database=market.database,
            clock=market.clock,
        )
        ran = CliRunner().invoke(lead_group, arguments, obj=SimpleNamespace(hub=hub))
        return ran.exit_code, ran.output

    def json(self, *arguments):
        """What it answers as JSON."""
        code, output = self.run(*arguments, "--json")
        assert code == 0, output
        return json.loads(output)


@pytest.fixture
def shell(database):
    """Two dealers with a rep each."""
    market = Market(database)
    market.town.add(a_dealer("SBY01", 1), a_rep(1, "SBY01"))
    market.town.add(a_dealer("SBY02", 2), a_rep(2, "SBY02"))
    return Shell(market)


def test_it_says_who_would_get_a_lead_and_why_not_the_others(shell):
    """The nearest first, with the people who would be told."""
    shell.market.town.shut["SBY01"] = START_MS + 1000
    first, second = shell.json("nearest", "--lat", "-7.2575", "--lon", "112.7521")["items"]
    assert (first["dealer"], first["chosen"], first["why"]) == ("SBY01", False, "closed")
    assert (second["chosen"], second["reps"]) == (True, ["per_2"])
    assert shell.run("nearest", "--lat", "-7.2575", "--lon", "112.7521")[0] == 0


@pytest.mark.parametrize(
    "wrong",
    [
        ("--lat", "0", "--lon", "0"),
        ("--lat", "112.7", "--lon", "-7.2"),
        ("--lat", "-7.2", "--lon", "112.7", "--at", "tomorrow"),
        ("--lat", "-7.2", "--lon", "112.7", "--at", "2026-11-22T09:00:00"),
    ],
)
def test_what_cannot_be_meant_is_wrong_usage(shell, wrong):
    """A place at sea, a time without its zone."""
    assert shell.run("nearest", *wrong)[0] == 2


def test_a_lead_is_shown_released_given_and_closed(shell):
    """Each once; what is not so any more is refused with exit 1 and says the state."""
    lead = shell.market.lead()
    shell.market.tap("per_1", f"CLAIM_{lead}")
    shown = shell.json("show", lead)
    assert (shown["owner"]["rep"], shown["customer"]["phone"]) == ("per_1", None)
    assert "tap.received" in shell.run("show", lead)[1]

    assert shell.json("release", lead)["state"] == "UNCLAIMED"
    assert shell.json("transfer", lead, "per_2") == {"lead": lead, "state": "CLAIMED"}
    assert shell.market.get(lead).rep == "per_2"
    assert shell.json("close", lead, "--reason", "other")["state"] == "LOST_UNRESPONSIVE"
    code, output = shell.run("close", lead, "--reason", "other")
    assert (code, "LOST_UNRESPONSIVE" in output) == (1, True)
    assert shell.run("show", "led_nobody")[0] == 1
    assert shell.run("release", "led_nobody")[0] == 1


def test_pages_and_commands_close_for_the_same_reasons():
    """A reason is a word of one list."""
    assert tuple(lead_words.CLOSE_REASONS) == CLOSE_REASONS
