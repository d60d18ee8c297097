"""How sure a score is: bounds from drawing blocks of days again and again.

Days that follow each other are alike, so single days drawn with replacement would give bounds that are too narrow: whole
blocks of consecutive days are drawn instead. The days are laid in a circle, so that each is drawn equally often.

References:
    Künsch, H. R. (1989): The jackknife and the bootstrap for general stationary observations. Annals of Statistics 17,
    1217-1241, doi:10.1214/aos/1176347265.
    Politis, D. N. and Romano, J. P. (1992): A circular block-resampling procedure for stationary data. In LePage, R. and
    Billard, L. (eds.): Exploring the Limits of Bootstrap, Wiley, 263-270.
    Hall, P., Horowitz, J. L. and Jing, B.-Y. (1995): On blocking rules for the bootstrap with dependent data. Biometrika 82,
    561-574, doi:10.1093/biomet/82.3.561.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
import numpy.typing as npt

DRAWS: Final = 1_000
SEED: Final = 20_220_101
"""Fixed: equal days give equal bounds, whoever looks."""

Floats = npt.NDArray[np.float64]


def block_length(days: int) -> int:
    """Days of a block, the cube root of the number of days (Hall, Horowitz and Jing 1995), at least 1.

    >>> block_length(901), block_length(3_650), block_length(0)
    (10, 15, 1)
    """
    return max(1, round(math.cbrt(max(days, 0))))


def resampled(sums: Floats, *, block: int | None = None, draws: int = DRAWS, seed: int = SEED) -> Floats:
    """The sums over all days, as they would be had other days come.

    Each draw has as many days as there are: blocks of consecutive days from random starts, the last one cut short. All
    columns are summed over the same days, so scores of several models made from one draw may be compared with each other.

    Args:
        sums: float64[days, k], what is summed over the days, in the order of the dates.
        block: days of a block; None for `block_length`.
        draws: how many.
        seed: of the random starts.

    Returns:
        float64[draws, k].

    Raises:
        ValueError: ``sums`` has not two dimensions, or block or draws are below 1.
    """
    if sums.ndim != 2:
        raise ValueError(f"sums must be days by columns, not of shape {sums.shape}")
    days = len(sums)
    block = min(block_length(days) if block is None else block, max(days, 1))
    if block < 1 or draws < 1:
        raise ValueError(f"block and draws must be at least 1, not {block} and {draws}")
    if not days:
        return np.zeros((draws, sums.shape[1]))
    # Up to each day of the circle, once round and a block further: a block's sum is a difference of two.
    until = np.concatenate([np.zeros((1, sums.shape[1])), np.cumsum(np.concatenate([sums, sums[:block]]), axis=0)])
    whole, rest = divmod(days, block)
    starts = np.random.default_rng(seed).integers(0, days, (draws, whole + (rest > 0)))
    out = np.zeros((draws, sums.shape[1]))
    for column in range(whole):
        out += until[starts[:, column] + block] - until[starts[:, column]]
    if rest:
        out += until[starts[:, whole] + rest] - until[starts[:, whole]]
    return out


def bounds(values: Floats, *, level: float = 0.95) -> tuple[float, float] | None:
    """Lower and upper bound that hold ``level`` of the drawn values between them (percentile interval).

    Args:
        values: float64[draws]; NaN where a draw's score is undefined.

    Returns:
        None if more than a twentieth of the draws are undefined: the rest would say little.

    >>> low, high = bounds(np.arange(1_001.0))
    >>> round(low), round(high)
    (25, 975)
    """
    known = values[~np.isnan(values)]
    if not len(known) or len(known) < 0.95 * len(values):
        return None
    low, high = np.quantile(known, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
