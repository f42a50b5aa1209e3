"""The choice of the workers that may carry out an experiment, by their descriptions."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from itertools import combinations
from typing import Final

from testbed.campaign.at_worker import Answer
from testbed.errors import InputError
from testbed.results.environment import Environment

# The facts that can affect the result of a simulated run.
_SIMULATING: Final = ("testbed", "checkout", "python", "packages", "build", "plugins")


class Fitness:
    """Compares workers with one another, or with this process.

    :param here: the environment that all workers must match in simulations, or ``None`` in real
        time, in which all workers must be the same in every fact.
    """

    def __init__(self, here: Environment | None) -> None:
        self.real = here is None
        self._wanted = here
        self._features: dict[str, bool] = {}

    @property
    def settled(self) -> bool:
        """Whether the required environment is known."""
        return self._wanted is not None

    def settle(self, answers: Mapping[str, Answer]) -> None:
        """Require of all workers the environment of the first initial worker.

        :param answers: the answers by the addresses of the workers.
        :raises InputError: time is real, and two workers differ.
        """
        able = {address: it for address, it in sorted(answers.items()) if not it.why}
        if not self.real or self._wanted is not None or not able:
            return
        first, *_ = able.values()
        self._wanted, self._features = first.environment, first.features
        for (one, _), (other, answer) in combinations(able.items(), 2):
            differences = self._differences(answer)
            if differences:
                raise InputError(
                    f"the workers {one} and {other} differ: {'; '.join(differences)}",
                    hint="use identical workers for runs in real time",
                )

    def refusal(self, answer: Answer, hosts: Collection[str]) -> str:
        """Return why a worker gets no runs; empty if it gets some.

        :param hosts: the hosts of the workers that get runs already.
        """
        if answer.why:
            return answer.why
        differences = self._differences(answer)
        if differences:
            return f"it differs: {'; '.join(differences)}"
        if self.real and answer.host and answer.host in hosts:
            return "another worker on the same kernel has runs, and they would disturb one another"
        return ""

    def _differences(self, answer: Answer) -> list[str]:
        wanted, there = self._wanted, answer.environment
        if wanted is None or there is None:
            return ["its environment is unknown"]
        found = wanted.differences(there)
        if not self.real:
            return [line for line in found if line.split(":")[0].split(".")[0] in _SIMULATING]
        features = {**self._features, **answer.features}
        lacking = [
            name for name in features if self._features.get(name) != answer.features.get(name)
        ]
        return found + [f"feature {name}" for name in lacking]
