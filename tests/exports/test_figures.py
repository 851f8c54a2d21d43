import base64
import io
import re
import warnings
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from components.errors import ParameterError
from components.exports import figures
from components.exports.figures import Paper, bands, curves, heat, outline
from components.types import Feature, FrameParams, Segment, Selection, Tier, Track

SVG = "{http://www.w3.org/2000/svg}"


def paper(**changes: Any) -> Paper:
    values: dict[str, Any] = {"title": "", "caption": "", "view": (0.0, 2.0), "width_cm": 8.0, "height_cm": 5.0}
    return Paper(**(values | changes))


def spot(row: int, column: int, bins: np.ndarray, n_frames: int = 20) -> Feature:
    """One loud cell in silence."""
    values = np.full((bins.size, n_frames), -90.0)
    values[row, column] = 0.0
    times = (np.arange(n_frames) + 0.5) * 2.0 / n_frames
    return Feature("spectrogram", values, times, bins, "Hz", "dB", FrameParams())


def drawn(feature: Feature, sheet: Paper, **more: Any) -> bytes:
    options = {"y_label": "Frequency (Hz)", "value_label": "Level (dB)", "vmin": -90, "vmax": 0, "colours": "Greys"}
    return heat(feature, sheet, **(options | more))


def pixels(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(png)).convert("L"))


def place_of_spot(png: bytes, sheet: Paper) -> tuple[float, float]:
    """Middle of the dark cell: shares of the picture's width from the left and of its height from below."""
    dots = figures.DPI / 2.54
    image = pixels(png)
    left, right = figures._LEFT * dots, (sheet.width_cm - figures._RIGHT_BAR) * dots
    top, bottom = figures._EDGE * dots, (sheet.height_cm - figures._TICKS) * dots
    inside = image[round(top) + 6 : round(bottom) - 6, round(left) + 6 : round(right) - 6]
    rows, columns = np.nonzero(inside < 100)
    x = (np.mean([columns.min(), columns.max()]) + 6.5) / (right - left)
    y = 1 - (np.mean([rows.min(), rows.max()]) + 6.5) / (bottom - top)
    return float(x), float(y)


def words(svg: bytes) -> list[str]:
    return ["".join(node.itertext()) for node in ElementTree.fromstring(svg).iter(f"{SVG}text")]


def images(svg: bytes) -> list[np.ndarray]:
    found = ElementTree.fromstring(svg).iter(f"{SVG}image")
    data = [node.attrib["{http://www.w3.org/1999/xlink}href"].partition(",")[2] for node in found]
    return [np.asarray(Image.open(io.BytesIO(base64.b64decode(text))).convert("L")) for text in data]


def test_print_size_resolution_and_no_metadata() -> None:
    png = drawn(spot(1, 1, np.arange(1.0, 5) * 100), paper())
    image = Image.open(io.BytesIO(png))
    assert image.size == (pytest.approx(8 / 2.54 * 300, abs=1), pytest.approx(5 / 2.54 * 300, abs=1))
    assert image.info["dpi"] == (pytest.approx(300, abs=0.1), pytest.approx(300, abs=0.1))
    assert set(image.info) == {"dpi"}


def test_a_cell_is_where_its_time_and_frequency_are() -> None:
    sheet = paper()
    bins = np.linspace(0, 4000, 41)
    x, y = place_of_spot(drawn(spot(30, 5, bins), sheet), sheet)
    assert x == pytest.approx(0.55 / 2, abs=0.005)
    assert y == pytest.approx((3000 + 50) / 4100, abs=0.005)
    # On a log axis from 50 (half a row below the lowest) to 4050 Hz or so.
    x, y = place_of_spot(drawn(spot(10, 15, bins), sheet, y_scale="log"), sheet)
    assert x == pytest.approx(1.55 / 2, abs=0.005)
    low, high = np.log10(bins[1]) - np.log10(2) / 2, np.log10(4000) + np.log10(4000 / 3900) / 2
    edges = np.log10([np.sqrt(900 * 1000), np.sqrt(1000 * 1100)])
    assert y == pytest.approx((edges.mean() - low) / (high - low), abs=0.006)
    # Rows of equal height, whatever they stand for.
    _, y = place_of_spot(drawn(spot(3, 5, np.geomspace(100, 8000, 10)), sheet, y_scale="rows"), sheet)
    assert y == pytest.approx(3.5 / 10, abs=0.005)


def test_uneven_rows_on_a_linear_axis() -> None:
    sheet = paper()
    bins = np.array([0.0, 100.0, 400.0, 1000.0])
    _, y = place_of_spot(drawn(spot(2, 5, bins), sheet), sheet)
    assert y == pytest.approx(((250 + 700) / 2 + 50) / (1300 + 50), abs=0.006)


def test_nothing_loud_gets_lost_where_there_are_more_frames_and_bins_than_dots() -> None:
    feature = spot(700, 3001, np.arange(1025.0), 5000)
    (cells, *_) = images(drawn(feature, paper(fmt="svg")))
    assert cells.min() < 20
    x = np.flatnonzero((cells < 100).any(axis=0)).mean() / cells.shape[1]
    assert x == pytest.approx(3001.5 / 5000, abs=0.01)


def test_what_is_not_a_level_is_averaged() -> None:
    values = np.tile(np.float32([1.0, -1.0]), 3000)[None]
    feature = Feature("mfcc", values, np.arange(6000) / 3000, np.zeros(1), "coefficient", "", FrameParams())
    svg = drawn(feature, paper(fmt="svg"), vmin=-1, vmax=1, colours="gray", y_scale="rows")
    inner = images(svg)[0][:, 5:-5]
    assert np.abs(inner.astype(int) - 127).max() <= 2


def test_svg_has_text_as_text_and_no_origin() -> None:
    sheet = paper(title="A $x_1$ & <b> 日本 😀", caption="n_fft 1024, hop 256 samples, level re full scale.", fmt="svg")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        svg = drawn(spot(1, 1, np.array([100.0, 200.0, 300.0])), sheet)
    found = words(svg)
    assert {"A $x_1$ & <b> 日本 😀", "Time (s)", "Frequency (Hz)", "Level (dB)"} <= set(found)
    assert "n_fft 1024, hop 256 samples, level re full scale." in " ".join(found)
    assert b"dc:date" not in svg and b"dc:creator" not in svg
    assert svg == drawn(spot(1, 1, np.array([100.0, 200.0, 300.0])), sheet)
    assert len(images(svg)) == 2  # the cells and the colour bar


def test_a_long_caption_makes_the_figure_higher_and_fits_its_width() -> None:
    t = np.array([0.0, 2.0])
    long = "Pitch by Praat, floor 75 Hz, ceiling 600 Hz, " * 8 + "x" * 200
    plain = pixels(outline(t, t, t, paper()))
    with_caption = pixels(outline(t, t, t, paper(caption=long)))
    assert with_caption.shape[1] == plain.shape[1]
    grown = with_caption.shape[0] - plain.shape[0]
    assert grown > 8 * 7 / 72 * 300
    below = with_caption[-grown:] < 128
    assert below.any() and not below[:, -10:].any() and not below[-5:].any()
    assert below[:, : round(figures._LEFT / 2.54 * 300) - 3].sum() == 0


def test_ticks_are_clock_times_in_long_views_and_round_frequencies() -> None:
    bins = np.geomspace(50, 8000, 64)
    values = np.zeros((64, 300))
    feature = Feature("mel", values, np.arange(300.0), bins, "Hz", "dB", FrameParams())
    found = words(drawn(feature, paper(view=(0.0, 300.0), fmt="svg"), y_scale="rows"))
    assert {"Time (min:s)", "0:00", "1:00", "5:00", "100", "500", "1000", "5000"} <= set(found)
    late = words(drawn(feature, paper(view=(200.5, 201.2), fmt="svg"), y_scale="rows", row_names=["a"] * 64))
    assert "Time (s)" in late and "a" in late


def lines(svg: bytes, colour: str) -> list[str]:
    return re.findall(rf'<path d="([^"]*)"[^>]*style="fill: none; stroke: {colour}', svg.decode())


def test_curves_have_gaps_where_there_is_no_value() -> None:
    times = np.arange(300) / 150
    pitch = 200 + 50 * np.sin(times)
    pitch[100:150] = pitch[200:] = np.nan
    pitch[250] = 180.0  # a single voiced frame: a dot
    track = Track("pitch", ("pitch",), pitch[None], times, "Hz", "")
    svg = curves(track, paper(fmt="svg"), y_label="Pitch (Hz)", y_range=(75, 500))
    (path,) = lines(svg, figures.LINE.lower())
    assert sum("L" in part for part in path.split("M")) == 2
    assert len(re.findall(r"<use ", svg.decode().split('id="text_')[-1])) == 1


def test_several_curves_have_a_legend_and_a_log_axis_round_ticks() -> None:
    times = np.linspace(0, 2, 300)
    values = np.stack([np.full(300, 500.0), np.full(300, 1500.0)])
    track = Track("formants", ("F1", "F2"), values, times, "Hz", "")
    svg = curves(track, paper(fmt="svg"), y_label="Hz", y_log=True, y_range=(90, 6000))
    assert {"F1", "F2", "100", "1000", "5000"} <= set(words(svg))
    heights = [float(re.search(r"M [\d.]+ ([\d.]+)", lines(svg, c)[0])[1]) for c in ("#0072b2", "#e69f00")]  # type: ignore[index]
    height = (5 - figures._TICKS - figures._EDGE) * 72 / 2.54
    assert heights[0] - heights[1] == pytest.approx(height * np.log(3) / np.log(6000 / 90), rel=1e-3)
    dots = curves(track, paper(fmt="svg"), y_label="Hz", dots=True)
    assert not any(path.count("L") > 5 for path in lines(dots, "#0072b2"))


def test_a_stretch_without_a_value_says_so() -> None:
    track = Track("pitch", ("pitch",), np.full((1, 9), np.nan), np.linspace(0, 2, 9), "Hz", "")
    found = words(curves(track, paper(fmt="svg"), y_label="Pitch (Hz)", y_log=True))
    assert "No value in this stretch" in found
    assert set(found) - {"No value in this stretch", "Pitch (Hz)", "Time (s)"} <= {"0.0", "0.5", "1.0", "1.5", "2.0"}
    assert "200" in words(curves(track, paper(fmt="svg"), y_label="Hz", y_log=True, y_range=(75, 500)))
    nothing = np.zeros(0, np.float32)
    assert "Time (s)" in words(outline(np.zeros(0), nothing, nothing, paper(fmt="svg")))


def test_outline_reaches_to_the_loudest_sample_of_many() -> None:
    n = 100_000
    low, high = np.full(n, -0.01, np.float32), np.full(n, 0.01, np.float32)
    high[70_001] = 0.8
    times = np.arange(n) * 2.0 / n
    sheet = paper(height_cm=5.0)
    image = pixels(outline(times, low, high, sheet))
    dots = 300 / 2.54
    inside = image[30:-150, round(figures._LEFT * dots) + 6 : -round(figures._RIGHT * dots) - 6]
    column = int(np.argmax((inside < 160).sum(axis=0)))
    assert (column + 6) / (inside.shape[1] + 12) == pytest.approx(0.70, abs=0.01)


def test_bands_show_speech_pauses_and_points() -> None:
    speech = Tier("Speech", (Segment(0, 0.5, "pause", 1), Segment(0.5, 2.0, "speech", 1)))
    nuclei = Tier("Syllable nuclei", (Segment(0.7, 0.7, "", 1), Segment(1.2, 1.2, "", 1)))
    svg = bands([speech, nuclei], paper(fmt="svg"))
    assert {"Speech", "Syllable nuclei", "pause", "speech"} <= set(words(svg))
    text = svg.decode().lower()
    assert figures._GREY.lower() in text and figures.OKABE_ITO[0].lower() in text
    many = Tier("Words", tuple(Segment(k / 5, k / 5 + 0.2, f"w{k}", 1) for k in range(10)))
    found = words(bands([many], paper(fmt="svg", width_cm=16)))
    assert [w for w in found if w.startswith("w")] == [f"w{k}" for k in range(10)]


def test_a_selection_is_marked() -> None:
    feature = spot(1, 1, np.linspace(0, 4000, 41))
    plain = pixels(drawn(feature, paper()))
    marked = pixels(drawn(feature, paper(selection=Selection(0.5, 1.0, 1000, 2000))))
    rows, columns = np.nonzero(plain != marked)
    width = (8 - figures._LEFT - figures._RIGHT_BAR) / 2.54 * 300
    assert (columns.max() - columns.min()) / width == pytest.approx(0.25, abs=0.03)
    height = (5 - figures._EDGE - figures._TICKS) / 2.54 * 300
    assert (rows.max() - rows.min()) / height == pytest.approx(1000 / 4100, abs=0.03)


def test_the_machines_style_is_neither_used_nor_changed() -> None:
    import matplotlib as mpl

    t = np.array([0.0, 1.0, 2.0])
    before = outline(t, -t, t, paper(fmt="svg"))
    with mpl.rc_context({"axes.facecolor": "red", "lines.linewidth": 9, "font.size": 30}):
        kept = dict(mpl.rcParams)
        assert outline(t, -t, t, paper(fmt="svg")) == before
        assert dict(mpl.rcParams) == kept


def test_threads_do_not_disturb_each_other() -> None:
    t = np.array([0.0, 1.0, 2.0])
    sheets = [paper(fmt="svg", title=str(k)) for k in range(4)]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda sheet: outline(t, -t, t, sheet), sheets))
    assert together == [outline(t, -t, t, sheet) for sheet in sheets]


def test_one_sentence_for_what_cannot_be_drawn() -> None:
    feature = spot(0, 1, np.array([0.0]))
    with pytest.raises(ParameterError, match="no print colours named Nonsense: choose"):
        drawn(feature, paper(), colours="Nonsense")
    with pytest.raises(ParameterError, match="choose a linear one"):
        drawn(feature, paper(), y_scale="log")
    with pytest.raises(ParameterError, match="nothing to see from 5 to 6 s"):
        drawn(feature, paper(view=(5.0, 6.0)))
    with pytest.raises(ParameterError, match="nothing to see from 2 to 1 s"):
        paper(view=(2.0, 1.0))
    with pytest.raises(ParameterError, match="choose another size"):
        paper(width_cm=1.0)
    with pytest.raises(ParameterError, match="nothing to draw"):
        bands([], paper())
    assert drawn(feature, paper())  # the next one still works
