"""The common parts of all netlink code: sockets, and the encoding of messages."""
