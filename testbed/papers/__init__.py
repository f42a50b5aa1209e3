"""Published results as experiments, with a verdict for each claim.

A publication is a folder: experiment files, ``source.md`` (what it is, in prose) and
``published.yaml`` (:mod:`testbed.papers.spec`).  What came out is kept in ``measured.json``
(:mod:`testbed.papers.measured`).  Nothing here runs anything.
"""
