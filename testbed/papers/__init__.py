"""Published results as experiments, with a verdict for each claim.

A publication is a folder with experiment files, ``source.md`` (a description in prose) and
``published.yaml`` (:mod:`testbed.papers.spec`). The measured values are stored in ``measured.json``
(:mod:`testbed.papers.measured`). This package runs no experiments.
"""
