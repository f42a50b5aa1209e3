"""Wires: the effects of links on packets, as a specification, a model and a process."""
