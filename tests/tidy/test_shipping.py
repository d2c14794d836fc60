"""What a box or a hub gets when it installs Kickstand."""

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.tidy.tree import PACKAGES, ROOT

# Made where it is read: sources of translations are compiled, caches are nobody's.
NOT_SHIPPED = {".pyc", ".po", ".pot"}
OPTIONS = [
    "--disable-pip-version-check",
    "wheel",
    "--quiet",
    "--no-deps",
    "--no-index",
    "--no-build-isolation",
]


@pytest.fixture(scope="module")
def shipped(tmp_path_factory) -> set[str]:
    """Paths inside a wheel that is built from a copy of the checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    for name in (*PACKAGES, "tests", "bench"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder / name)
    subprocess.run(
        [sys.executable, "-m", "pip", *OPTIONS, "--wheel-dir", folder, folder],
        check=True,
        capture_output=True,
        timeout=120,
    )
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def test_only_the_four_packages_ship(shipped):
    """Tests, benches and scripts stay in the checkout."""
    top = {Path(name).parts[0] for name in shipped}

    assert {name for name in top if not name.endswith(".dist-info")} == set(PACKAGES)


def test_everything_that_a_package_reads_ships_with_it(shipped):
    """Templates, stylesheets, compiled translations, receipt templates: no data file stays behind.

    A kind of file that is new here belongs in pyproject.toml's package-data.
    """
    present = {
        file.relative_to(ROOT).as_posix()
        for package in PACKAGES
        for file in (ROOT / package).rglob("*")
        if file.is_file() and file.suffix not in NOT_SHIPPED and "__pycache__" not in file.parts
    }

    assert [] == sorted(present - shipped)


def test_the_licence_ships(shipped):
    """Apache-2.0 asks that its text travels with the code, and so do the vendored files' ones."""
    assert [name for name in shipped if name.endswith("/LICENSE") and ".dist-info/" in name]
