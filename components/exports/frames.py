"""The data under a picture as tables with named columns: Arrow tables, written as CSV or Parquet.

A column's unit stands in its name ("time_s", "440.0_hz") and in its metadata, how the numbers were made in the
table's. Parquet keeps the metadata; CSV has only the names. What is not defined (no voice, no formant) is an empty
cell, not a zero.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from components.exports.annotations import Kept
from components.exports.tables import harmless
from components.types import Feature, FloatArray, Tier, Times, Track

if TYPE_CHECKING:
    import pyarrow as pa

_VALUE_NAMES = {"dB": "level_db", "": "value"}
"""Of a value's column by its unit; else it is the picture's name and the unit."""
_ROW_NAMES = {"Hz": "frequency_hz"}


def feature_table(feature: Feature, *, method: str, long: bool = False) -> pa.Table:
    """The values of a time-frequency picture.

    Parameters
    ----------
    feature : values, shape (n_bins, n_frames)
    method : how it was made, one sentence, as in the picture's caption
    long : False: one row a frame, "time_s" and one column a bin ("440.0_hz", "c1"); True: one row a frame and bin,
        frames in order: "time_s", "frequency_hz" (or the unit of the bins), "level_db" (or the unit of the values)
    """
    facts = {"name": feature.name, "method": method, "params": json.dumps(asdict(feature.params), sort_keys=True)}
    value_name = _VALUE_NAMES.get(feature.value_unit) or _named(feature.name, feature.value_unit)
    if not long:
        names = [value_name] * feature.bins.size if not feature.bin_unit else _bin_names(feature.bins, feature.bin_unit)
        columns = [(n, row, feature.value_unit) for n, row in zip(names, feature.values, strict=True)]
        return _table([("time_s", feature.times, "s"), *columns], facts)
    row_name = _ROW_NAMES.get(feature.bin_unit) or _slug(feature.bin_unit) or "bin"
    return _table(
        [
            ("time_s", np.repeat(feature.times, feature.bins.size), "s"),
            (row_name, np.tile(feature.bins, feature.times.size), feature.bin_unit),
            (value_name, feature.values.T.ravel(), feature.value_unit),
        ],
        facts,
    )


def track_table(track: Track) -> pa.Table:
    """Curves over time: "time_s", a column a curve ("F1_hz"), and how sure each is ("F1_strength") where known."""
    columns = [("time_s", track.times, "s")]
    for label, values in zip(track.labels, track.values, strict=True):
        columns.append((_named(label, track.unit), values, track.unit))
    if track.strength is not None:
        for label, values in zip(track.labels, track.strength, strict=True):
            columns.append((_named(label, "strength"), values, "0 to 1"))
    return _table(columns, {"name": track.name, "method": track.method})


def outline_table(times: Times, low: FloatArray, high: FloatArray, *, method: str) -> pa.Table:
    """The outline of a waveform: "time_s", "low", "high", all of shape (n,), samples in [-1, 1]."""
    unit = "1 = full scale"
    return _table(
        [("time_s", times, "s"), ("low", low, unit), ("high", high, unit)], {"name": "waveform", "method": method}
    )


def outlines_table(outlines: Mapping[str, tuple[Times, FloatArray, FloatArray]], *, method: str) -> pa.Table:
    """The outlines of several channels on the same moments: "time_s", then "left_low", "left_high" and so on."""
    unit = "1 = full scale"
    times = next(iter(outlines.values()))[0]
    columns: list[tuple[str, npt.NDArray[np.floating[Any]], str]] = [("time_s", times, "s")]
    for name, (_, low, high) in outlines.items():
        columns += [(_named(name, "low"), low, unit), (_named(name, "high"), high, unit)]
    return _table(columns, {"name": "waveform", "method": method})


def tiers_table(tiers: Sequence[Tier], *, method: str) -> pa.Table:
    """Annotations, one row a stretch: "tier", "start_s", "end_s", "label"; a point ends where it starts."""
    import pyarrow as pa

    rows = [(tier.name, s.start, s.end, s.label) for tier in tiers for s in tier.segments]
    names, starts, ends, labels = zip(*rows, strict=True) if rows else ((), (), (), ())
    schema = pa.schema(
        [("tier", pa.string()), ("start_s", pa.float64()), ("end_s", pa.float64()), ("label", pa.string())],
        metadata={"method": method},
    )
    return pa.table([names, starts, ends, labels], schema=schema)


def selections_table(rows: Sequence[Kept]) -> pa.Table:
    """Kept stretches, one row each: "label", "start_s", "end_s", "low_hz", "high_hz", then a column a measure."""
    import pyarrow as pa

    columns: dict[str, list[str | float | None]] = {
        "label": [row.label for row in rows],
        "start_s": [row.selection.start for row in rows],
        "end_s": [row.selection.end for row in rows],
        "low_hz": [row.selection.low for row in rows],
        "high_hz": [row.selection.high for row in rows],
    }
    values = [{m.name: m.value for m in row.measures} for row in rows]
    for measure in dict.fromkeys(name for one in values for name in one):
        columns[measure] = [one.get(measure) for one in values]
    schema = pa.schema([(name, pa.string() if name == "label" else pa.float64()) for name in columns])
    return pa.table(
        [pa.array(v, f.type, from_pandas=True) for f, v in zip(schema, columns.values(), strict=True)], schema=schema
    )


def csv_bytes(table: pa.Table) -> bytes:
    """The table as CSV: UTF-8, comma, one header line, a decimal point, empty cells for what is not defined.

    Numbers have as many digits as it takes to read them back unchanged. A text cell or a column name that a
    spreadsheet would run as a formula gets an apostrophe in front, see `tables`.
    """
    import pyarrow as pa
    from pyarrow import csv

    for k, field in enumerate(table.schema):
        if pa.types.is_string(field.type):
            cells = [None if cell is None else harmless(cell) for cell in table.column(k).to_pylist()]
            table = table.set_column(k, field, pa.array(cells, pa.string()))
    table = table.rename_columns([harmless(name) for name in table.column_names])
    out = io.BytesIO()
    csv.write_csv(table, out)
    return out.getvalue()


def parquet_bytes(table: pa.Table) -> bytes:
    """The table as a Parquet file, with units and method in its metadata."""
    from pyarrow import parquet

    out = io.BytesIO()
    parquet.write_table(table, out)
    return out.getvalue()


def _table(columns: Iterable[tuple[str, npt.NDArray[np.floating[Any]], str]], facts: dict[str, str]) -> pa.Table:
    import pyarrow as pa

    fields, arrays = [], []
    for name, values, unit in columns:
        array = pa.array(np.ascontiguousarray(values), from_pandas=True)  # NaN becomes "not defined"
        arrays.append(array)
        fields.append((name, array.type, {"unit": unit}))
    names = _distinct([name for name, *_ in fields])
    schema = [pa.field(name, kind, metadata=unit) for name, (_, kind, unit) in zip(names, fields, strict=True)]
    return pa.table(arrays, schema=pa.schema(schema, metadata=facts))


def _slug(text: str) -> str:
    """A unit or label as part of a column's name: letters and digits of any script, "_" between them."""
    return re.sub(r"\W+", "_", text.replace("%", "percent")).strip("_")


def _named(name: str, unit: str) -> str:
    return "_".join(part for part in (_slug(name), _slug(unit).lower()) if part)


def _bin_names(bins: Times, unit: str) -> list[str]:
    if unit == "coefficient":
        return [f"c{k:g}" for k in bins]
    # As many decimals as it takes to tell neighbours apart.
    for decimals in (1, 2, 3):
        names = [f"{k:.{decimals}f}_{_slug(unit).lower()}" for k in bins]
        if len(set(names)) == len(names):
            break
    return names


def _distinct(names: Sequence[str]) -> list[str]:
    taken: dict[str, int] = {}
    made = []
    for name in names:
        taken[name] = taken.get(name, 0) + 1
        made.append(name if taken[name] == 1 else f"{name}_{taken[name]}")
    return made
