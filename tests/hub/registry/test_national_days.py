"""National days: a list that ships, another that takes its place, and none unless asked for."""

import pytest

from hub.config import parse_config
from hub.errors import ConfigError
from hub.registry.national_days import national_days


def test_the_shipped_list_tells_holidays_from_collective_leave():
    """Independence Day is a holiday, Christmas Eve is leave; nobody is shut without asking."""
    public, everything = national_days("public"), national_days("all")
    assert {"2026-08-17", "2026-12-25"} <= public < everything
    assert "2026-12-24" in everything - public
    assert national_days("none") == frozenset()
    config = parse_config("[server]\npublic_url = 'https://h'\n[leads]\nholidays = 'all'\n")
    assert config.leads.holidays == "all"


def test_a_list_of_ones_own_takes_its_place(tmp_path):
    """What the government has announced since; a row that is wrong stops the start."""
    file = tmp_path / "days.csv"
    file.write_text("day;kind\n2027-03-10;public\n")
    assert national_days("public", file) == {"2027-03-10"}
    for wrong in ("day,kind\n2027-02-30,public\n", "day,kind\n2027-03-10,fun\n", "days\n", ""):
        file.write_text(wrong)
        with pytest.raises(ConfigError, match="holidays_file"):
            national_days("public", file)
    with pytest.raises(ConfigError, match="holidays_file"):
        national_days("all", tmp_path / "none.csv")
