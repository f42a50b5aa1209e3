"""Claims that cannot be meant are refused before anything runs."""

from __future__ import annotations

import re

import msgspec
import pytest

from testbed import document
from testbed.analysis.claims import ExpectSpec
from testbed.analysis.refusals import Scope, check
from testbed.errors import InputError
from testbed.experiment.spec import ExperimentSpec
from testbed.metric import Better
from testbed.workload.own import OwnMetric

BULK = ("goodput", "duration", "longest_gap")
SCOPE = Scope(
    stacks=("tcp", "mptcp"),
    parameters={"links.wifi.delay": ["10ms", "40ms"]},
    flows={"": BULK},
    links={"wifi": ("client", "server"), "lte": ("client", "server")},
    probes=("tcp_info", "mptcp_info", "wire"),
    decided=True,
)
FLOWS = Scope(
    stacks=("mptcp",),
    parameters={},
    flows={"transfer": BULK, "rival": ("latency_p50",)},
    links=SCOPE.links,
    probes=(),
    decided=True,
)


def refused(claim, scope=SCOPE):
    """Return what is said of a claim, or nothing."""
    text = f"""
topology: unused.yaml
stacks: [tcp, mptcp]
workload: {{kind: bulk, from: client, to: server, size: 1MB}}
expect:
  - {{{claim}}}
"""
    written = document.loads(text, ExperimentSpec, "try.yaml")
    try:
        check(written.value.expect, scope, written)
    except InputError as error:
        return str(error)
    return None


@pytest.mark.parametrize(
    "claim",
    [
        "metric: goodput, stack: tcp, at_least: 1mbit",
        "metric: aggregation_benefit, stack: mptcp, at_least: 0.5",
        "metric: '@wifi.share', stack: mptcp, at_most: 0.5",
        "metric: share, of: '@wifi', stack: mptcp, at_most: 0.5",
        "metric: wifi>server.dropped, stack: mptcp, at_most: 0",
        "metric: retransmitted_octets, stack: mptcp, relative_to: tcp, at_most: 1",
        (
            "metric: goodput, stack: tcp, where: {links.wifi.delay: 40ms}, at_least: 0.5, "
            "relative_to: {stack: tcp, where: {links.wifi.delay: 10ms}}"
        ),
        (
            "metric: goodput, stack: tcp, at_least: 0.5, "
            "relative_to: {stack: tcp, where: {links.wifi.delay: 10ms}}"
        ),
    ],
)
def test_what_can_be_meant_is_accepted(claim):
    assert refused(claim) is None


@pytest.mark.parametrize(
    "claim",
    [
        "metric: transfer.goodput, stack: mptcp, at_least: 1mbit",
        "metric: goodput, of: transfer, stack: mptcp, at_least: 1mbit",
        "metric: share, of: transfer, stack: mptcp, at_most: 0.3",
        "metric: share, of: transfer@wifi, stack: mptcp, at_most: 0.3",
        "metric: jain, stack: mptcp, at_least: 0.9",
        "metric: rival.latency_p50, stack: mptcp, at_most: 10ms",
    ],
)
def test_flows_have_numbers_of_their_own(claim):
    assert refused(claim, FLOWS) is None


@pytest.mark.parametrize(
    ("claim", "said"),
    [
        ("metric: godput, at_least: 1", r"no metric 'godput'; did you mean 'goodput'"),
        ("metric: latency_p50, at_most: 1ms", r"does not measure 'latency_p50'; it measures"),
        ("metric: jain, at_least: 1", r"'jain' is not a metric of a flow.*several flows"),
        ("metric: share, at_least: 1", r"'share' is not a metric of a flow.*@LINK\.share"),
        ("metric: '@wifi.goodput', at_least: 1", r"'goodput' is not a metric of a path.*goodput"),
        ("metric: dropped, at_least: 1", r"not a metric of a flow; write LINK>NODE\.dropped"),
        ("metric: '@wfi.share', at_least: 1", r"there is no link 'wfi'; did you mean 'wifi'"),
        ("metric: wifi>router.dropped, at_least: 1", r"'wifi' does not lead to 'router'; it leads"),
        ("metric: transfer.goodput, at_least: 1", r"no flow 'transfer'; this experiment names no"),
        ("metric: transfer.goodput, of: transfer, at_least: 1", r"and so does 'of'; remove one"),
        ("metric: .goodput, at_least: 1", r"is not the name of a metric"),
        (
            "metric: goodput, at_least: 30mbit, at_most: 2mbit",
            r"no number is at least 30mbit and at",
        ),
        ("metric: goodput, at_least: 10parsec", r"at_least: .*10parsec"),
        ("metric: goodput, relative_to: tcp, at_least: 1.5", r"compares runs with themselves"),
        (
            "metric: goodput, relative_to: {stack: tcp}, at_least: 1.5",
            r"compares runs with themselves",
        ),
        (
            (
                "metric: goodput, where: {links.wifi.delay: 10ms}, at_least: 1, "
                "relative_to: {stack: tcp, where: {links.wifi.delay: 10ms}}"
            ),
            r"compares runs with themselves",
        ),
        ("metric: goodput, relative_to: mtcp, at_least: 1", r"stack 'mtcp' does not run here"),
        ("metric: goodput, where: {links.wifi.delay: 9ms}, at_least: 1", r"has no value '9ms'"),
    ],
)
def test_what_cannot_be_meant_is_refused(claim, said):
    message = refused(f"stack: tcp, {claim}")
    assert message is not None
    assert message.startswith("try.yaml:6: expect[0]")
    assert re.search(said, message), message


@pytest.mark.parametrize(
    ("claim", "said"),
    [
        ("metric: goodput, at_least: 1", "write transfer.goodput"),
        ("metric: rtt_p50, of: transfer, at_most: 1s", "needs the probe tcp_info or mptcp_info"),
        ("metric: rival.goodput, at_least: 1", "it measures latency_p50"),
        ("metric: transfr.goodput, at_least: 1", "did you mean 'transfer'"),
    ],
)
def test_so_it_is_with_flows(claim, said):
    assert said in str(refused(f"stack: mptcp, {claim}", FLOWS))


def test_all_that_is_wrong_is_said_at_once():
    claims = (
        ExpectSpec(metric="godput", stack="tpc", at_least=1),
        ExpectSpec(metric="goodput", stack="tcp", at_least=1),
        ExpectSpec(metric="goodput", stack="tcp", at_least=2, at_most=1),
    )
    written = document.loads("a: 1", dict, "try.yaml")
    with pytest.raises(InputError) as caught:
        check(claims, SCOPE, written)
    assert [each.path for each in caught.value.every] == [
        "expect[0].metric",
        "expect[0]",
        "expect[2]",
    ]


def test_a_metric_that_a_program_prints_has_its_unit():
    own = OwnMetric(json="speed", unit="bit/s", better=Better.HIGHER).metric("speed")
    given = msgspec.structs.replace(SCOPE, own={"speed": own}, flows={"": ("speed",)})
    assert refused("metric: speed, stack: tcp, at_least: 30mbit", given) is None
    assert "did you mean 'speed'" in str(refused("metric: sped, stack: tcp, at_least: 1", given))
    assert "no metric 'speed'" in str(refused("metric: speed, stack: tcp, at_least: 1"))


def test_a_claim_that_one_run_can_never_decide_is_refused():
    undecided = msgspec.structs.replace(SCOPE, decided=False)
    message = refused("metric: goodput, stack: tcp, at_least: 30mbit", undecided)
    assert "one repetition cannot decide" in str(message)
    assert "repetitions: 2" in str(message)
