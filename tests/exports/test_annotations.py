import csv
import io
import math
import random
import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import parselmouth
import pytest
from parselmouth.praat import call
from praatio import textgrid as praatio_textgrid
from pympi import Eaf

from components.errors import ParameterError
from components.exports.annotations import (
    TOUCHING_S,
    Kept,
    audacity,
    elan,
    kept_tier,
    lanes,
    selections_csv,
    textgrid,
)
from components.types import Measure, Segment, Selection, Tier

STRANGE = ['say "hé"', "two\nlines", "😀 مرحبا שלום 日本", "<b>&amp;</b>", "", "item: x = 3", "\\backslash~"]


def tier(name: str, *stretches: tuple[float, float, str]) -> Tier:
    return Tier(name, tuple(Segment(start, end, label, 1.0) for start, end, label in stretches))


def in_praatio(data: bytes, folder: Path) -> Any:
    path = folder / "x.TextGrid"
    path.write_bytes(data)
    return praatio_textgrid.openTextgrid(str(path), includeEmptyIntervals=True)


def in_praat(data: bytes, folder: Path) -> list[list[tuple[float, float, str]]]:
    """Each tier as Praat itself reads it; a point is a stretch of no duration."""
    path = folder / "y.TextGrid"
    path.write_bytes(data)
    grid = parselmouth.read(str(path))
    tiers = []
    for k in range(1, int(call(grid, "Get number of tiers")) + 1):
        if call(grid, "Is interval tier", k):
            count = int(call(grid, "Get number of intervals", k))
            asked = ("Get start time of interval", "Get end time of interval", "Get label of interval")
        else:
            count = int(call(grid, "Get number of points", k))
            asked = ("Get time of point", "Get time of point", "Get label of point")
        tiers.append([tuple(call(grid, ask, k, n) for ask in asked) for n in range(1, count + 1)])
    return tiers


def in_elan(data: bytes, folder: Path) -> Any:
    path = folder / "x.eaf"
    path.write_bytes(data)
    return Eaf(str(path))


def random_tier(seed: int, count: int = 40) -> Tier:
    draw = random.Random(seed)
    starts = sorted(draw.uniform(0, 50) for _ in range(count))
    return tier("voices", *((s, s + draw.uniform(0.01, 9), f"stretch {n}") for n, s in enumerate(starts)))


def test_lanes_lose_nothing_and_do_not_overlap() -> None:
    segments = random_tier(0).segments
    rows = lanes(segments)
    assert sorted((s for row in rows for s in row), key=lambda s: s.start) == list(segments)
    for row in rows:
        assert all(a.end <= b.start + TOUCHING_S for a, b in pairwise(row))
    # As few rows as there are stretches at the busiest moment.
    assert len(rows) == max(sum(s.start <= t.start < s.end for s in segments) for t in segments)


def test_touching_stretches_share_a_lane_and_simultaneous_points_do_not() -> None:
    third = 0.1 + 0.2
    assert len(lanes([Segment(0, third, "a", 0), Segment(0.3, 1, "b", 0)])) == 1
    assert len(lanes([Segment(1, 1, "a", 0), Segment(1, 1, "b", 0), Segment(1, 1, "c", 0)])) == 3


def test_textgrid_is_read_the_same_by_praatio_and_praat(tmp_path: Path) -> None:
    words = tier("Wörter", (0.1, 0.30000000000000004, "a"), (0.3, 1.25, "b"), (2.0, 3.0, "c"))
    data = textgrid([words, tier("taps", (0.5, 0.5, "one"), (2.75, 2.75, "two")), tier("none")], 3.0)
    expected = [(0, 0.1, ""), (0.1, 0.3, "a"), (0.3, 1.25, "b"), (1.25, 2.0, ""), (2.0, 3.0, "c")]
    read = in_praatio(data, tmp_path)
    assert read.tierNames == ("Wörter", "taps", "none")
    assert [(e.start, e.end, e.label) for e in read.getTier("Wörter").entries] == [
        (pytest.approx(a), pytest.approx(b), label) for a, b, label in expected
    ]
    assert [tuple(e) for e in read.getTier("taps").entries] == [(0.5, "one"), (2.75, "two")]
    first, second, third = in_praat(data, tmp_path)
    assert [(pytest.approx(a), pytest.approx(b), label) for a, b, label in expected] == first
    assert second == [(0.5, 0.5, "one"), (2.75, 2.75, "two")]
    assert third == [(0, 3.0, "")]


def test_textgrid_keeps_strange_labels(tmp_path: Path) -> None:
    strange = tier("labels", *((n, n + 0.5, label) for n, label in enumerate(STRANGE)))
    points = tier("points", *((n, n, label) for n, label in enumerate(STRANGE)))
    data = textgrid([strange, points], 10.0)
    stretches, marks = in_praat(data, tmp_path)
    assert [label for *_, label in stretches[::2]][: len(STRANGE)] == STRANGE
    assert [label for *_, label in marks] == STRANGE
    by_start = {e.start: e.label for e in in_praatio(data, tmp_path).getTier("labels").entries}
    assert [by_start[n] for n in range(len(STRANGE))] == STRANGE


def test_textgrid_puts_overlapping_stretches_and_points_into_tiers_of_their_own(tmp_path: Path) -> None:
    mixed = tier("t", (0, 2, "a"), (1, 3, "b"), (1.5, 1.5, "p"), (2, 4, "c"))
    read = in_praatio(textgrid([mixed, tier("t", (0, 1, "again"))], 5.0), tmp_path)
    assert read.tierNames == ("t", "t (2)", "t (points)", "t (3)")
    assert [e.label for e in read.getTier("t").entries] == ["a", "c", ""]
    assert [e.label for e in read.getTier("t (2)").entries] == ["", "b", ""]


def test_textgrid_of_many_stretches_has_them_all(tmp_path: Path) -> None:
    made = random_tier(1)
    tiers = in_praat(textgrid([made], 60.0), tmp_path)
    found = sorted((a, b, label) for entries in tiers for a, b, label in entries if label)
    assert found == [(pytest.approx(s.start), pytest.approx(s.end), s.label) for s in made.segments]
    for entries in tiers:  # without a gap from the first to the last moment
        assert entries[0][0] == 0 and entries[-1][1] == 60
        assert all(a[1] == b[0] for a, b in pairwise(entries))


def test_textgrid_of_numpy_times_and_of_the_very_beginning(tmp_path: Path) -> None:
    import numpy as np

    start, end = np.array([5e-5, 1.5])
    data = textgrid([tier("x", (start, end, "a"))], np.float64(2.0))
    assert b"np." not in data
    assert [tuple(e) for e in in_praatio(data, tmp_path).getTier("x").entries] == [(0, 1.5, "a"), (1.5, 2, "")]


@pytest.mark.parametrize("write", [textgrid, lambda tiers, duration: elan(tiers, duration, "a.wav")])
def test_ends_are_cut_and_what_lies_outside_is_refused(write: Any, tmp_path: Path) -> None:
    data = write([tier("x", (1.0, 2.3, "late"))], 2.0)
    if data.startswith(b"File type"):
        assert in_praat(data, tmp_path) == [[(0, 1, ""), (1, 2, "late")]]
    else:
        assert in_elan(data, tmp_path).get_annotation_data_for_tier("x") == [(1000, 2000, "late")]
    with pytest.raises(ParameterError, match=r"“far” of x, from 5 to 6 s, lies outside"):
        write([tier("x", (5.0, 6.0, "far"))], 2.0)
    with pytest.raises(ParameterError, match="nothing to save"):
        write([], 2.0)


def test_elan_is_read_by_pympi_on_its_clock(tmp_path: Path) -> None:
    made = random_tier(2)
    eaf = in_elan(
        elan([made, tier("points", (0.5, 0.5, "x")), tier("empty")], 60.0, "C:\\Users\\me\\talk 1.MP3"), tmp_path
    )
    names = [name for name in eaf.get_tier_names() if name.startswith("voices")]
    found = sorted(row for name in names for row in eaf.get_annotation_data_for_tier(name))
    assert found == sorted((round(s.start * 1000), round(s.end * 1000), s.label) for s in made.segments)
    for name in names:  # no overlap within a tier
        rows = sorted(eaf.get_annotation_data_for_tier(name))
        assert all(a[1] <= b[0] for a, b in pairwise(rows))
    assert eaf.get_annotation_data_for_tier("points") == [(500, 501, "x")]
    assert eaf.get_annotation_data_for_tier("empty") == []
    (media,) = eaf.get_linked_files()
    assert media["MEDIA_URL"] == media["RELATIVE_MEDIA_URL"] == "./talk 1.MP3"
    assert media["MIME_TYPE"] == "audio/mpeg"
    times = list(eaf.timeslots.values())
    assert times == sorted(times)


def test_elan_keeps_strange_labels_and_says_neither_who_nor_when(tmp_path: Path) -> None:
    strange = tier("labels", *((n, n + 0.5, label) for n, label in enumerate([*STRANGE, "bell\x07 and \ud800"])))
    data = elan([strange], 20.0, "a.wav")
    labels = [label for *_, label in sorted(in_elan(data, tmp_path).get_annotation_data_for_tier("labels"))]
    assert labels == [*STRANGE, "bell  and  "]
    assert data == elan([strange], 20.0, "a.wav")
    assert b'AUTHOR=""' in data and b'DATE="1970-01-01T00:00:00+00:00"' in data


def test_elan_rounding_makes_no_overlap(tmp_path: Path) -> None:
    close = tier("x", (0.0, 1.0004, "a"), (1.0006, 1.0008, "b"), (1.0009, 2.0, "c"))
    eaf = in_elan(elan([close], 2.0, "a.wav"), tmp_path)
    found = {name: eaf.get_annotation_data_for_tier(name) for name in eaf.get_tier_names()}
    assert found == {"x": [(0, 1000, "a"), (1001, 1002, "b")], "x (2)": [(1001, 2000, "c")]}


def test_audacity_labels_with_bands() -> None:
    kept = [Kept("band", Selection(1.0, 2.0, 300.0, 3400.5)), Kept("a\tb\r\nc", Selection(0.25, 0.5))]
    lines = audacity([], kept).decode().splitlines()
    assert lines == ["0.250000\t0.500000\ta b c", "1.000000\t2.000000\tband", "\\\t300.000000\t3400.500000"]
    two = audacity([tier("x", (0, 1, "a")), tier("y", (0.5, 0.5, "b"))]).decode().splitlines()
    assert two == ["0.000000\t1.000000\tx: a", "0.500000\t0.500000\ty: b"]
    assert audacity([tier("x", (0, 1, "a"))]) == b"0.000000\t1.000000\ta\n"
    with pytest.raises(ParameterError, match="nothing to save"):
        audacity([])


def test_selections_as_a_table() -> None:
    pitch = Measure("pitch_mean_hz", "Pitch, mean", 123.456789, "Hz", "How high.")
    hnr = Measure("hnr_db", "HNR", -3.25, "dB", "How clear.")
    undefined = Measure("hnr_db", "HNR", math.nan, "dB", "How clear.")
    rows = [
        Kept("=1+1", Selection(0.5, 1.0), (pitch, undefined)),
        Kept('é, "b"', Selection(3600.125, 3601.0, 80.0, 250.5), (hnr,)),
    ]
    first, second = csv.DictReader(io.StringIO(selections_csv(rows).decode(), newline=""))
    assert first == {
        "label": "'=1+1", "start_s": "0.500000", "end_s": "1.000000", "low_hz": "", "high_hz": "",
        "pitch_mean_hz": "123.457", "hnr_db": "",
    }  # fmt: skip
    assert second == {
        "label": 'é, "b"', "start_s": "3600.125000", "end_s": "3601.000000", "low_hz": "80", "high_hz": "250.5",
        "pitch_mean_hz": "", "hnr_db": "-3.25",
    }  # fmt: skip
    assert re.fullmatch(rb"label,start_s,end_s,low_hz,high_hz\n", selections_csv([]))


def test_kept_selections_as_a_tier() -> None:
    made = kept_tier("mine", [Kept("b", Selection(2, 3)), Kept("a", Selection(0, 5, 100, 200))])
    assert [(s.start, s.end, s.label) for s in made.segments] == [(0, 5, "a"), (2, 3, "b")]


@pytest.mark.data
def test_phone_labels_of_real_recordings_come_back_from_praat_and_elan(data_dir: Path, tmp_path: Path) -> None:
    for path in sorted((data_dir / "emodb" / "lablaut").glob("*.lablaut"))[:3]:
        lines = path.read_text("latin-1").partition("#")[2].split("\n")
        ends = [(float(line.split()[0]), line.split()[2]) for line in lines if len(line.split()) > 2]
        starts = [0.0, *(end for end, _ in ends)]
        phones = tier("phones", *((a, b, label) for a, (b, label) in zip(starts, ends, strict=False) if b > a))
        assert len(phones.segments) > 10
        duration = ends[-1][0]
        (read,) = in_praat(textgrid([phones], duration), tmp_path)
        assert read == [(s.start, s.end, s.label) for s in phones.segments]
        eaf = in_elan(elan([phones], duration, f"{path.stem}.wav"), tmp_path)
        rows = sorted(row for name in eaf.get_tier_names() for row in eaf.get_annotation_data_for_tier(name))
        assert [label for *_, label in rows] == [s.label for s in phones.segments]
        for (a, b, _), s in zip(rows, phones.segments, strict=True):
            assert abs(a / 1000 - s.start) <= 0.001 and abs(b / 1000 - s.end) <= 0.001
