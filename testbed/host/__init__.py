"""The userspace stack on real interfaces.

A :class:`~testbed.host.driver.Host` carries one endpoint's segments over packet sockets, beside the
kernel's own TCP and with the kernel's addresses; it is Linux only.
"""
