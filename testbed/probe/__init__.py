"""Measurements during a workload, by one sampler process for each run.

The entry is :class:`testbed.probe.client.Sampler`. Each probe is a module of ``probe.probes``.
"""
