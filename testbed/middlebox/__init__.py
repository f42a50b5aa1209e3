"""Middleboxes: they change the segments between hosts (RFC 8684, section 6).

Boxes are sans-IO: they get segments, the time and a random source, and return segments. The
emulator of real wires and the simulator use the same boxes.
"""
