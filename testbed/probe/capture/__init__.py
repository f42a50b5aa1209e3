"""Captures packets of interfaces by packet sockets (packet(7)), without other programs or root."""
