"""A laboratory for Multipath TCP: topologies, wires, workloads, probes and results."""

__version__ = "0.1.0"
