"""An experiment and its topology, as text."""

TOPOLOGY = """\
nodes: {client: {}, server: {}}
links:
  wifi: {between: [client, server], netem: rate 20mbit delay 10ms}
  lte: {between: [client, server], netem: {rate: 30mbit, delay: 30ms}}
"""
EXPERIMENT = """\
topology: topology.yaml
workload: {kind: bulk, from: client, to: server, size: 1MB}
"""


def scenarios(experiment):
    """The needs of the runs of each cell."""
    return [experiment.scenario(cell) for cell in experiment.cells]
