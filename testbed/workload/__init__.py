"""The activities of hosts while they are measured: workloads over any byte-stream stack.

The way in is :func:`testbed.workload.run.run` with a :data:`testbed.workload.base.Workload`.
This package imports nothing by itself: its worker processes start faster for it.
"""
