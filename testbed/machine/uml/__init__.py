"""User-mode Linux as a machine: a kernel that is a program, without root, KVM or an image.

``uml:7.3`` is built from Debian's source of that version, ``uml:PATH`` from a source tree. Both are
built once (:mod:`testbed.machine.uml.build`). With the suffix ``+virtual-time`` the kernel's clock
advances only while all its programs wait. So the same command gives the same packets.
"""
