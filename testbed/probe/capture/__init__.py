"""Packets of interfaces, by packet sockets of our own (packet(7)): no other program, no root."""
