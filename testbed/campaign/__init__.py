"""Campaigns: all runs of some experiments, on any machine."""
