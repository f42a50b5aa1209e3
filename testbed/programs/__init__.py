"""Unmodified programs over the userspace stack.

A supervisor answers the system calls about TCP sockets of a program and its descendants, by seccomp
user notification (seccomp_unotify(2)). The program holds a Unix socket for each TCP socket. The
stack has the TCP connection, and the supervisor's process moves the data between the two. The
kernel executes the system calls that read, write and wait, without the supervisor.
"""
