"""Every check in the verifying code is there for a reason: take one away and a test fails.

Each case breaks one line in memory (`tests/checks/mutation.py`) and runs the example tests of that
part; if they all still pass, nobody would notice the line missing.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
NEVER = "if False:"
HTTP, RECEIPTS, NOTES = "shared.http_signatures", "shared.wire.receipts", "shared.checkpoint"
MERKLE, KEYS = "shared.merkle", "shared.crypto.keys"
TESTS = {
    HTTP: "tests/shared/test_http_signatures.py",
    RECEIPTS: "tests/shared/test_receipts.py",
    NOTES: "tests/shared/test_checkpoint.py",
    MERKLE: "tests/shared/test_merkle.py",
    KEYS: "tests/shared/test_keys.py",
}
REFUSED = '        raise SignatureRefused("signature-malformed", '
INCOMPLETE = '        raise SignatureRefused("components-incomplete", '
TOO_LONG = '        raise ProofRefused("the proof is too long")\n'
SKIP = "(lambda *given, **named: None)("
MUTATIONS = {
    "receipt of another batch": (RECEIPTS, "if receipt.batch_id != batch_id:", NEVER),
    "receipt of fewer events": (RECEIPTS, "if receipt.count != len(events):", NEVER),
    "checkpoint not opened": (
        RECEIPTS,
        "checkpoint = open_checkpoint(receipt.checkpoint, log_key)",
        "from shared.checkpoint import parse_checkpoint as p; checkpoint = p(receipt.checkpoint)",
    ),
    "range proof skipped": (RECEIPTS, "merkle.verify_range(", SKIP),
    "growth skipped": (RECEIPTS, "if known is not None:", NEVER),
    "shorter ledger": (RECEIPTS, "if new.size < known.size:", NEVER),
    "two roots": (RECEIPTS, "if new.root != known.root:", NEVER),
    "growth from elsewhere": (
        RECEIPTS,
        "if growth is None or growth.old != known.size:",
        "if growth is None:",
    ),
    "consistency skipped": (RECEIPTS, "merkle.verify_consistency(", SKIP),
    "loose base64 in proofs": (
        RECEIPTS,
        "data = from_base64(value)",
        "data = base64.b64decode(value)",
    ),
    "loose base64 in notes": (
        NOTES,
        'if base64.b64encode(data).decode("ascii") != text:',
        NEVER,
    ),
    "key id of a vkey": (NOTES, "if key.key_hash.hex() != digest:", NEVER),
    "type of a vkey": (NOTES, "if not data or data[0] not in {ED25519, COSIGNATURE}:", NEVER),
    "note's signature": (NOTES, "key.public.verify(blob[4:], body.encode())", "pass"),
    "origin": (NOTES, "if checkpoint.origin != key.name:", NEVER),
    "length of a root": (NOTES, "if len(root) != 32:", NEVER),
    "root of a range": (
        MERKLE,
        "if root_from_range(lo, leaf_hashes, size, proof) != tree_root:",
        NEVER,
    ),
    "range proof too long": (
        MERKLE,
        f"    if next(rest, None) is not None:\n{TOO_LONG}    return found",
        "    return found",
    ),
    "growth's proof too long": (
        MERKLE,
        f"    if next(rest, None) is not None:\n{TOO_LONG}    if found",
        "    if found",
    ),
    "old root": (MERKLE, "if found != (old_root, new_root):", "if found[1] != new_root:"),
    "new root": (MERKLE, "if found != (old_root, new_root):", "if found[0] != old_root:"),
    "growth from nothing": (
        MERKLE,
        "if not 0 < old <= new <= MAX_TREE_SIZE:",
        "if not 0 <= old <= new <= MAX_TREE_SIZE:",
    ),
    "unknown parameter": (HTTP, "    if unknown:", f"    {NEVER}"),
    "tag": (HTTP, 'if _text(found.values, "tag") != tag:', NEVER),
    "algorithm": (HTTP, 'if _text(found.values, "alg") != "ed25519":', NEVER),
    "repeated parameter": (
        HTTP,
        "if parameter is None or parameter[1] in values:",
        "if parameter is None:",
    ),
    "label of the input": (
        HTTP,
        "if match is None or match[1] != label:\n" + REFUSED + 'f"not one signature input',
        "if match is None:\n" + REFUSED + 'f"not one signature input',
    ),
    "stray bits of a signature": (
        HTTP,
        'if base64.b64encode(data).decode("ascii") != match[2]:',
        NEVER,
    ),
    "components of a request": (
        HTTP,
        "if sorted(found.names) != sorted(wanted):\n" + INCOMPLETE + 'f"must',
        f"{NEVER}\n" + INCOMPLETE + 'f"must',
    ),
    "authority": (HTTP, "if request.authority != authority:", NEVER),
    "method": (HTTP, "if _METHOD.fullmatch(request.method) is None:", NEVER),
    "path": (HTTP, "_PATH.fullmatch(request.path) is None or ", ""),
    "query": (HTTP, " or _QUERY.fullmatch(request.query) is None", ""),
    "nonce and request id": (HTTP, " or request.headers.get(REQUEST_ID) != nonce", ""),
    "shape of the nonce": (HTTP, "_NONCE.fullmatch(nonce) is None or ", ""),
    "digest of a request": (
        HTTP,
        'check_digest(request.headers.get("content-digest"), request.body)',
        "pass",
    ),
    "digest compared": (HTTP, "if content_digest(body) != match[0]:", NEVER),
    "signature of a request": (
        HTTP,
        "        key.verify(signature, _base",
        "        (signature, _base",
    ),
    "window": (HTTP, "    check_window(created, expires, now_s)", "    pass"),
    "length of the window": (
        HTTP,
        "if not created_s < expires_s <= created_s + VALIDITY_S:",
        NEVER,
    ),
    "from the future": (HTTP, "if created_s > now_s + SKEW_S or expires_s", "if expires_s"),
    "expired": (
        HTTP,
        " or expires_s + SKEW_S < now_s:",
        ":",
    ),
    "repeated content type": (HTTP, 'if name == "content-type" and "," in value:', NEVER),
    "plain ASCII": (HTTP, "if not value.isascii() or not value.isprintable() or", "if"),
    "components of an answer": (
        HTTP,
        "if sorted(found.names) != sorted(wanted):\n" + INCOMPLETE + '"the',
        f"{NEVER}\n" + INCOMPLETE + '"the',
    ),
    "digest of an answer": (HTTP, 'check_digest(headers.get("content-digest"), body)', "pass"),
    "signature of an answer": (
        HTTP,
        "keys[keyid].verify(signature, _base(pairs, found.text))",
        "pass",
    ),
    "key of small order": (KEYS, "if y in _SMALL_ORDER_Y:", NEVER),
    "canonical key": (KEYS, "if y >= FIELD_PRIME:", NEVER),
    "loose base64url": (KEYS, "if b64url(data) != text:", NEVER),
    "fingerprint": (KEYS, "if root_fingerprint(keyset.root) != fingerprint:", NEVER),
    "root's signature": (KEYS, "root.verify(signature, pae(KEYSET_TYPE, text.encode()))", "pass"),
    "loose base64 of a key set": (
        KEYS,
        'if base64.b64encode(signature).decode("ascii") != document["signature"]:',
        NEVER,
    ),
}


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("module", TESTS)
def test_no_check_can_be_taken_away_unnoticed(module):
    """With any one check of the module missing, the example tests of its part fail."""
    names = [name for name, mutation in MUTATIONS.items() if mutation[0] == module]
    done = subprocess.run(
        [sys.executable, "-m", "tests.checks.mutation", TESTS[module]],
        cwd=ROOT,
        input=json.dumps([MUTATIONS[name] for name in names]),
        capture_output=True,
        text=True,
        check=True,
    )

    codes = dict(zip(names, json.loads(done.stdout), strict=True))
    assert {} == {name: code for name, code in codes.items() if code != 1}, done.stderr[-2000:]
