"""What a technician asks a box: checks that work offline, each finding with what to do about it.

Every check reads files, or asks the network once and briefly; none changes the box, speaks for the
agent or disturbs it while it runs. What a machine cannot tell is not reported as good: a check
whose facts are missing says nothing.
"""

from edge_agent.doctor.examination import examine
from edge_agent.doctor.finding import Finding
from edge_agent.doctor.machine import Machine

__all__ = ["Finding", "Machine", "examine"]
