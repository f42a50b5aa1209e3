"""``python -m testbed.campaign.inside ERRAND``: the program that carries out runs in a machine.

ERRAND is a file with an :class:`~testbed.campaign.messages.Errand`. Messages are written to
standard output. Libraries for output to people are not imported, because on an emulated processor
they take seconds to load.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import msgspec

from testbed.campaign.jobs import Bench, Job
from testbed.campaign.messages import Doing, Errand, Failed, Located, Over, say
from testbed.errors import TestbedError
from testbed.failure import Failure
from testbed.results.environment import gather
from testbed.workload.result import Progress


def main() -> None:
    """Carry out the errand."""
    from testbed.experiment.nursery import nursery  # noqa: PLC0415 - simulations need no sandbox

    says = os.dup(1)
    os.dup2(2, 1)  # other output is no message
    with nursery():  # the nursery starts while the errand is read
        errand = msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=Errand)
        if errand.parent is not None:
            _die_with(errand.parent)
        sys.exit(carry_out(errand, says))


def _die_with(parent: int) -> None:
    from testbed.sandbox import syscalls  # noqa: PLC0415 - simulations need none

    syscalls.set_parent_death_signal(signal.SIGKILL)
    if os.getppid() != parent:  # the parent has already ended
        os._exit(1)


def carry_out(errand: Errand, says: int) -> int:
    """Carry out the runs in order; return an exit status.

    :param says: the descriptor for messages.
    """
    say(says, Located(environment=gather(known=errand.software, plugins=errand.plugins)))

    def on_progress(progress: Progress) -> None:
        if errand.telling:
            say(says, Doing(progress=progress))

    bench = Bench()
    try:
        for run, directory in errand.runs:
            job = Job(definition=errand.definition, run=run)
            say(says, Over(record=bench.carry_out(job, Path(directory), on_progress)))
    except TestbedError as error:
        say(says, Failed(failure=Failure.of(error)))
        return error.exit_code
    return 0


if __name__ == "__main__":
    main()
