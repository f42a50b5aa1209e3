"""Topologies: a YAML file becomes a checked network, and then operations that build it. Pure."""
