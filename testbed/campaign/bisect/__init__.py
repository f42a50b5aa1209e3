"""The search for the version that changed the result of an experiment.

A *candidate* is a version: a commit or a machine. :mod:`.commits` and :mod:`.line` choose the next
one, :mod:`.places` defines how `testbed run` is started for it, :mod:`.measuring` starts it, and
:mod:`.search` compares the result with that of the good end.
"""
