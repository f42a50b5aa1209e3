"""QEMU as a machine: any kernel, with KVM or in software emulation, over this host's files."""
