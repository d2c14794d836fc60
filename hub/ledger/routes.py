"""The ledger for auditors: checkpoint, tiles and proofs in the C2SP formats.

Hashes are open to everybody: they prove and tell nothing. Entry bundles hold the events and are
served only to whom `may_read` allows.
"""

import re
from collections.abc import Callable, Sequence

import orjson
from flask import Blueprint, Response, abort
from flask import request as http

from hub.ledger.service import Ledger
from hub.ledger.tree import TILE_WIDTH
from hub.store import Database
from shared.checkpoint import NoteKey, to_base64
from shared.crypto.keys import PublicKey, b64url
from shared.generation import Opening

# Caches keep tiles for ever, so each has one spelling: no leading zeros, as C2SP writes it.
_TILE_INDEX = re.compile(r"(?:(?!x000)(?:x\d{3}/)+)?\d{3}", re.ASCII)
_TILE_PART = re.compile(r"[1-9]\d{0,2}", re.ASCII)
TILE_LEVELS_MAX = 64
IMMUTABLE = "public, max-age=31536000, immutable"
READERS_ONLY = "private, no-store"
"""For what only some may read: no proxy gives it to others, no browser to who comes next."""


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

    def __init__(
        self,
        database: Database,
        ledger: Ledger,
        may_read: Callable[[], bool],
        *,
        openings: Sequence[Opening] = (),
        root: PublicKey | None = None,
        keys: Sequence[NoteKey] = (),
    ) -> None:
        """`may_read` decides who gets the events themselves; `openings`: the later generations.

        `keys`: all that have signed tree heads, the one in use last.
        """
        self._database = database
        self._ledger = ledger
        self._may_read = may_read
        self._openings = openings
        self._root = root
        self._keys = tuple(keys)
        self.generation = len(openings) + 1

    def generations(self) -> Response:
        """Every later generation as the root key opened it, and the key for checking that."""
        values = {
            "generation": self.generation,
            "key": self._ledger.key.vkey,
            "keys_before": [key.vkey for key in self._keys[:-1]],
            "root": None if self._root is None else b64url(self._root.raw),
            "openings": [opening.values() for opening in self._openings],
        }
        headers = {"content-type": "application/json", "cache-control": "no-store"}
        return Response(orjson.dumps(values), 200, headers)

    def of_generation(self, handle: Callable[..., Response]) -> Callable[..., Response]:
        """`handle` under a generation's own path: 404 for any but the open one."""

        def only_open(generation: int, **values: object) -> Response:
            return handle(**values) if generation == self.generation else abort(404)

        return only_open

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
        bundle = b"".join(len(leaf).to_bytes(2, "big") + leaf for leaf in leaves)
        return _octets(bundle, READERS_ONLY)

    def tile(self, level: int, path: str) -> Response:
        """Hashes of a tile."""
        index, width = _tile_or_404(path)
        if level >= TILE_LEVELS_MAX:
            abort(404)
        try:
            with self._database.read() as connection:
                hashes = self._ledger.proofs.tile(connection, level, index, width)
        except KeyError:
            abort(404)
        return _octets(hashes, self._cache())

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
        return _text("".join(f"{to_base64(step)}\n" for step in steps), self._cache())

    def _cache(self) -> str:
        """Under a path that an earlier generation had too, nothing can be kept for ever."""
        own_path = self.generation == 1 or "generation" in (http.view_args or {})
        return IMMUTABLE if own_path else "no-store"


def _octets(body: bytes, cache: str) -> Response:
    headers = {"content-type": "application/octet-stream", "cache-control": cache}
    return Response(body, 200, headers)


def _text(body: str, cache: str = "no-store") -> Response:
    headers = {"content-type": "text/plain; charset=utf-8", "cache-control": cache}
    return Response(body, 200, headers)


def blueprint(door: LedgerDoor) -> Blueprint:
    """The routes below ``/ledger`` that machines read, and below ``/ledger/<generation>``."""
    routes = Blueprint("ledger_door", __name__, url_prefix="/ledger")
    for path, name, handle in (
        ("/checkpoint", "checkpoint", door.checkpoint),
        ("/key", "key", door.key),
        ("/tile/entries/<path:path>", "entries", door.entries),
        ("/tile/<int:level>/<path:path>", "tile", door.tile),
        ("/proof/inclusion/<int:index>", "inclusion", door.inclusion),
        ("/proof/consistency", "consistency", door.consistency),
    ):
        routes.add_url_rule(path, name, handle)
        own = door.of_generation(handle)
        routes.add_url_rule(f"/<int:generation>{path}", f"{name}-of-generation", own)
    routes.add_url_rule("/generations", "generations", door.generations)
    return routes


def _tile_or_404(path: str) -> tuple[int, int]:
    try:
        return parse_tile_path(path)
    except ValueError:
        abort(404)
