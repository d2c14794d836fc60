"""The pages' own files."""

import hashlib

from hub.portals.assets import STATIC, all_assets, asset_url


def test_vendored_files_are_what_was_taken() -> None:
    """Each file from elsewhere has its licence beside it and the hash it came with."""
    vendor = STATIC / "vendor"
    lines = (vendor / "SHA256SUMS").read_text().splitlines()
    stated = {name: digest for digest, name in (line.split("  ") for line in lines)}
    present = {path.name for path in vendor.iterdir()} - {"SHA256SUMS"}

    assert present == set(stated)
    for name, digest in stated.items():
        assert hashlib.sha256((vendor / name).read_bytes()).hexdigest() == digest
    assert any(name.startswith("LICENSE") for name in stated)


def test_an_address_holds_the_hash_of_its_content() -> None:
    """A changed file has a changed address, so it may be kept for a year."""
    for name, asset in all_assets().items():
        assert hashlib.sha256(asset.plain).hexdigest()[:10] in asset_url(name)
        assert len(asset.zipped) < len(asset.plain)


def test_nothing_is_fetched_from_elsewhere() -> None:
    """Style and script name no other host."""
    for name in ("kickstand.css", "kickstand.js"):
        text = all_assets()[name].plain.decode()
        assert "http" not in text.replace("http://www.w3.org", "")
        assert "@import" not in text
