"""The single-file verifier: it believes a whole file and no other."""

import base64
import importlib.util
import json
import subprocess
import sys
import venv
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.ledger.batches import LedgerBatch
from hub.ledger.export import exported
from hub.ledger.service import EntryProof
from hub.ledger.verifier import kickstand_verify as verifier
from shared import merkle
from shared.checkpoint import COSIGNATURE, NoteKey, cosign, parse_checkpoint, tlog_proof
from shared.crypto.keys import SigningKey
from shared.wire.batch import decode_body, leaf
from tests.checks.small_log import SmallLog
from tests.checks.wire_samples import golden

PROGRAM = Path(verifier.__file__)
KEYS = json.loads(golden("keys.json"))
BODY = decode_body(golden("body.hex"))
RECEIPT = json.loads(golden("receipt.json"))
AGENT_KEY = bytes.fromhex(KEYS["agent"]["public"])
VKEY = KEYS["hub"]["ledger_vkey"]


def ledger() -> tuple[SmallLog, list[bytes]]:
    """The golden ledger: the batch at 9…12 of 15 entries."""
    batch = bytes.fromhex(BODY.batch_id)
    leaves = [leaf(event, batch, RECEIPT["received_ms"]) for event in BODY.events]
    log = SmallLog(merkle.leaf_hash(b"entry %d" % i) for i in range(9))
    log.extend(merkle.leaf_hash(item) for item in leaves)
    log.extend(merkle.leaf_hash(b"later %d" % i) for i in range(2))
    return log, leaves


def proof_of(index: int = 9, *, note: str | None = None, seal: bytes = BODY.seal) -> EntryProof:
    """The ledger's proof of one entry of the golden batch."""
    log, leaves = ledger()
    return EntryProof(
        index=index,
        leaf=leaves[index - 9],
        tlog_proof=tlog_proof(index, log.inclusion(index), note or log.checkpoint()),
        checkpoint_size=log.size,
        root=log.root(),
        batch=LedgerBatch(
            first_index=9,
            count=4,
            device=BODY.statement.device,
            epoch=1,
            lane="sale",
            seq=1,
            received_ms=RECEIPT["received_ms"],
            batch_id=BODY.batch_id,
            statement=BODY.statement_bytes,
            seal=seal,
            events=BODY.events,
        ),
    )


FILE = exported(proof_of(), key=AGENT_KEY).encode()


def check(data: bytes, key: str = VKEY, **options: object) -> verifier.Verdict:
    """The verdict on a file's bytes. Raises NotProven."""
    proof = verifier.parse_proof(data)
    return verifier.verify(proof, verifier.NoteKey.parse(key), **options)  # type: ignore[arg-type]


def is_proven(data: bytes) -> bool:
    """Whether these bytes pass."""
    try:
        check(data)
    except verifier.NotProven:
        return False
    return True


def test_the_golden_ledger_is_the_golden_checkpoint():
    """These tests speak of the very ledger in the golden files."""
    assert ledger()[0].checkpoint().encode() == golden("checkpoint.txt")


@pytest.mark.parametrize("index", [9, 10, 11, 12])
def test_every_entry_of_a_batch_is_proven(index):
    """Ledger, place, seal and the device's own key: all said, none left open but the world."""
    verdict = check(exported(proof_of(index), key=AGENT_KEY).encode())

    assert verdict.leaf.event == BODY.events[index - 9]
    assert f"Entry {index} of it" in verdict.proven[1]
    assert KEYS["device"] in verdict.proven[3]
    assert "right: it is the hub's word" in verdict.open_points[0]
    assert len(verdict.open_points) == 3


def test_every_corrupted_byte_is_caught():
    """Each byte of the file changed in its lowest, middle and highest bit, and each cut."""
    changed = {}
    for at in range(len(FILE)):
        for mask in (0x01, 0x10, 0x20, 0x80):
            changed[f"{at}^{mask}"] = FILE[:at] + bytes([FILE[at] ^ mask]) + FILE[at + 1 :]
        changed[f"cut at {at}"] = FILE[:at]
        changed[f"without {at}"] = FILE[:at] + FILE[at + 1 :]

    assert is_proven(FILE)
    assert [] == [why for why, data in changed.items() if data != FILE and is_proven(data)]


def test_every_corrupted_byte_inside_the_extra_line_is_caught():
    """Leaf, statement, seal, key, place and path lie in base64 twice: every byte of them counts."""
    head, extra, rest = FILE.split(b"\n", 2)
    inner = base64.b64decode(extra[6:])
    changed = []
    for at in range(len(inner)):
        flipped = bytearray(inner)
        flipped[at] ^= 1 << at % 8
        changed.append(b"\n".join([head, b"extra " + base64.b64encode(flipped), rest]))

    assert [] == [data for data in changed if is_proven(data)]


@given(st.binary() | st.text().map(lambda t: f"{verifier.HEADER}\nindex 0\n{t}".encode()))
def test_any_bytes_are_refused_with_a_reason(data):
    """Hostile files raise NotProven and nothing else."""
    with pytest.raises(verifier.NotProven, match=r"\S"):
        check(data)


def with_extra(extra: dict[str, object]) -> bytes:
    """The file with another extra line."""
    text = json.dumps(extra, separators=(",", ":")).encode()
    head, _, rest = FILE.split(b"\n", 2)
    return b"\n".join([head, b"extra " + base64.b64encode(text), rest])


EXTRA = json.loads(base64.b64decode(FILE.split(b"\n")[1][6:]))


@given(
    st.sampled_from(["v", "leaf", "seal", "statement", "key", "index", "path", "more"]),
    st.none() | st.booleans() | st.integers() | st.text(max_size=9) | st.lists(st.text()),
)
def test_any_value_in_the_extra_line_is_refused(name, value):
    """No other JSON in any place of the extra line passes, and none breaks the program."""
    extra = json.loads(json.dumps(EXTRA))
    place = extra["seal"] if name in extra["seal"] else extra
    if place.get(name) == value and type(place.get(name)) is type(value):
        return
    place[name] = value
    assert not is_proven(with_extra(extra))


def test_without_the_seal_the_writer_stays_open():
    """The leaf alone proves the entry, and the verdict says what it does not prove."""
    verdict = check(exported(proof_of(), key=None).encode())

    assert any("who wrote the event" in point for point in verdict.open_points)
    with pytest.raises(verifier.NotProven, match="no seal"):
        check(exported(proof_of(), key=None).encode(), device_key=AGENT_KEY)


def test_a_seal_of_another_key_does_not_pass_for_the_box():
    """Whoever seals the statement anew is shown as a key, not as the device."""
    other = SigningKey.from_seed(bytes(31) + b"\x09")
    kind, statement = verifier.STATEMENT_TYPE, BODY.statement_bytes
    forged = other.sign(b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(statement), statement))
    data = exported(proof_of(seal=forged), key=other.public.raw).encode()

    verdict = check(data)
    assert not any("device id" in fact for fact in verdict.proven)
    assert any("the sealing key is one of" in point for point in verdict.open_points)
    with pytest.raises(verifier.NotProven, match="another key"):
        check(data, device_key=AGENT_KEY)
    assert check(FILE, device_key=AGENT_KEY).proven
    with pytest.raises(verifier.NotProven, match="seal under"):
        check(exported(proof_of(), key=other.public.raw).encode())
    with pytest.raises(verifier.NotProven, match="not an acceptable"):
        check(exported(proof_of(seal=b"\1" + bytes(63)), key=b"\1" + bytes(31)).encode())


def test_another_ledgers_key_decides_against_the_file():
    """Another key, the same key under another name, a witness's key: all refused."""
    raw = SigningKey.from_seed(bytes.fromhex(KEYS["hub"]["seed"])).public
    other = SigningKey.from_seed(bytes(31) + b"\x09").public
    for key in (
        NoteKey("hub.example/ledger", other),
        NoteKey("other.example/ledger", raw),
        NoteKey("hub.example/ledger", raw, COSIGNATURE),
    ):
        with pytest.raises(verifier.NotProven):
            check(FILE, key.vkey)
    for text in ("", "a+b", VKEY[:-1], VKEY.replace("+", "-", 1), "log+0f0b2b3c+AQ" + "A" * 42):
        with pytest.raises(verifier.NotProven):
            check(FILE, text)


def test_a_witness_who_is_asked_for_must_have_signed():
    """A cosignature is checked under the witness's key and told with its time."""
    log = ledger()[0]
    witness = SigningKey.from_seed(bytes(31) + b"\x0a")
    line = cosign(
        parse_checkpoint(log.checkpoint()), name="dev_w", key=witness, time_s=1_795_354_400
    )
    data = exported(proof_of(note=log.checkpoint() + line), key=AGENT_KEY).encode()
    key = verifier.NoteKey.parse(NoteKey("dev_w", witness.public, COSIGNATURE).vkey)

    verdict = check(data, witnesses=[key])
    assert any("dev_w saw the same" in fact for fact in verdict.proven)
    assert is_proven(data)
    with pytest.raises(verifier.NotProven, match="no signature of dev_w"):
        check(FILE, witnesses=[key])
    later = line.replace(line.split(" ")[2][:20], line.split(" ")[2][:16] + "AAAA")
    with pytest.raises(verifier.NotProven):
        check(
            exported(proof_of(note=log.checkpoint() + later), key=AGENT_KEY).encode(),
            witnesses=[key],
        )


def run(*arguments: str | Path, python: Path | str = sys.executable) -> tuple[int, str]:
    """Exit code and output of the program in a process of its own, isolated from this project."""
    done = subprocess.run(
        [str(python), "-I", str(PROGRAM), *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={"PYTHONDONTWRITEBYTECODE": "1"},
    )
    return done.returncode, done.stdout + done.stderr


def bare_python(folder: Path) -> Path:
    """A virtual environment that holds nothing but `cryptography` and what it needs."""
    venv.create(folder, with_pip=False, symlinks=True)
    site = next((folder / "lib").glob("python*")) / "site-packages"
    for name in ("cryptography", "cffi", "pycparser", "_cffi_backend"):
        found = importlib.util.find_spec(name)
        assert found is not None
        source = Path(found.origin or "")
        source = source.parent if source.name == "__init__.py" else source
        (site / source.name).symlink_to(source)
    return folder / "bin" / "python"


def test_it_runs_where_only_cryptography_is_installed(tmp_path):
    """In a bare environment, isolated: proven says 0, damaged says 1, and why."""
    python = bare_python(tmp_path / "bare")
    good, bad = tmp_path / "good.tlog-proof", tmp_path / "bad.tlog-proof"
    good.write_bytes(FILE)
    bad.write_bytes(FILE.replace(b"index 9", b"index 8"))

    code, text = run(good, "--key", VKEY, python=python)
    assert (code, text.splitlines()[0]) == (0, "PROVEN")
    assert "NOT PROVEN BY THIS FILE" in text
    assert run(bad, "--key", VKEY, python=python) == (
        1,
        "NOT PROVEN: the entry is not in the tree of the checkpoint at this place\n",
    )
    assert subprocess.run(
        [python, "-c", "import orjson"], capture_output=True, check=False
    ).returncode


def test_the_event_may_be_given_beside_a_plain_proof(tmp_path):
    """A foreign tlog-proof without an extra line, with event, batch and time given by hand."""
    proof, event = tmp_path / "p.tlog-proof", tmp_path / "event.json"
    proof.write_text(proof_of().tlog_proof)
    event.write_bytes(BODY.events[0])
    beside = ["--event", event, "--batch-id", BODY.batch_id]
    time = ["--received-ms", str(RECEIPT["received_ms"])]

    assert run(proof, "--key", VKEY, *beside, *time)[0] == 0
    assert "carries no entry" in run(proof, "--key", VKEY)[1]
    assert run(proof, "--key", VKEY, *beside, "--received-ms", "1795354314385")[0] == 1
    event.write_bytes(BODY.events[0] + b" ")
    assert run(proof, "--key", VKEY, *beside, *time)[0] == 1
    proof.write_bytes(FILE)
    assert "not the one the file carries" in run(proof, "--key", VKEY, *beside, *time)[1]


def test_wrong_usage_exits_with_2(tmp_path):
    """Half of the options, no key, hex that is none: usage, not a verdict."""
    proof = tmp_path / "p.tlog-proof"
    proof.write_bytes(FILE)

    assert run(proof)[0] == 2
    assert run(proof, "--key", VKEY, "--batch-id", "00" * 32)[0] == 2
    assert run(proof, "--key", VKEY, "--device-key", "zz" * 32)[0] == 2
    code, text = run(tmp_path / "none", "--key", VKEY)
    assert (code, "No such file" in text) == (1, True)


def test_an_events_text_cannot_play_with_the_terminal():
    """Control characters of an event are shown as escapes."""
    verdict = check(FILE)
    verdict.leaf = verifier.Leaf(b"\x1b[2J\xff\xe2\x80\xae", bytes(32), 0)

    assert verifier.printed(verdict).isascii()
