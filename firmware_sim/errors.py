"""What can go wrong in a simulation.

SimulationError
├── CableUnplugged      the pty is closed on our side
├── CableBlocked        nobody reads the other end
├── SerialTooLong       no scooter of this family could hold the serial
├── TransitionRefused   a scooter cannot do that in its state
├── NotReady            a process, a port or a page did not come up in time
└── CommandFailed       a program ended with an error
"""


class SimulationError(Exception):
    """Root of everything this package raises."""


class CableUnplugged(SimulationError):
    """The cable is out; nothing was written."""


class CableBlocked(SimulationError):
    """The other end reads nothing; part of the bytes may have gone out."""


class SerialTooLong(SimulationError):
    """No scooter could hold this serial; the message says how long it may be."""


class TransitionRefused(SimulationError):
    """The scooter stays as it was."""


class NotReady(SimulationError):
    """Waited as long as promised; the message says for what and where its log is."""


class CommandFailed(SimulationError):
    """A program ended with an error; the message carries its last words."""
