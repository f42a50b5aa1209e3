"""A userspace TCP and MPTCP, sans-IO: no clock, no randomness, no sockets, no threads.

``packet`` knows octets, ``tcp`` is RFC 9293 and friends and knows nothing of MPTCP, ``mptcp`` is
RFC 8684 on top of ``tcp`` through one small protocol of hooks (``tcp/extension.py``).  The driver
of an endpoint (``testbed.host`` on real interfaces, ``testbed.sim`` on a virtual clock) passes in
segments, the time in nanoseconds and a source of random bits, and takes segments out.
"""
