"""The pytest plugin and its assertions: see ``docs/regression-test.md``.

pytest loads this module at its start, in every project that has testbed installed. So the module
imports only pytest and small modules. The first test that uses a fixture imports the laboratory.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn

import pytest

from testbed.pytest.assertions import (
    assert_at_least,
    assert_at_most,
    assert_not_regressed,
    assert_passes,
)

if TYPE_CHECKING:
    from testbed.api import Results
    from testbed.pytest.laboratory import Laboratory
    from testbed.pytest.sandboxes import RunningSandbox
    from testbed.topology.model import Topology

__all__ = ["assert_at_least", "assert_at_most", "assert_not_regressed", "assert_passes"]

_MARKER: Final = "testbed_needs"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add our options."""
    group = parser.getgroup("testbed", "networks and Multipath TCP")
    group.addoption(
        "--testbed-machine",
        metavar="M",
        help="where experiments run: host, sim, qemu:KERNEL, uml:KERNEL or "
        "uml:KERNEL+virtual-time; default: the machine in their files, or this host",
    )
    group.addoption(
        "--testbed-results",
        metavar="DIR",
        type=Path,
        help="keep result folders in DIR/TEST, not in the temporary directories of the tests",
    )
    group.addoption(
        "--testbed-no-skip",
        action="store_true",
        help="fail tests that would be skipped because the machine lacks a feature",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Describe our marker."""
    config.addinivalue_line(
        "markers",
        f"{_MARKER}(*needs): what the machine must have: 'sandbox', 'root', 'kernel>=6.12', or a "
        "feature that `testbed doctor` lists, such as 'mptcp'; otherwise the test is skipped",
    )


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test whose needs the machine does not meet, with the reason."""
    needs = [str(need) for mark in item.iter_markers(_MARKER) for need in mark.args]
    reasons = _unmet(item.config, needs) if needs else ""
    if reasons and item.config.getoption("--testbed-no-skip"):
        pytest.fail(reasons, pytrace=False)
    if reasons:
        item.add_marker(pytest.mark.skip(reason=reasons))  # to show the test's line, not ours


def _unmet(config: pytest.Config, needs: Iterable[str]) -> str:
    from testbed.errors import TestbedError  # noqa: PLC0415 - see above
    from testbed.pytest.needs import unmet  # noqa: PLC0415

    try:
        return "; ".join(unmet(dict.fromkeys(needs), config.getoption("--testbed-machine")))
    except TestbedError as error:
        pytest.fail(str(error), pytrace=False)


def _skip(config: pytest.Config, reason: str) -> NoReturn:
    if config.getoption("--testbed-no-skip"):
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


@pytest.fixture
def topology(_laboratory: Laboratory) -> Callable[..., Topology]:
    """``topology(PATH)``: read a topology file and resolve it."""
    return _laboratory.topology


@pytest.fixture
def experiment(_laboratory: Laboratory) -> Callable[..., Results]:
    """``experiment(PATH, **changes)``: run an experiment, and return its results.

    It runs on ``--testbed-machine``, or on the machine that the file names, or on this host. The
    changes are those of :func:`testbed.api.load`: ``machine``, ``stacks``, ``repetitions``,
    ``seed``, ``wire`` and ``values``.
    """
    return _laboratory.experiment


@pytest.fixture
def simulation(_laboratory: Laboratory) -> Callable[..., Results]:
    """``simulation(PATH, **changes)``: like ``experiment``, but always in a simulation."""
    return _laboratory.simulation


@pytest.fixture
def sandbox(
    request: pytest.FixtureRequest, _laboratory: Laboratory
) -> Iterator[Callable[..., RunningSandbox]]:
    """``sandbox(TOPOLOGY)``: build a topology like ``testbed up``, and return the running sandbox.

    The topology is a result of the fixture ``topology``, or a path. The sandbox ends with the test.
    """
    reasons = _unmet(request.config, ["sandbox"])
    if reasons:
        _skip(request.config, reasons)
    with ExitStack() as stack:

        def build(topology: Topology | Path | str, **options: Any) -> RunningSandbox:
            return stack.enter_context(_laboratory.sandbox(topology, **options))

        yield build


@pytest.fixture
def _laboratory(request: pytest.FixtureRequest) -> Laboratory:
    from testbed.pytest.laboratory import Laboratory  # noqa: PLC0415 - see above

    results = request.config.getoption("--testbed-results")
    return Laboratory(
        test=request.node.nodeid,
        beside=request.path.parent,
        root=request.config.rootpath,
        machine=request.config.getoption("--testbed-machine"),
        results=request.getfixturevalue("tmp_path") / "results" if results is None else results,
        skip=functools.partial(_skip, request.config),
    )
