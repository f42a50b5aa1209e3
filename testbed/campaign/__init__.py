"""Campaigns: all runs of some experiments, wherever they are carried out."""
