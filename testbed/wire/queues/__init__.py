"""The queues before the rate of a wire: FIFO, CoDel, FQ-CoDel, PIE, RED.

:mod:`kinds` has the options as values, :mod:`grammar` parses and formats them. Each algorithm is
    one file, a :class:`~testbed.wire.queues.discipline.Discipline`.
"""
