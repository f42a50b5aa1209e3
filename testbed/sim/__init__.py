"""The simulator: topologies, wires and the userspace stack on a virtual clock, without a kernel."""
