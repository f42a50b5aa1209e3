"""What everything that speaks netlink shares: sockets, and how messages are read."""
