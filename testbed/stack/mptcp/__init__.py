"""Multipath TCP version 1, RFC 8684, on the hooks of ``testbed.stack.tcp.extension``."""
