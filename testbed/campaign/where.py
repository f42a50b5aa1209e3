"""Where the command line puts the runs: options that must fit together."""

from __future__ import annotations

import msgspec

from testbed.campaign.cluster import site
from testbed.errors import InputError
from testbed.experiment.asked import is_deterministic
from testbed.experiment.overrides import Overrides
from testbed.experiment.venue import SIMULATION
from testbed.machine.model import HOST


class Where(msgspec.Struct, frozen=True, kw_only=True):
    """The options of ``testbed run`` about the place of runs.

    :param machines: the machines that are named.
    :param virtual_time: whether their clocks are virtual.
    :param on: the cluster, in the syntax of :func:`testbed.campaign.cluster.site`.
    """

    sim: bool = False
    machines: tuple[str, ...] = ()
    virtual_time: bool = False
    on: str | None = None

    def check(self, *, wire: str | None, until_decided: bool) -> None:
        """Refuse options that contradict one another.

        :raises InputError: it names them.
        """
        if self.sim and (self.machines or wire is not None):
            raise InputError(
                "--sim cannot be used with --machine or --wire: it simulates the whole network"
            )
        if until_decided and (self.sim or self.virtual_time):
            raise InputError("in virtual time one run decides: a repetition gives the same numbers")

    def applied(self, changes: Overrides, *, resumed: bool) -> Overrides:
        """Return the changes of experiments with the consequences of their place.

        :param resumed: whether a result folder says what is run.
        """
        return msgspec.structs.replace(
            changes,
            machine=SIMULATION if self.sim else HOST,
            elsewhere=not resumed and self._is_elsewhere,
            virtual_time=not resumed and self._is_virtual,
        )

    @property
    def _is_elsewhere(self) -> bool:
        """Whether the runs use other kernels, so that checks of this kernel do not apply."""
        away = not self.sim and self.on is not None and site(self.on).address is not None
        return away or any(name != HOST for name in self.machines)

    @property
    def _is_virtual(self) -> bool:
        """Whether all machines that are named have virtual clocks."""
        every = bool(self.machines)
        return every and (self.virtual_time or all(map(is_deterministic, self.machines)))
