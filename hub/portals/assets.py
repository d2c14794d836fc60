"""The pages' own files: stylesheet, script, mark.

Promises: a file's address holds a hash of its content, so it may be kept for a year and a new
release is seen at once; nothing is ever fetched from another host.
"""

import gzip
import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from flask import Blueprint, Response, abort, request

STATIC: Final = Path(__file__).parent / "static"
FOREVER: Final = "public, max-age=31536000, immutable"
KINDS: Final = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
assets = Blueprint("portal_assets", __name__)


@dataclass(frozen=True, slots=True)
class Asset:
    """One file, as it is sent."""

    url: str
    content_type: str
    plain: bytes
    zipped: bytes


@cache
def all_assets() -> dict[str, Asset]:
    """Every file of the pages by its name below ``static``."""
    found = {}
    for path in sorted(STATIC.rglob("*")):
        if path.suffix not in KINDS:
            continue
        plain = path.read_bytes()
        name = path.relative_to(STATIC).as_posix()
        mark = hashlib.sha256(plain).hexdigest()[:10]
        url = f"/assets/{name.removesuffix(path.suffix)}.{mark}{path.suffix}"
        zipped = gzip.compress(plain, 9, mtime=0)
        found[name] = Asset(url, KINDS[path.suffix], plain, zipped)
    return found


def asset_url(name: str) -> str:
    """The address of a file, its content's hash inside. Raises KeyError for an unknown name."""
    return all_assets()[name].url


@cache
def _by_url() -> dict[str, Asset]:
    return {asset.url: asset for asset in all_assets().values()}


@assets.get("/assets/<path:name>")
def send(name: str) -> Response:
    """One file; an address with another hash is not found, so that no stale file is cached."""
    asset = _by_url().get(f"/assets/{name}")
    if asset is None:
        abort(404)
    zipped = request.accept_encodings.quality("gzip") > 0
    answer = Response(asset.zipped if zipped else asset.plain, content_type=asset.content_type)
    if zipped:
        answer.headers["Content-Encoding"] = "gzip"
    answer.headers["Vary"] = "Accept-Encoding"
    answer.headers["Cache-Control"] = FOREVER
    return answer
