"""Measurements while a workload runs, by one sampler process for each run.

The way in is :class:`testbed.probe.client.Sampler`; each probe is one module of ``probe.probes``.
"""
