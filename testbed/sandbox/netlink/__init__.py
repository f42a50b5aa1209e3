"""Netlink, spoken fast: messages packed by hand, and sent many at a time."""
