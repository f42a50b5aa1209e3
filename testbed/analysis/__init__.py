"""What results mean: metrics, samples, statistics, claims, comparison.  Pure, and without printing.

It is given what was asked for (:class:`testbed.analysis.asked.Asked`) and the records of the runs,
fresh or from a result folder.
"""
