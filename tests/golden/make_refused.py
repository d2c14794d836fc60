"""Writes `refused/`: one file per way to be wrong, named after it, made from the golden files.

`python -m tests.golden.make_refused` adds what is missing; what exists is never written again.
The folder names the reader that has to refuse it. HTTP requests say with which code.
"""

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from shared.crypto.keys import KeySet, SigningKey
from shared.crypto.rotation import Rotation
from shared.http_signatures import Request, content_digest
from shared.wire import batch as wire
from tests.checks import http_base
from tests.golden import make

HERE = Path(__file__).parent / "refused"
V1 = make.HERE


def golden(name: str) -> bytes:
    """A golden file's bytes."""
    content = (V1 / name).read_bytes()
    return bytes.fromhex(content.decode()) if name.endswith(".hex") else content


def swapped(name: str, old: bytes, new: bytes) -> bytes:
    """A golden file with one thing replaced, once."""
    content = golden(name)
    if content.count(old) < 1 or old == new:
        raise ValueError(f"{name} holds no {old!r}")
    return content.replace(old, new, 1)


def wrong_events() -> dict[str, bytes]:
    """Events that cannot be read."""
    sale, report, loss = "event.pos.sale.json", "event.scooter.report.json", "event.agent.loss.json"
    return {
        "not-json": golden(sale)[:-1],
        "not-an-object": b"[" + golden(sale) + b"]",
        "not-utf-8": swapped(sale, b"till-1", b"till-\xff"),
        "version-from-the-future": swapped(sale, b'"v":1', b'"v":2'),
        "version-missing": swapped(sale, b'"v":1,', b""),
        "type-unknown": swapped(sale, b"pos.sale", b"pos.gift"),
        "lane-of-another-type": swapped(sale, b'"lane":"sale"', b'"lane":"vehicle"'),
        "number-zero": swapped(sale, b'"n":1,', b'"n":0,'),
        "number-a-text": swapped(sale, b'"n":1,', b'"n":"1",'),
        "time-without-a-clock": swapped(sale, b'"clock":"hub"', b'"clock":"none"'),
        "time-that-does-not-exist": swapped(sale, b"2026-11-22T", b"2026-13-22T"),
        "time-with-an-offset": swapped(sale, b".284Z", b".284+07:00"),
        "price-negative": swapped(sale, b'"net_idr":21400000', b'"net_idr":-21400000'),
        "price-with-cents": swapped(sale, b'"net_idr":21400000', b'"net_idr":21400000.0'),
        "price-a-text": swapped(sale, b'"net_idr":21400000', b'"net_idr":"21.400.000"'),
        "price-missing": swapped(sale, b',"net_idr":21400000', b""),
        "receipt-with-a-line": swapped(sale, b"20261122-0093", b"20261122\\n0093"),
        "payment-unknown": swapped(sale, b'"cash"', b'"favour"'),
        "buyer-in-the-clear": swapped(sale, b'"commitment"', b'"name"'),
        "attachment-without-hash": swapped(sale, b'"sha256"', b'"sha1"'),
        "position-beyond-the-pole": swapped(report, b"-7.2575", b"-97.2575"),
        "battery-above-100": swapped(report, b'"battery_pct":71', b'"battery_pct":171'),
        "authenticated-by-rumour": swapped(report, b"broker", b"rumour"),
        "loss-backwards": swapped(loss, b"[17,40]", b"[40,17]"),
    }


def wrong_statements() -> dict[str, bytes]:
    """Statements that cannot be read."""
    name = "statement.json"
    return {
        "not-json": golden(name)[:-1],
        "version-from-the-future": swapped(name, b'"v":1', b'"v":2'),
        "count-zero": swapped(name, b'"count":4', b'"count":0'),
        "count-above-500": swapped(name, b'"count":4', b'"count":501'),
        "ranges-of-another-count": swapped(name, b"[[1,1,4]]", b"[[1,1,5]]"),
        "ranges-backwards": swapped(name, b"[[1,1,4]]", b"[[1,4,1]]"),
        "root-in-capitals": swapped(name, b'"root":"c1', b'"root":"C1'),
        "root-too-short": swapped(name, b'"root":"c1', b'"root":"'),
        "lane-unknown": swapped(name, b'"sale"', b'"gift"'),
        "epoch-zero": swapped(name, b'"epoch":1', b'"epoch":0'),
    }


def wrong_bodies() -> dict[str, bytes]:
    """Bodies that contradict themselves."""
    raw, made = golden("body.hex"), make.sealed()
    cipher = make.attachment()
    other = replace(wire.parse_statement(made.statement), root="00" * 32).encode()
    return {
        "empty": b"",
        "cut": raw[:-1],
        "cut-in-the-statement": raw[:100],
        "with-a-tail": raw + b"\0",
        "an-event-altered": raw.replace(b"20261122-0093", b"20261122-0094", 1),
        "an-event-missing": wire.encode_body(made.statement, made.seal, made.events[:-1], [cipher]),
        "events-in-another-order": wire.encode_body(
            made.statement, made.seal, made.events[::-1], [cipher]
        ),
        "attachment-missing": wire.encode_body(made.statement, made.seal, made.events),
        "attachment-altered": raw[:-1] + bytes([raw[-1] ^ 1]),
        "attachment-twice": wire.encode_body(
            made.statement, made.seal, made.events, [cipher, cipher]
        ),
        "statement-of-other-events": wire.encode_body(other, made.seal, made.events, [cipher]),
        "length-beyond-the-end": b"\xff\xff\xff\xff" + raw[4:],
    }


def wrong_receipts() -> dict[str, bytes]:
    """Receipts that do not prove the golden batch from the golden head `known.txt`."""
    name = "receipt.json"
    receipt = json.loads(golden(name))
    growth = json.dumps(receipt["consistency"], separators=(",", ":")).encode()
    return {
        "not-json": golden(name)[:-1],
        "another-batch": swapped(name, b'"batch_id":"8a', b'"batch_id":"8b'),
        "another-place": swapped(name, b'"first_index":9', b'"first_index":8'),
        "another-count": swapped(name, b'"count":4', b'"count":3'),
        "another-time": swapped(name, b"1795354314384", b"1795354314385"),
        "path-altered": swapped(name, b'"proof":"lJE', b'"proof":"lJF'),
        "path-missing": swapped(name, receipt["proof"].encode(), b""),
        "path-with-stray-bits": swapped(name, b'M=","checkpoint', b'N=","checkpoint'),
        "unsigned-checkpoint": swapped(name, receipt["checkpoint"][-12:-8].encode(), b"AAAA"),
        "checkpoint-of-another-size": swapped(name, rb"\n15\n", rb"\n16\n"),
        "growth-missing": swapped(name, b',"consistency":' + growth, b""),
        "growth-from-elsewhere": swapped(name, b'"old":5', b'"old":4'),
        "growth-altered": swapped(name, b'"proof":"SFM', b'"proof":"SFN'),
    }


def wrong_rotations() -> dict[str, bytes]:
    """Next keys that the old one did not name, or that nobody was shown to hold."""
    name = "rotation.json"
    right = json.loads(golden(name))
    old, new = right["old_signature"], right["new_signature"]

    def signed_by(first: SigningKey, second: SigningKey, device: str = make.DEVICE) -> bytes:
        return json.dumps(Rotation.sign(device, old=first, new=second).values()).encode()

    mixed = json.loads(signed_by(make.AGENT, make.HUB))
    return {
        "old-key-missing": json.dumps(right | {"old_signature": None}).encode(),
        "new-key-missing": json.dumps(right | {"new_signature": None}).encode(),
        "signatures-swapped": json.dumps(
            right | {"old_signature": new, "new_signature": old}
        ).encode(),
        "signature-of-another-rotation": json.dumps(
            right | {"old_signature": mixed["old_signature"]}
        ).encode(),
        "follows-another-key": signed_by(make.HUB, make.NEXT),
        "another-version": swapped(name, b'\\"v\\":1', b'\\"v\\":2'),
        "another-device": swapped(name, make.DEVICE.encode(), b"dev_" + b"a" * 26),
        "text-changed": swapped(name, b'\\"v\\":1,', b'\\"v\\":1, '),
    }


def wrong_keysets() -> dict[str, bytes]:
    """Key sets that the golden root did not sign so."""
    name = "keyset.json"
    return {
        "not-json": golden(name)[:-1],
        "another-name": swapped(name, b"hub.example", b"hub.exampla"),
        "another-version": swapped(name, rb"\"version\":1", rb"\"version\":2"),
        "unsigned": golden(name).split(b',"signature"')[0] + b',"signature":""}',
        "signed-by-another-key": other_root(),
    }


def other_root() -> bytes:
    """A key set that another root signed for itself, as a captive portal might."""
    keys = make.keyset()
    return KeySet.sign(
        name=keys.name,
        version=keys.version,
        root=make.AGENT,
        http=make.HUB.public,
        ledger_vkey=keys.ledger_vkey,
        encryption=keys.encryption,
    ).encode()


def wrong_proofs() -> dict[str, bytes]:
    """Exported files that prove nothing."""
    name = "proof.tlog-proof"
    lines = golden(name).split(b"\n")
    return {
        "another-format": swapped(name, b"@v1", b"@v2"),
        "another-index": swapped(name, b"index 9", b"index 10"),
        "index-with-a-zero": swapped(name, b"index 9", b"index 09"),
        "index-missing": swapped(name, b"index 9\n", b""),
        "path-step-missing": b"\n".join(lines[:3] + lines[4:]),
        "path-step-twice": b"\n".join([*lines[:4], lines[3], *lines[4:]]),
        "another-size": swapped(name, b"\n15\n", b"\n14\n"),
        "another-ledger": swapped(name, b"hub.example/ledger\n15", b"hub.example/ledgar\n15"),
        "unsigned": golden(name).split("— ".encode())[0],
        "no-entry": b"\n".join([lines[0], *lines[2:]]),
    }


def wrong_requests() -> dict[str, bytes]:
    """Requests with the code that refuses them. All but the last five are rightly signed."""
    good = json.loads(golden("http.batches-receipt.json"))["request"]
    params = good["headers"]["signature-input"].removeprefix("agent=")
    changes: dict[str, tuple[str, Callable[[str], str]]] = {
        "tag-of-another-profile": (
            "signature-malformed",
            lambda p: p.replace("-agent/1", "-hub/1"),
        ),
        "algorithm-of-another-kind": ("signature-malformed", lambda p: p.replace("ed25519", "rsa")),
        "window-above-300-s": ("signature-malformed", lambda p: p.replace("354612", "354613")),
        "expired": (
            "clock-skew",
            lambda p: p.replace("1795354312", "1795353951").replace("1795354612", "1795354251"),
        ),
        "path-not-covered": ("components-incomplete", lambda p: p.replace('"@path" ', "")),
        "digest-not-covered": (
            "components-incomplete",
            lambda p: p.replace(' "content-digest"', ""),
        ),
        "nonce-missing": (
            "components-incomplete",
            lambda p: p.replace(f';nonce="{make.NONCE}"', ""),
        ),
        "expires-missing": (
            "components-incomplete",
            lambda p: p.replace(";expires=1795354612", ""),
        ),
        "unknown-parameter": ("signature-malformed", lambda p: p + ';x="y"'),
        "unquoted-parameter": ("signature-malformed", lambda p: p + ";x=y"),
        "key-unknown": ("key-unknown", lambda p: p.replace('keyid="p', 'keyid="q')),
    }
    found = {name: resigned(good, code, edit(params)) for name, (code, edit) in changes.items()}
    altered = {
        "body-altered": ("digest-mismatch", {"body_hex": good["body_hex"][:-2] + "00"}),
        "path-altered": ("signature-invalid", {"path": "/v1/batchez"}),
        "host-of-another-hub": ("authority-mismatch", {"authority": "hub2.example"}),
    }
    found |= {name: described(good | new, code) for name, (code, new) in altered.items()}
    headers = {
        "signature-without-input": ("signature-missing", {"signature-input": None}),
        "two-digests": (
            "signature-malformed",
            {"content-digest": f"{content_digest(b'')}, x=:AA==:"},
        ),
    }
    for name, (code, new) in headers.items():
        merged = {k: v for k, v in (good["headers"] | new).items() if v is not None}
        found[name] = described(good | {"headers": merged}, code)
    return found


def resigned(good: dict[str, object], code: str, params: str) -> bytes:
    """The golden request signed by the right key under other parameters."""
    request = Request(
        **{k: good[k] for k in ("method", "authority", "path", "query", "headers")},  # type: ignore[arg-type]
        body=bytes.fromhex(str(good["body_hex"])),
    )
    sent, _ = make.messages(request, 200, {})
    added = http_base.sign(sent, "agent", params, make.AGENT_SEED)
    headers = dict(request.headers) | {name.lower(): value for name, value in added.items()}
    return described(good | {"headers": headers}, code)


def described(request: dict[str, object], code: str) -> bytes:
    """A request with the code that refuses it."""
    return make.pretty({"code": code, "request": request})


def files() -> dict[str, bytes]:
    """All refused files by their path below `refused/`."""
    kinds = {
        "event": (wrong_events(), ".json"),
        "statement": (wrong_statements(), ".json"),
        "body": (wrong_bodies(), ".hex"),
        "receipt": (wrong_receipts(), ".json"),
        "keyset": (wrong_keysets(), ".json"),
        "rotation": (wrong_rotations(), ".json"),
        "proof": (wrong_proofs(), ".tlog-proof"),
        "request": (wrong_requests(), ".json"),
    }
    return {
        f"{kind}/{name}{suffix}": content.hex().encode() if suffix == ".hex" else content
        for kind, (wrong, suffix) in kinds.items()
        for name, content in wrong.items()
    }


def main() -> int:
    """Write what is missing."""
    for name, content in files().items():
        path = HERE / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            path.write_bytes(content)
    return 0


if __name__ == "__main__":
    sys.exit(main())
