"""The ledger for auditors: checkpoint, tiles and proofs in the C2SP formats.

Hashes are open to everybody: they prove and tell nothing. Entry bundles hold the events and are
served only to whom `may_read` allows.
"""

import re
from collections.abc import Callable

from flask import Blueprint, Response, abort
from flask import request as http

from hub.ledger.service import Ledger
from hub.ledger.tree import TILE_WIDTH
from hub.store import Database
from shared.checkpoint import to_base64

# Caches keep tiles for ever, so each has one spelling: no leading zeros, as C2SP writes it.
_TILE_INDEX = re.compile(r"(?:(?!x000)(?:x\d{3}/)+)?\d{3}", re.ASCII)
_TILE_PART = re.compile(r"[1-9]\d{0,2}", re.ASCII)
TILE_LEVELS_MAX = 64
IMMUTABLE = "public, max-age=31536000, immutable"


def parse_tile_path(path: str) -> tuple[int, int]:
    """Index and width of ``x001/067`` or ``x001/067.p/12``. Raises ValueError."""
    name, partial, width = path.partition(".p/")
    if _TILE_INDEX.fullmatch(name) is None:
        raise ValueError("not a tile index")
    if partial and (_TILE_PART.fullmatch(width) is None or int(width) >= TILE_WIDTH):
        raise ValueError("not a tile width")
    index = int(name.replace("x", "").replace("/", ""))
    return index, int(width) if partial else TILE_WIDTH


class LedgerDoor:
    """Answers what auditors' programs ask."""

    def __init__(self, database: Database, ledger: Ledger, may_read: Callable[[], bool]) -> None:
        """`may_read` decides who gets the events themselves."""
        self._database = database
        self._ledger = ledger
        self._may_read = may_read

    def checkpoint(self) -> Response:
        """The newest signed tree head."""
        return _text(self._ledger.checkpoint())

    def key(self) -> Response:
        """The vkey that signs tree heads."""
        return _text(f"{self._ledger.key.vkey}\n")

    def entries(self, path: str) -> Response:
        """An entry bundle: u16 length and leaf, 256 times or as asked."""
        if not self._may_read():
            abort(403)
        index, width = _tile_or_404(path)
        first = index * TILE_WIDTH
        if first + width > self._ledger.size():
            abort(404)
        leaves = self._ledger.leaves(first, first + width)
        return _octets(b"".join(len(leaf).to_bytes(2, "big") + leaf for leaf in leaves))

    def tile(self, level: int, path: str) -> Response:
        """Hashes of a tile."""
        index, width = _tile_or_404(path)
        if level >= TILE_LEVELS_MAX:
            abort(404)
        try:
            with self._database.read() as connection:
                return _octets(self._ledger.proofs.tile(connection, level, index, width))
        except KeyError:
            abort(404)

    def inclusion(self, index: int) -> Response:
        """A tlog-proof of one entry."""
        proof = self._ledger.proof(index)
        return _text(proof.tlog_proof) if proof else abort(404)

    def consistency(self) -> Response:
        """RFC 6962 consistency, one base64 hash a line."""
        old, new = http.args.get("from", type=int), http.args.get("to", type=int)
        if old is None or new is None or not 0 < old <= new <= self._ledger.size():
            abort(400, "from and to are sizes, 0 < from ≤ to ≤ the ledger's size")
        with self._database.read() as connection:
            steps = self._ledger.proofs.consistency(connection, old, new)
        return _text("".join(f"{to_base64(step)}\n" for step in steps), IMMUTABLE)


def _text(body: str, cache: str = "no-store") -> Response:
    headers = {"content-type": "text/plain; charset=utf-8", "cache-control": cache}
    return Response(body, 200, headers)


def _octets(body: bytes) -> Response:
    headers = {"content-type": "application/octet-stream", "cache-control": IMMUTABLE}
    return Response(body, 200, headers)


def blueprint(database: Database, ledger: Ledger, may_read: Callable[[], bool]) -> Blueprint:
    """The routes below ``/ledger`` that machines read."""
    door = LedgerDoor(database, ledger, may_read)
    routes = Blueprint("ledger_door", __name__, url_prefix="/ledger")
    routes.add_url_rule("/checkpoint", "checkpoint", door.checkpoint)
    routes.add_url_rule("/key", "key", door.key)
    routes.add_url_rule("/tile/entries/<path:path>", "entries", door.entries)
    routes.add_url_rule("/tile/<int:level>/<path:path>", "tile", door.tile)
    routes.add_url_rule("/proof/inclusion/<int:index>", "inclusion", door.inclusion)
    routes.add_url_rule("/proof/consistency", "consistency", door.consistency)
    return routes


def _tile_or_404(path: str) -> tuple[int, int]:
    try:
        return parse_tile_path(path)
    except ValueError:
        abort(404)
