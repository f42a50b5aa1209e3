"""Octets to values and back: IP, TCP, TCP options, MPTCP options.

``parse(emit(x)) == x`` for every value, and what is not understood is kept as a value, not lost.
"""
