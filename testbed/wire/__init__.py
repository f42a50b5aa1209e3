"""Wires: what happens to packets between two ends, as a specification, a model and a process."""
