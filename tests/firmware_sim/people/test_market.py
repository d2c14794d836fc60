"""What the simulated market tells a hub is what the hub reads: settings, people, models, words."""

from pathlib import Path

import pytest

from firmware_sim.people.market import BRAND, SECOND, Market, MarketPlan
from firmware_sim.places import places, write_dealers, write_regions
from hub.config import load_config
from hub.registry.service import Registry
from shared.clock import SystemClock


@pytest.fixture(params=["meta", "qontak"])
def market(request, tmp_path):
    """Two dealers, three reps each, by either road; its ports are free again afterwards."""
    plan = MarketPlan(network=places(2), customers_by=request.param, claim_s=30)
    made = Market(plan, folder=tmp_path, clock=SystemClock())
    made.start()
    yield made
    made.close()


def test_the_settings_are_those_of_a_hub(market, tmp_path):
    """One number for both, or the brand's at Qontak and a second one at Meta; secrets are files."""
    config_file = tmp_path / "hub.toml"
    config_file.write_text(
        f"""\
[server]
listen = "127.0.0.1:0"
public_url = "https://hub.example"
keys_dir = "{tmp_path}/keys"
database = "sqlite:///{tmp_path}/hub.db"

{market.settings()}""",
        encoding="utf-8",
    )

    config = load_config(config_file)

    shown = [(number.channel, number.serves, number.phone) for number in config.numbers]
    assert shown == (
        [("meta", "both", SECOND)]
        if market.qontak is None
        else [("qontak", "customers", BRAND), ("meta", "reps", SECOND)]
    )
    assert config.leads.claim_s == 30
    secret_file = config.whatsapp.app_secret_file
    assert secret_file is not None
    assert secret_file.read_text(encoding="ascii") == market.graph.app_secret
    assert secret_file.stat().st_mode & 0o77 == 0


def test_the_lists_are_taken_by_the_registry(market, database, tmp_path):
    """Regions, dealers, models, people: each row is created, none refused."""
    registry = Registry(database)
    write_regions(tmp_path / "regions.csv", market.plan.network)
    write_dealers(tmp_path / "dealers.csv", market.plan.network)
    models, people = (Path(command[-1]) for command in market.commands())

    for book, path in (
        (registry.regions, tmp_path / "regions.csv"),
        (registry.dealers, tmp_path / "dealers.csv"),
        (registry.models, models),
        (registry.people, people),
    ):
        answer = book.import_file(path.read_bytes(), partial=False, dry_run=False)
        assert (answer.rows, answer.refused) == (answer.created, ())

    assert len(registry.people.all()) == 6


def test_every_template_of_ours_passes_the_review(market):
    """The stand-in's reviewers are as strict as Meta's."""
    states = {(each.name, each.language): each.status for each in market.graph.templates.all()}

    assert len(states) >= 16
    assert set(states.values()) == {"APPROVED"}
