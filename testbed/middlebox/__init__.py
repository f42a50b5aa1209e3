"""What stands between hosts and changes their segments (RFC 8684, section 6).

Boxes are sans-IO: they are given segments, the time and chances, and give segments back.  The
emulator of real wires and the simulator have the very same ones.
"""
