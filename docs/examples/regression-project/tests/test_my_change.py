"""What a change of Multipath TCP must not break."""

import pytest

from testbed.pytest import assert_at_least, assert_passes


@pytest.mark.testbed_needs("mptcp", "kernel>=5.16")
def test_both_paths_add_up(experiment):
    results = experiment("aggregation.yaml")
    assert_at_least(results, "goodput", stack="mptcp", relative_to="tcp", at_least=1.3)


@pytest.mark.parametrize("delay", ["10ms", "40ms"])
def test_a_transfer_survives_its_first_path(experiment, delay):
    assert_passes(experiment("handover.yaml", values={"links.wifi.delay": delay}))


def test_the_endpoints_are_there(sandbox):
    lab = sandbox("two_paths.yaml")
    assert "10.0.2.2 id 2 signal" in lab.exec("server", ["ip", "mptcp", "endpoint"]).stdout
