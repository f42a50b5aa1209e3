"""Experiments: a matrix of measured runs, each with the proof of what really ran."""
