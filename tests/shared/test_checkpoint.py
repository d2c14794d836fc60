"""Signed notes, checkpoints, cosignatures and tlog-proofs: published vectors and refusals."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared import merkle
from shared.checkpoint import (
    COSIGNATURE,
    MalformedNote,
    NoteKey,
    NoteSigner,
    NoteUnsigned,
    cosign,
    open_checkpoint,
    parse_checkpoint,
    parse_tlog_proof,
    sign_checkpoint,
    tlog_proof,
    verify_cosignature,
    verify_note,
)
from shared.crypto.keys import SigningKey
from tests.checks.small_log import PETER_SEED, SmallLog

C2SP_VKEY = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
C2SP_NOTE = (
    "This is an example message.\n\n"
    "— example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXm"
    "RKuwHjG1Yu72IneyaQM=\n"
)
PETER_VKEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
PETER_TEXT = (
    "If you think cryptography is the answer to your problem,\n"
    "then you don't know what your problem is.\n"
)
PETER_LINE = (
    "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpR"
    "Zb6KE6RyyBwJnAM=\n"
)
ENOCH_LINE = (
    "— EnochRoot rwz+eBzmZa0SO3NbfRGzPCpDckykFXSdeX+MNtCOXm2/5n2tiOHp+vAF1aGrQ5ovTG01oOTGwnWLox33"
    "WWd1RvMc+QQ=\n"
)


def test_the_notes_of_c2sp_and_go_open():
    """Both published notes verify under their published keys."""
    assert verify_note(C2SP_NOTE, NoteKey.parse(C2SP_VKEY)) == "This is an example message.\n"
    note = f"{PETER_TEXT}\n{PETER_LINE}"
    assert verify_note(note, NoteKey.parse(PETER_VKEY)) == PETER_TEXT


def test_the_published_signature_is_reproduced_and_another_signer_does_not_disturb():
    """Signing again gives the same line; an unknown signer's line above it is passed over."""
    signer = NoteSigner("PeterNeumann", SigningKey.from_seed(PETER_SEED))

    assert signer.sign(PETER_TEXT) == PETER_LINE
    assert signer.verifier.vkey == PETER_VKEY
    note = f"{PETER_TEXT}\n{ENOCH_LINE}{PETER_LINE}"
    assert verify_note(note, signer.verifier) == PETER_TEXT


@pytest.mark.parametrize(
    "vkey",
    [
        "PeterNeumann+cc469956+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TWBADKEY==",
        "PeterNeumann+173116ae+ZRpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "PeterNeumann+c74f20a4+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "PeterNeumann+C74F20A3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "Peter Neumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "PeterNeumann+c74f20a3",
        "PeterNeumann+c74f20a3+",
        "",
        "log+0f0b2b3c+AQ" + "A" * 42,
    ],
)
def test_bad_verifier_keys_are_refused(vkey):
    """The two published bad keys, other ids, blanks, missing parts and a small-order key."""
    with pytest.raises(MalformedNote):
        NoteKey.parse(vkey)


@pytest.mark.parametrize(
    "broken",
    [
        C2SP_NOTE.replace("example message", "examp1e message"),
        C2SP_NOTE.replace("Uw2QOkn8", "Uw2QOkn9"),
        C2SP_NOTE.replace("— example.com/foo", "— example.com/bar"),
    ],
)
def test_a_changed_note_is_not_signed(broken):
    """Another text, signature or signer is refused as unsigned."""
    with pytest.raises(NoteUnsigned):
        verify_note(broken, NoteKey.parse(C2SP_VKEY))


@pytest.mark.parametrize(
    "broken",
    [
        C2SP_NOTE[:-1],
        C2SP_NOTE.replace("\n\n", "\n"),
        C2SP_NOTE.replace("— ", "- "),
        C2SP_NOTE.replace("example message", "example\tmessage"),
        C2SP_NOTE.replace("aQM=", "aQN="),
        C2SP_NOTE.replace("aQM=", "aQM"),
        "text\n\n",
        "text\n\n— name \n",
        "text\n\n— name AAAA\n",
        "text\n\n" + "— n AAAAAAAA\n" * 101,
        "x" * 17_000 + C2SP_NOTE,
    ],
)
def test_malformed_notes_are_refused(broken):
    """No line feed, no gap, a hyphen for the dash, control characters, stray base64 bits."""
    with pytest.raises(MalformedNote):
        verify_note(broken, NoteKey.parse(C2SP_VKEY))


LOG_VKEY = "example.com/log/testdata+33d7b496+AeHTu4Q3hEIMHNqc6fASMsq3rKNx280NI+oO5xCFkkSx"
LOG_SKEY = base64.b64decode("AeymY/SZAX0jZcJ8enZ5FY1Dz+wTML2yWSkK+9DSF3eg")
ENTRIES = [
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eit",
    "nain",
    "ten",
    "ileven",
    "twelf",
    "threeten",
    "fourten",
    "fivten",
]
LOG_ROOTS = {
    0: "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=",
    1: "0Nc2CrefWKseHj/mStd+LqC8B+NrX0btIiPt2SmN+ek=",
    2: "T1X2GdkhUjV3iyufF9b0kVsWFxIU0VI4EpNml2Teci4=",
    3: "Wqx3HImawpLnS/Gv4ubjAvi1WIOy0b8Ze0amvqbavKk=",
    4: "zY1lN35vrXYAPixXSd59LsU29xUJtuW4o2dNNg5Y2Co=",
    7: "IrSXADBqJ7EQoUODSDKROySgNveeL6CFhik2w/+fS7U=",
    8: "bC+VwvrJbalNVjfkdI8kUgs7mJoXrqiXCE7bgnD28pY=",
    15: "rKbDipCvhuX1GZ7g5BBe8sA6BbJ7ja/1nk427v383cs=",
}
LOG_SIGNATURES = {
    15: (
        "M9e0luh4jTG+UMBqOUo9/q+yAEvx1ilBEniMvjf1zfcBOhg+CKubMt53MvIt/uEWP6zdkdIQzd/fmwlM/dlPWF74"
        "ewI="
    ),
    7: (
        "M9e0luA5JhTRUki/BBQD0QNiH6AEJ2pdtsA5CQjqJErViuuKrN6513RCTL2640wXJv0dCed3neRGI6dMzBq9uANf"
        "2Qc="
    ),
}
ILEVEN_PATH = [
    "O61cHA6zA3ynJh7PzdEPrfB8aE1YBWCBnJcNIpeUePs=",
    "+aOLtO2sRhNENZkJokiDScXfm3SIduSzvll41DTaUUI=",
    "Oy+stN8Ie64lJ90ILA9yEeOWSzBgC+6RjoKksiWsR7Y=",
    "bC+VwvrJbalNVjfkdI8kUgs7mJoXrqiXCE7bgnD28pY=",
]
GROWTH_7_15 = [
    "2Q0P5jSR+TdkwdXWyx+GbBWX0KZbNZkWzCjyTPSozsw=",
    "ThcgoV2DYcK+VCxBUDWAlNxmLy2r7dq7dK7+OlgQKWs=",
    "ycRkkNklus5eMVRUvkD1pK321vMrA+jjOiZKU8aOcY4=",
    "zY1lN35vrXYAPixXSd59LsU29xUJtuW4o2dNNg5Y2Co=",
    "5jLpqTgjsBDSEX6SgZiRnbTMdTuRd8bQ5tSsAOxe0Ks=",
]


def bundle() -> bytes:
    """The entries as tlog-tiles bundle: a big-endian uint16 length before each."""
    return b"".join(len(text).to_bytes(2, "big") + text.encode() for text in ENTRIES)


def published_log() -> SmallLog:
    """The log of transparency-dev/tessera's test data, read back from its bundle."""
    data, leaves = bundle(), []
    while data:
        end = 2 + int.from_bytes(data[:2], "big")
        leaves.append(data[2:end])
        data = data[end:]
    return SmallLog.of_leaves(leaves, "example.com/log/testdata")


def published_checkpoint(size: int) -> str:
    """The published note for this size."""
    name = "example.com/log/testdata"
    return f"{name}\n{size}\n{LOG_ROOTS[size]}\n\n— {name} {LOG_SIGNATURES[size]}\n"


@pytest.mark.parametrize("size", LOG_ROOTS)
def test_the_whole_small_log_has_the_published_roots(size):
    """Fifteen entries from their bundle: the roots of every published size."""
    assert base64.b64encode(published_log().root(size)).decode() == LOG_ROOTS[size]


@pytest.mark.parametrize("size", LOG_SIGNATURES)
def test_the_small_logs_checkpoints_open_and_are_reproduced(size):
    """The published checkpoints verify, and our signer writes the same bytes."""
    checkpoint = open_checkpoint(published_checkpoint(size), NoteKey.parse(LOG_VKEY))
    assert LOG_SKEY[:1] == b"\x01"
    signer = NoteSigner("example.com/log/testdata", SigningKey.from_seed(LOG_SKEY[1:]))

    assert (checkpoint.origin, checkpoint.size) == ("example.com/log/testdata", size)
    assert base64.b64encode(checkpoint.root).decode() == LOG_ROOTS[size]
    assert sign_checkpoint(signer, size=size, root=checkpoint.root) == published_checkpoint(size)
    assert signer.verifier.vkey == LOG_VKEY


def test_the_small_logs_proofs_are_reproduced():
    """Inclusion of entry 10 ("ileven") in 15 and growth from 7 to 15."""
    log = published_log()

    assert [base64.b64encode(step).decode() for step in log.inclusion(10)] == ILEVEN_PATH
    assert [base64.b64encode(step).decode() for step in log.consistency(7)] == GROWTH_7_15


def test_a_checkpoint_of_another_log_is_refused():
    """One key may serve two logs only under its own name: the origin must be the signer's."""
    signer = NoteSigner("example.com/log/testdata", SigningKey.from_seed(LOG_SKEY[1:]))
    body = f"example.com/other\n15\n{LOG_ROOTS[15]}\n"

    with pytest.raises(NoteUnsigned, match="other"):
        open_checkpoint(f"{body}\n{signer.sign(body)}", signer.verifier)


@pytest.mark.parametrize(
    "body",
    [
        "log\n15\n",
        "\n15\n" + LOG_ROOTS[15] + "\n",
        "log\n015\n" + LOG_ROOTS[15] + "\n",
        "log\n-1\n" + LOG_ROOTS[15] + "\n",
        "log\n+1\n" + LOG_ROOTS[15] + "\n",
        "log\n1٣\n" + LOG_ROOTS[15] + "\n",
        "log\n" + "9" * 20 + "\n" + LOG_ROOTS[15] + "\n",
        "log\n15\nAAAA\n",
        "log\n15\n" + LOG_ROOTS[15][:-2] + "t=\n",
    ],
)
def test_signed_notes_that_are_no_checkpoint_are_refused(body):
    """A missing root, a strange size, a short root, stray bits: the conformance suite's list."""
    signer = NoteSigner("log", SigningKey.from_seed(PETER_SEED))
    with pytest.raises(MalformedNote):
        open_checkpoint(f"{body}\n{signer.sign(body)}", signer.verifier)


@given(st.text() | st.text(st.sampled_from("— \n0123456789AQ=+/log\u2014")))
def test_any_text_is_a_checkpoint_or_malformed(text):
    """Hostile text raises MalformedNote and nothing else."""
    for read in (parse_checkpoint, parse_tlog_proof, NoteKey.parse):
        with pytest.raises(MalformedNote):
            read(text)


@given(st.integers(0, 2**40), st.binary(min_size=32, max_size=32))
def test_what_is_signed_opens_again(size, root):
    """Any size and root survive signing and opening."""
    signer = NoteSigner("hub.example/ledger", SigningKey.from_seed(PETER_SEED))
    checkpoint = open_checkpoint(sign_checkpoint(signer, size=size, root=root), signer.verifier)

    assert (checkpoint.size, checkpoint.root) == (size, root)


SIGSUM = "sigsum.org/v1/tree/4d6d8825a6bb689d459628312889dfbb0bcd41b5211d9e1ce768b0ff0309e562"
SIGSUM_VKEY = f"{SIGSUM}+5202289b+Af/cLU2Y5BJNP+r3iMDC+av9eWCD0fBJVDfzAux5zxAP"
SIGSUM_HEADS = [
    (
        1,
        "KgAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
        (
            "UgIom7fPZTqpxWWhyjWduBvTvGVqsokMbqTArsQilegKoFBJQjUFAmQ0+YeSPM3wfUQMFSzVnnNuWRTYrajX"
            "pNUbIQY="
        ),
    ),
    (
        3,
        "RcCI1Nk56ZcSmIEfIn0SleqtV7uvrlXNccFx595Iwl0=",
        (
            "UgIom2VbtIcdFbwFAy1n7s6IkAxIY6J/GQOTuZF2ORV39d75cbAj2aQYwyJre36kezNobZs4SUUdrcawfAB8"
            "WVrx6go="
        ),
    ),
]


@pytest.mark.parametrize(("size", "root", "signature"), SIGSUM_HEADS)
def test_the_witness_protocols_checkpoints_open(size, root, signature):
    """litewitness's heads verify; with the published altered signature byte they do not."""
    note = f"{SIGSUM}\n{size}\n{root}\n\n— {SIGSUM} "
    key = NoteKey.parse(SIGSUM_VKEY)

    assert open_checkpoint(f"{note}{signature}\n", key).size == size
    altered = base64.b64decode(signature)
    altered = altered[:-1] + bytes([altered[-1] ^ 1])
    with pytest.raises(NoteUnsigned):
        open_checkpoint(f"{note}{base64.b64encode(altered).decode()}\n", key)


def test_the_witness_protocols_growth_is_proven():
    """litewitness's proof from 1 to 3, and not with a hash missing or altered."""
    old, new = (base64.b64decode(head[1]) for head in SIGSUM_HEADS)
    proof = [b"\x2a\x01" + bytes(30), b"\x2a\x02" + bytes(30)]

    merkle.verify_consistency(1, old, 3, new, proof=proof)
    for broken in (proof[:1], proof[::-1], [proof[0], bytes(32)]):
        with pytest.raises(merkle.ProofRefused):
            merkle.verify_consistency(1, old, 3, new, proof=broken)


def test_a_store_vouches_for_a_checkpoint():
    """A cosignature is over body and time, and any change of either is refused."""
    checkpoint = parse_checkpoint(published_checkpoint(15))
    body = published_checkpoint(15).split("\n\n")[0] + "\n"
    witness = SigningKey.from_seed(bytes(31) + b"\x07")
    line = cosign(checkpoint, name="dev_a", key=witness, time_s=1_795_354_312)

    seen_s = verify_cosignature(body, line, name="dev_a", public=witness.public)
    assert seen_s == 1_795_354_312
    later = base64.b64decode(line.split(" ")[2])
    later = later[:11] + bytes([later[11] ^ 1]) + later[12:]
    for changed_body, changed_line, name in (
        (body.replace("15", "16", 1), line, "dev_a"),
        (body, line, "dev_b"),
        (body, f"— dev_a {base64.b64encode(later).decode()}\n", "dev_a"),
        (body, f"— dev_a {base64.b64encode(later[:-1]).decode()}\n", "dev_a"),
        (body, line + line, "dev_a"),
    ):
        with pytest.raises((MalformedNote, NoteUnsigned)):
            verify_cosignature(changed_body, changed_line, name=name, public=witness.public)


def test_a_witnesses_key_is_no_key_of_the_log():
    """A cosignature's key type does not open a checkpoint as the log's own would."""
    key = SigningKey.from_seed(PETER_SEED)
    witness = NoteKey("hub.example/ledger", key.public, COSIGNATURE)

    with pytest.raises(NoteUnsigned):
        open_checkpoint(SmallLog([bytes(32)]).checkpoint(), witness)


TLOG_PROOF = f"c2sp.org/tlog-proof@v1\nindex 10\n{ILEVEN_PATH[0]}\n\n{published_checkpoint(15)}"


def test_a_tlog_proof_is_read_and_written():
    """The C2SP text for entry 10 of the published log, there and back."""
    steps = [base64.b64decode(step) for step in ILEVEN_PATH]
    text = tlog_proof(10, steps, published_checkpoint(15))

    assert text.startswith(f"c2sp.org/tlog-proof@v1\nindex 10\n{ILEVEN_PATH[0]}\n")
    assert parse_tlog_proof(text) == (10, steps, published_checkpoint(15))
    assert parse_tlog_proof(tlog_proof(0, [], "note\n")) == (0, [], "note\n")


@pytest.mark.parametrize(
    "broken",
    [
        TLOG_PROOF.replace("@v1", "@v2"),
        TLOG_PROOF.replace("index 10", "index 010"),
        TLOG_PROOF.replace("index 10", "index -1"),
        TLOG_PROOF.replace("index 10", "index"),
        TLOG_PROOF.replace("index 10\n", ""),
        TLOG_PROOF.replace("\n\n", "\n"),
        TLOG_PROOF.replace("UePs=", "UePt="),
        TLOG_PROOF.replace("UePs=", "UePs"),
        TLOG_PROOF.replace(ILEVEN_PATH[0], "AAAA"),
        TLOG_PROOF.replace(ILEVEN_PATH[0], "\n".join([ILEVEN_PATH[0]] * 65)),
    ],
)
def test_malformed_tlog_proofs_are_refused(broken):
    """Wrong header, bad index, bad base64, a hash that is not 32 bytes, too many of them."""
    with pytest.raises(MalformedNote):
        parse_tlog_proof(broken)
