"""The common parts of all netlink code: sockets, and how messages are read."""
