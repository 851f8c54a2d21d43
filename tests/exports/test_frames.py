import io
import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from pyarrow import parquet

from components.exports.frames import csv_bytes, feature_table, outline_table, parquet_bytes, track_table
from components.types import Feature, FrameParams, Track

PARAMS = FrameParams(n_fft=512, hop_length=128)


def feature(bins: np.ndarray, bin_unit: str = "Hz", value_unit: str = "dB", name: str = "spectrogram") -> Feature:
    values = np.random.default_rng(0).normal(-40, 20, (len(bins), 7))
    return Feature(name, values, np.arange(7) * 0.008, bins, bin_unit, value_unit, PARAMS)


def from_csv(table: pa.Table) -> pd.DataFrame:
    return pd.read_csv(io.BytesIO(csv_bytes(table)))


def test_wide_spectrogram_comes_back_from_csv_and_parquet() -> None:
    made = feature(np.array([0.0, 31.25, 440.0]))
    table = feature_table(made, method="A sentence.")
    assert table.column_names == ["time_s", "0.0_hz", "31.2_hz", "440.0_hz"]
    for read in (from_csv(table), pd.read_parquet(io.BytesIO(parquet_bytes(table)))):
        assert list(read.columns) == table.column_names
        assert np.array_equal(read["time_s"], made.times)
        assert np.array_equal(read.iloc[:, 1:].to_numpy().T.astype(np.float32), made.values)


def test_long_spectrogram_has_one_row_a_cell() -> None:
    made = feature(np.array([100.0, 200.0]))
    read = from_csv(feature_table(made, method="", long=True))
    assert list(read.columns) == ["time_s", "frequency_hz", "level_db"]
    cells = read.pivot(index="frequency_hz", columns="time_s", values="level_db")
    assert np.array_equal(cells.to_numpy().astype(np.float32), made.values)
    assert np.array_equal(cells.index, made.bins) and np.array_equal(cells.columns, made.times)


def test_columns_are_named_for_what_they_hold() -> None:
    cepstra = feature_table(feature(np.arange(3.0), "coefficient", "", "mfcc"), method="")
    assert cepstra.column_names == ["time_s", "c0", "c1", "c2"]
    centroid = feature_table(feature(np.zeros(1), "", "Hz", "spectral_centroid"), method="")
    assert centroid.column_names == ["time_s", "spectral_centroid_hz"]
    power = feature_table(feature(np.array([1.0, 2.0]), value_unit="power"), method="", long=True)
    assert power.column_names == ["time_s", "frequency_hz", "spectrogram_power"]
    close = feature_table(feature(np.array([32.70, 32.72])), method="")
    assert close.column_names == ["time_s", "32.70_hz", "32.72_hz"]


def test_units_and_method_travel_with_parquet() -> None:
    table = feature_table(feature(np.array([100.0, 200.0])), method="STFT, n_fft 512.")
    schema = parquet.read_schema(io.BytesIO(parquet_bytes(table)))
    assert schema.metadata[b"method"] == b"STFT, n_fft 512." and schema.metadata[b"name"] == b"spectrogram"
    assert json.loads(schema.metadata[b"params"])["n_fft"] == 512
    assert schema.field("time_s").metadata[b"unit"] == b"s"
    assert schema.field("200.0_hz").metadata[b"unit"] == b"dB"


def test_what_is_not_defined_is_an_empty_cell() -> None:
    values = np.array([[np.nan, 120.5, np.nan], [500.0, np.nan, 0.0]])
    track = Track("formants", ("F1", "F2"), values, np.array([0.0, 0.01, 0.02]), "Hz", "Praat.", values / 500)
    table = track_table(track)
    assert csv_bytes(table).decode().splitlines() == [
        '"time_s","F1_hz","F2_hz","F1_strength","F2_strength"',
        "0,,500,,1",
        "0.01,120.5,,0.241,",
        "0.02,,0,,0",
    ]
    assert table.column("F1_hz").null_count == 2
    back = parquet.read_table(io.BytesIO(parquet_bytes(table)))
    assert back.column("F1_hz").to_pylist() == [None, 120.5, None]
    assert back.schema.metadata[b"method"] == b"Praat."


def test_labels_of_any_kind_make_columns_of_their_own() -> None:
    track = Track("x", ("a b", "a.b", "=1+1", "Größe"), np.zeros((4, 2)), np.arange(2.0), "", "")
    assert track_table(track).column_names == ["time_s", "a_b", "a_b_2", "1_1", "Größe"]


def test_text_is_no_formula() -> None:
    table = pa.table({"=HYPERLINK()": ["=1+1", None, "plain"], "n": [-1.5, 2.0, 3.0]})
    read = from_csv(table)
    assert list(read.columns) == ["'=HYPERLINK()", "n"]
    assert read.iloc[0, 0] == "'=1+1" and pd.isna(read.iloc[1, 0]) and read.iloc[2, 0] == "plain"
    assert read["n"].tolist() == [-1.5, 2.0, 3.0]


def test_outline() -> None:
    times = np.array([0.5, 1.5])
    table = outline_table(times, np.float32([-0.1, -0.25]), np.float32([0.1, 0.2]), method="m")
    assert csv_bytes(table).decode() == '"time_s","low","high"\n0.5,-0.1,0.1\n1.5,-0.25,0.2\n'
    assert table.schema.field("low").metadata == {b"unit": b"1 = full scale"}


def test_numbers_come_back_to_the_last_digit() -> None:
    values = np.random.default_rng(1).normal(size=(1, 500)) * 10.0 ** np.random.default_rng(2).integers(-9, 9, 500)
    track = Track("x", ("x",), values, np.arange(500) / 44100, "", "")
    rows = [line.split(",") for line in csv_bytes(track_table(track)).decode().splitlines()[1:]]
    assert [float(x) for _, x in rows] == values[0].tolist()
    assert [float(time) for time, _ in rows] == track.times.tolist()


@pytest.mark.parametrize("long", [False, True])
def test_no_frames_make_a_header(long: bool) -> None:
    empty = Feature("mel", np.zeros((2, 0)), np.zeros(0), np.array([1.0, 2.0]), "Hz", "dB", PARAMS)
    assert csv_bytes(feature_table(empty, method="", long=long)).decode().count("\n") == 1
