"""User-mode Linux as a machine: a kernel that is a program, without root, KVM or an image.

``uml:7.3`` is Debian's source of that version, ``uml:PATH`` a source tree of yours; both are built
once (:mod:`testbed.machine.uml.build`).  With ``+virtual-time`` behind it the kernel's clock runs
when all its programs wait, and only then: the same command gives the same packets.
"""
