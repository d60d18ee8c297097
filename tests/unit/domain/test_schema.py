"""What other parts take for granted of the two row schemas."""

from __future__ import annotations

import pyarrow as pa
import pytest

from thundercast.domain.rows import CleanRows
from thundercast.domain.schema import (
    AVERAGED,
    CLEAN_SCHEMA,
    CLEAN_VALUES,
    IMPUTABLE,
    MEASUREMENTS,
    RAW_SCHEMA,
    TENDENCIES,
    VALUE_INDEX,
    WEATHER,
)


@pytest.mark.parametrize("schema", [RAW_SCHEMA, CLEAN_SCHEMA], ids=["raw", "clean"])
def test_every_column_says_its_unit(schema: pa.Schema) -> None:
    assert all(field.metadata[b"unit"] for field in schema)
    assert len(set(schema.names)) == len(schema.names)


def test_measurements_come_first_then_those_with_averages_then_those_with_tendencies() -> None:
    # The cleaner's kernels index by these orders.
    assert tuple(m.clean for m in MEASUREMENTS[: len(AVERAGED)]) == AVERAGED
    assert AVERAGED[: len(TENDENCIES)] == TENDENCIES
    assert tuple(m.clean for m in MEASUREMENTS[: len(IMPUTABLE)]) == IMPUTABLE
    assert [name for name, _, _ in CLEAN_VALUES[: len(MEASUREMENTS)]] == [m.clean for m in MEASUREMENTS]


def test_every_value_that_may_be_imputed_has_a_flag_beside_it() -> None:
    assert {m.clean for m in MEASUREMENTS} - set(IMPUTABLE) == {"gust", "sndp"}
    assert [name for name in CLEAN_SCHEMA.names if name.endswith("_imputed")] == [f"{name}_imputed" for name in IMPUTABLE]


def test_clean_values_are_float32_and_the_label_is_no_feature() -> None:
    assert all(CLEAN_SCHEMA.field(name).type == pa.float32() for name in VALUE_INDEX)
    assert "thunder" not in VALUE_INDEX
    assert "thunder" not in WEATHER


def test_bigquerys_names_are_the_raw_names() -> None:
    bigquery = (
        "stn wban date temp count_temp dewp count_dewp slp count_slp stp count_stp visib count_visib wdsp count_wdsp mxpsd gust max flag_max "
        "min flag_min prcp flag_prcp sndp fog rain_drizzle snow_ice_pellets hail thunder tornado_funnel_cloud"
    ).split()
    assert [name for name in RAW_SCHEMA.names if name in bigquery] == bigquery
    assert set(RAW_SCHEMA.names) - set(bigquery) == {"station", "lat", "lon", "elev", "country"}


def test_no_rows_are_rows_too() -> None:
    empty = CleanRows.empty(3)
    assert empty.to_arrow().schema.equals(CLEAN_SCHEMA, check_metadata=True)
    assert len(CleanRows.from_arrow(empty.to_arrow(), 3)) == 0
