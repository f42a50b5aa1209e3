"""The analysis of results: metrics, samples, statistics, claims, comparison. Pure, no printing.

Its input is the definition of the experiment (:class:`testbed.analysis.asked.Asked`) and the
records of the runs, new or from a result folder.
"""
