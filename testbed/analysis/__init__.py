"""The meaning of results: metrics, samples, statistics, claims, comparison.  Pure, no printing.

It is given what was asked for (:class:`testbed.analysis.asked.Asked`) and the records of the runs,
fresh or from a result folder.
"""
