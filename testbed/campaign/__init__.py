"""Campaigns: all runs of some experiments, on whichever machine they are carried out."""
