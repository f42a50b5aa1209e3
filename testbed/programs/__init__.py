"""Unmodified programs over the userspace stack.

A supervisor answers the system calls about TCP sockets of a program and of all that it starts, by
seccomp user notification (seccomp_unotify(2)).  Each socket of the program is a Unix socket: our
stack has the TCP connection, and this process carries the data between the two.  Reading, writing
and waiting are system calls that the kernel carries out by itself.
"""
