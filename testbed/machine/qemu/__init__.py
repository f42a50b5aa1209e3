"""QEMU as a machine."""
