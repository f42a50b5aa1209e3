"""A userspace TCP and MPTCP, sans-IO: no clock, no randomness, no sockets, no threads.

``tcp`` implements RFC 9293 and related RFCs and does not depend on MPTCP. ``mptcp`` implements RFC
8684 on top of ``tcp`` by one small protocol of hooks (``tcp/extension.py``). The codec is
``testbed.packet``. The driver of an endpoint (``testbed.host`` on real interfaces, ``testbed.sim``
on a virtual clock) passes in segments, the time in nanoseconds and a source of random bits, and
takes segments out.
"""
