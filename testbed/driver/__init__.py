"""The loop that drives an endpoint, over any device and on any clock.

:class:`~testbed.driver.loop.Driver` is the loop.  :mod:`testbed.host` gives it the kernel's
interfaces and the monotonic clock, :mod:`testbed.sim` a simulated network and a virtual clock.
"""
