"""The stacks a workload can run on: byte streams by the kernel's TCP and MPTCP, and by ours.

Adding one is adding a module and its entry in :mod:`~testbed.workload.stacks.registry`.  What
stacks share is in modules whose name starts with an underscore.  How an experiment chooses one with
its parameters is in :mod:`~testbed.workload.stacks.choice`.
"""
