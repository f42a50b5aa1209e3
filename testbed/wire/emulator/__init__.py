"""The emulator: a process that forwards and shapes frames between the middle ends of wires."""
