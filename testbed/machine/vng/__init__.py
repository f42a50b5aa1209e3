"""virtme-ng as a machine: ``vng`` starts QEMU with a kernel, over this host's files."""
