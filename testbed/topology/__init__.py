"""Topologies, purely: from a YAML file to a checked network to the operations that build it."""
