"""Scores: how well probabilities of thunder did, day by day, over 30 days and over a run, against climatology.

`contingency` scores a 2 x 2 table, `curve` a sequence of thresholds; `exact` and `histogram` are two ways to such a
sequence. `tally` adds up what needs no sorting, `window` keeps 30 days, `climatology` is the baseline, `scorer` makes
the rows of the table `model_metrics`. A score that is undefined is None (NaN inside kernels), never 0 or 0.5.
"""
