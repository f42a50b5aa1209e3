"""The process that carries frames between the middle ends of wires and shapes them on the way."""
