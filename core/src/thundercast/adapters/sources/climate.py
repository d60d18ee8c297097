"""The made-up climate of `synthetic`: stations, waves of weather that pass over them, and one compiled step per day.

It is plausible, not true: temperature falls with latitude and height and follows the season, lows bring wind and rain, moisture and
lift bring thunder. What is hard about the real data is in it: stations that never report weather, sentinels, pressures without their
first digit.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import numba as nb
import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

WAVES: Final = 16
NORMALS: Final = 7
UNIFORMS: Final = 14
VALUES: Final = ("temp", "dewp", "slp", "stp", "visib", "wdsp", "mxpsd", "gust", "max", "min", "prcp", "sndp")
COUNTS: Final = ("temp", "dewp", "slp", "stp", "visib", "wdsp")
FLAGS: Final = ("max", "min", "prcp")

_MEMORY: Final = 12  # days after which a wave is forgotten
_PERSISTENCE: Final = 0.7  # of a wave from a day to the next
_SCALE_HEIGHT: Final = 8400.0  # m, of the atmosphere

# Columns of a station's traits.
_LAT, _ELEV, _MEAN, _SWING, _RANGE, _DEPRESSION, _PROPENSITY = range(7)
# Columns of what a station reports.
_WEATHER, _SLP, _STP, _VISIB, _GAUGE, _OFTEN = range(6)


@dataclass(frozen=True, slots=True)
class Climate:
    """The stations of a seed, n of them.

    Attributes:
        lat, lon, elev: float64[n].
        traits: float64[n, 7]; reports: int8[n, 6], see the module's constants.
        waves: float64[n, 2 * WAVES], each wave's cosine and sine at each station.
    """

    seed: int
    lat: Floats
    lon: Floats
    elev: Floats
    traits: Floats
    reports: npt.NDArray[np.int8]
    waves: Floats

    @classmethod
    def of(cls, stations: int, seed: int) -> Climate:
        """The climate of a seed. A station's traits depend on the number of stations too."""
        draw = _generator(seed, 0)
        belt = draw.random(stations)
        lat = np.where(
            belt < 0.7, draw.normal(42, 11, stations), np.where(belt < 0.9, draw.uniform(-20, 25, stations), draw.normal(-33, 7, stations))
        )
        lat = np.round(np.clip(lat, -65, 75), 3)
        lon = np.round(draw.uniform(-180, 180, stations), 3)
        elev = np.asarray(np.round(np.minimum(draw.exponential(250, stations), 3500), 1), np.float64)
        inland = draw.random(stations)
        dry = draw.random(stations)
        traits = np.column_stack([
            lat,
            elev,
            81 - 0.0125 * lat**2 - 0.0117 * elev,
            (2 + 0.45 * np.abs(lat)) * (0.5 + 0.8 * inland),
            10 + 14 * inland,
            5 + 14 * dry,
            draw.normal(0, 0.8, stations),
        ])  # fmt: skip
        share = draw.random((stations, 6))
        reports = np.column_stack([
            share[:, 0] < 0.61,
            share[:, 1] < 0.66,
            share[:, 2] < 0.72,
            (share[:, 3] < 0.97) & (share[:, 0] < 0.61) | (share[:, 3] < 0.4),
            np.where(share[:, 4] < 0.6, 0, np.where(share[:, 4] < 0.92, 1, 2)),
            share[:, 5] < 0.7,
        ]).astype(np.int8)  # fmt: skip
        east, north = draw.integers(1, 9, WAVES), draw.uniform(-4, 4, WAVES)
        angle = np.radians(lon)[:, None] * east + np.radians(lat)[:, None] * north
        return cls(seed, lat, lon, elev, traits, reports, np.hstack([np.cos(angle), np.sin(angle)]) / math.sqrt(WAVES))

    def amplitudes(self, day: int) -> Floats:
        """float64[2, 2 * WAVES]: the day's waves of pressure and of moisture.

        Each is a sum over the days before, rather than a state: any day can be made without those before it.
        """
        total = np.zeros((2, 2 * WAVES))
        for age in range(_MEMORY - 1, -1, -1):
            total = _PERSISTENCE * total + _impulse(self.seed, day - age)
        return total * math.sqrt(1 - _PERSISTENCE**2)

    def day(
        self, day: int, season: float
    ) -> tuple[npt.NDArray[np.intp], Floats, npt.NDArray[np.int16], npt.NDArray[np.uint8], npt.NDArray[np.int8]]:
        """The station-days of a date.

        Args:
            day: days since 1970-01-01.
            season: from -1 in the northern winter to 1 in its summer.

        Returns:
            Index of the m stations that have a row; float64[12, m] `VALUES` in raw units with sentinels; int16[6, m] `COUNTS`;
            uint8[3, m] `FLAGS` as ASCII codes, 0 for none; int8[6, m] digits of FRSHTT.
        """
        n = len(self.lat)
        draw = _generator(self.seed, 2, day)
        normal, uniform = draw.standard_normal((n, NORMALS)), draw.random((n, UNIFORMS))
        index = np.empty(n, np.intp)
        values, counts = np.empty((len(VALUES), n)), np.empty((len(COUNTS), n), np.int16)
        flags, digits = np.zeros((len(FLAGS), n), np.uint8), np.zeros((6, n), np.int8)
        rows = _day(
            season, self.amplitudes(day), self.traits, self.reports, self.waves, normal, uniform, index, values, counts, flags, digits
        )
        return index[:rows], values[:, :rows], counts[:, :rows], flags[:, :rows], digits[:, :rows]


def _generator(seed: int, stream: int, day: int = 0) -> np.random.Generator:
    """Numbers that depend on nothing but seed, stream and day: Philox counts, so it needs no walk from the start."""
    return np.random.Generator(np.random.Philox(key=np.array([seed, (stream << 32) + (day + 1_000_000)], np.uint64)))


@lru_cache(maxsize=4 * _MEMORY)
def _impulse(seed: int, day: int) -> Floats:
    """What a day adds to the waves: float64[2, 2 * WAVES]."""
    return _generator(seed, 1, day).standard_normal((2, 2 * WAVES))


@nb.njit(cache=True, nogil=True)
def _rounded(value: float, per_unit: float) -> float:
    return math.floor(value * per_unit + 0.5) / per_unit


@nb.njit(cache=True, nogil=True)
def _sigmoid(x: float) -> float:
    return 1.0 / (1.0 + math.exp(-x))


@nb.njit(cache=True, nogil=True)
def _day(
    season: float, amplitudes: Any, traits: Any, reports: Any, waves: Any, normal: Any, uniform: Any, index: Any, values: Any, counts: Any,
    flags: Any, digits: Any,
) -> int:  # fmt: skip
    row = 0
    for i in range(len(traits)):
        u, z = uniform[i], normal[i]
        if u[0] < 0.02:  # no row today
            continue
        pressure = moisture = 0.0
        for k in range(waves.shape[1]):
            pressure += waves[i, k] * amplitudes[0, k]
            moisture += waves[i, k] * amplitudes[1, k]
        lat, elev = traits[i, _LAT], traits[i, _ELEV]
        far, local = abs(lat), season if lat >= 0 else -season
        # Temperatures in °F, pressure in hPa, wind in knots, precipitation in inches, as NOAA has them.
        slp = 1014.0 + (1.5 + 0.16 * far) * pressure + 0.5 * z[0]
        temp = traits[i, _MEAN] + traits[i, _SWING] * local + (1.5 + 0.1 * far) * moisture + 2.5 * z[1]
        dewp = temp - 0.3 - traits[i, _DEPRESSION] * (1 + 0.2 * local) * math.exp(-0.4 * moisture + 0.3 * z[2])
        span = traits[i, _RANGE] * math.exp(0.2 * z[3] - 0.15 * moisture)
        wind = math.exp(1.7 - 0.15 * pressure + 0.4 * z[4])
        weather = reports[i, _WEATHER] == 1
        lift = 0.7 * moisture - 0.6 * pressure + traits[i, _PROPENSITY]
        thunder = u[1] < _sigmoid(-4.9 + 0.1 * (min(dewp, 78.0) - 45.0) + 1.3 * lift) and temp > 28.0
        rain = u[2] < (0.85 if thunder else _sigmoid(-1.4 + 1.1 * moisture - 0.8 * pressure))
        amount = max(_rounded(-math.log(1.0 - u[3]) * (0.45 if thunder else 0.16), 100.0), 0.01) if rain else 0.0
        fog = temp - dewp < 3.5 and u[4] < 0.5
        snow = rain and temp < 33.0
        fastest = wind * (1.5 + 0.5 * u[5]) + 2.0 + (6.0 * u[6] if thunder else 0.0)

        index[row] = i
        observations = (24 if reports[i, _OFTEN] == 1 else 8) - (int(4 * u[7]) if u[8] < 0.15 else 0)
        for j in range(6):
            counts[j, row] = observations
        values[0, row] = _rounded(temp, 10.0)
        values[1, row] = _rounded(dewp, 10.0)
        if u[9] < 0.045:
            values[1, row], counts[1, row] = 9999.9, 0
        values[2, row] = _rounded(slp, 10.0)
        if reports[i, _SLP] == 0 or u[10] < 0.03:
            values[2, row], counts[2, row] = 9999.9, 0
        if reports[i, _STP] == 0 or u[10] < 0.02:
            values[3, row], counts[3, row] = 999.9, 0
        else:
            # NOAA's files have no room for the first digit of 1000 hPa and more.
            tenths = math.floor(slp * math.exp(-elev / _SCALE_HEIGHT) * 10.0 + 0.5)
            values[3, row] = (tenths - 10000.0 if tenths >= 10000.0 else tenths) / 10.0
        if reports[i, _VISIB] == 0 or u[11] < 0.02:
            values[4, row], counts[4, row] = 999.9, 0
        else:
            values[4, row] = _rounded(max(9.9 - (3.0 if rain else 0.0) - (5.0 if fog else 0.0) - 1.5 * u[12], 0.1), 10.0)
        if u[13] < 0.035:
            values[5, row], values[6, row], counts[5, row] = 999.9, 999.9, 0
        else:
            values[5, row] = _rounded(wind, 10.0)
            values[6, row] = _rounded(fastest, 10.0)
        values[7, row] = _rounded(1.4 * fastest, 10.0) if fastest > 14.0 and u[13] >= 0.035 else 999.9
        values[8, row] = _rounded(temp + 0.5 * span, 10.0)
        values[9, row] = _rounded(temp - 0.5 * span, 10.0)
        flags[0, row] = 42 if u[12] < 0.3 else 0  # '*'
        flags[1, row] = 42 if u[11] > 0.7 else 0
        gauge = reports[i, _GAUGE]
        if gauge == 0:
            values[10, row], flags[2, row] = amount, 71  # 'G'
        elif gauge == 1:
            values[10, row], flags[2, row] = 0.0, 73  # 'I': nothing reported, written as zero
        else:
            values[10, row], flags[2, row] = 99.99, 0
        depth = math.floor((30.0 - temp) * 0.3)
        values[11, row] = depth if depth >= 1.0 and z[5] > 0.0 else 999.9
        if weather:
            digits[0, row] = fog
            digits[1, row] = rain and not snow
            digits[2, row] = snow
            digits[3, row] = thunder and u[6] < 0.02
            digits[4, row] = thunder
            digits[5, row] = thunder and u[5] < 0.0005
        row += 1
    return row
