"""The kernel's devices (:class:`testbed.driver.device.Device`): packet sockets, and TUN interfaces.

``packets`` and ``tun`` are the devices, ``base`` what they have in common: segments become frames
on their way out (``transmitter``, ``output``), and frames segments on their way in (``gro``).
"""
