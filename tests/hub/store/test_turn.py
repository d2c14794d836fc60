"""Whose turn it is to write, among processes on one file."""

import fcntl
import threading
from pathlib import Path

import pytest

from firmware_sim.processes import wait_until
from hub.store.database import _Turn


def waits_at(path):
    """Whether somebody stands at the door."""
    with Path(f"{path}.next").open("a", encoding="ascii") as door:
        try:
            fcntl.flock(door, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        return False


def test_who_waits_comes_before_who_has_just_had_a_turn(tmp_path):
    """Else a process that writes without a pause would keep another one out for ever."""
    path = str(tmp_path / "hub.db")
    busy, patient = _Turn(path), _Turn(path)
    order: list[str] = []

    def wait():
        with patient:
            order.append("patient")

    for _ in range(20):
        order.clear()
        with busy:
            thread = threading.Thread(target=wait)
            thread.start()
            wait_until(lambda: waits_at(path), what="somebody at the door", deadline_ms=20_000)
        with busy:
            order.append("busy")
        thread.join()
        assert order == ["patient", "busy"]
    busy.close()
    patient.close()


def test_a_turn_ends_with_who_had_it(tmp_path):
    """Also when it ends with an error."""
    path = str(tmp_path / "hub.db")
    first, second = _Turn(path), _Turn(path)
    with pytest.raises(RuntimeError), first:
        raise RuntimeError
    with second:
        pass
    first.close()
    second.close()
