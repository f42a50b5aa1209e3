"""The search for the version that made an experiment worse, or better.

A *candidate* is a version: a commit or a machine.  :mod:`.commits` and :mod:`.line` say which one
is next, :mod:`.places` how `testbed run` is started for it, :mod:`.measuring` does that, and
:mod:`.search` holds what came out against the good end.
"""
