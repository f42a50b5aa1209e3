"""A network on a virtual clock: topologies, wires and the userspace stack, without a kernel."""
