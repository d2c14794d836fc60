"""What the units forbid is not needed by what runs inside them."""

import ctypes
import subprocess
import sys

import pytest

PR_SET_MDWE = 65
# Memory that is both writable and executable is refused from here on, as by
# MemoryDenyWriteExecute=yes; the refusal outlives exec.
CONFINE_AND_RUN = """
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
if libc.prctl(65, 1, 0, 0, 0) != 0:
    sys.exit("prctl: " + os.strerror(ctypes.get_errno()))
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""
LIBRARIES = """
import sqlite3, zstandard, argon2, psycopg, sqlalchemy, orjson, msgspec, paho.mqtt.client, serial
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
Ed25519PrivateKey.generate().sign(b"statement")
X25519PrivateKey.generate().exchange(X25519PrivateKey.generate().public_key())
zstandard.decompress(zstandard.compress(b"event"))
argon2.PasswordHasher().hash("password")
connection = sqlite3.connect(":memory:")
connection.create_function("twice", 1, lambda number: 2 * number)
assert connection.execute("SELECT twice(21)").fetchone() == (42,)
"""


def confined(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", CONFINE_AND_RUN, *arguments],
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
    )


def kernel_can_confine() -> bool:
    """Linux 6.3 and newer; asking is harmless, it changes nothing."""
    return int(ctypes.CDLL(None).prctl(PR_SET_MDWE + 1, 0, 0, 0, 0)) >= 0


needs_kernel = pytest.mark.skipif(not kernel_can_confine(), reason="needs Linux 6.3 (PR_SET_MDWE)")


@needs_kernel
def test_the_libraries_work_without_writable_and_executable_memory():
    """Signatures, compression, passwords and both databases need no memory that is W and X."""
    result = confined("-c", LIBRARIES)

    assert ("", 0) == (result.stderr, result.returncode)


@needs_kernel
@pytest.mark.parametrize("program", ["edge_agent", "hub"])
def test_a_program_starts_without_writable_and_executable_memory(program):
    """All that a service imports before its first line of work is loaded under confinement."""
    result = confined("-m", program, "--help")

    assert ("", 0) == (result.stderr, result.returncode)


@needs_kernel
def test_the_confinement_of_this_test_is_real():
    """The same way of running refuses memory that is writable and executable."""
    result = confined("-c", "import mmap; mmap.mmap(-1, 4096, prot=7)")

    assert "Permission denied" in result.stderr
