"""Netlink, spoken fast: pyroute2's message classes over a transport that sends many at once."""
