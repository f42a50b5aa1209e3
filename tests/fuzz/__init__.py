"""Random octets, packets and networks against the stack, each case replayable from its seed.

``python -m tests.fuzz --help`` lists the commands; a fixed part runs with the other tests.
"""
