"""The stacks for workloads: byte streams over the kernel's TCP and MPTCP, and over ours.

To add a stack, add a module and its entry in :mod:`~testbed.workload.stacks.registry`. Modules
whose name starts with an underscore have the common code of stacks. The module
:mod:`~testbed.workload.stacks.choice` parses the stacks and parameters of experiments.
"""
