"""The queues before the rate of a wire, which drop or mark: FIFO, CoDel, FQ-CoDel, PIE, RED.

:mod:`kinds` has the options as values, :mod:`grammar` reads and writes them, and each algorithm is
one file: a :class:`~testbed.wire.queues.discipline.Discipline` that is given the time.
"""
