"""Workloads: what hosts do during a measurement, over any byte-stream stack.

The entry point is :func:`testbed.workload.run.run` with a :data:`testbed.workload.base.Workload`.
This package imports nothing itself, so that its worker processes start faster.
"""
