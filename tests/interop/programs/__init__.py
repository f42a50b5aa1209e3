"""Programs as they are, on the userspace stack, with the kernel's MPTCP at the other end."""
