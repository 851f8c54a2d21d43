"""Figures for print: PNG at 300 dots per inch or SVG, with axis labels, units and a caption.

Drawn by matplotlib without its global state, black on white whatever the page's theme. In SVG, text stays text and
pictures of cells are one embedded image. No file says when or where it was made.
"""

from __future__ import annotations

import io
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from components.errors import ParameterError
from components.exports.annotations import lanes
from components.types import Feature, FloatArray, Segment, Selection, Tier, Times, Track
from components.units import format_minutes, time_ticks

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FileFormat = Literal["png", "svg"]
RowScale = Literal["linear", "log", "rows"]
View = tuple[float, float]
Array = npt.NDArray[np.float64]

DPI = 300
MAX_POINTS = 6000
FEW_POINTS = 200
"""So few values are marked each."""

TITLE_SIZE, TEXT_SIZE, CAPTION_SIZE = 10, 8, 7
LINE = "#1F6FA8"
_GREY, _PALE, _DARK = "#C4C4C4", "#B8D4E8", "#404040"
OKABE_ITO = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#56B4E9", "#CC79A7", "#B8A800")
"""Okabe and Ito's colours for any kind of colour vision, as on the screen."""
NOTHING = ("pause", "silence", "none")
"""Labels of stretches where nothing is: grey."""

_LEFT, _LEFT_NAMES, _RIGHT, _RIGHT_BAR, _EDGE = 1.75, 3.2, 0.45, 2.0, 0.2
_TICKS, _LEGEND, _GAP, _LINE_HEIGHT = 1.15, 0.42, 0.1, 1.22
"""Margins [cm]; height of a line of text as a multiple of its size."""
_CM, _PT = 1 / 2.54, 2.54 / 72

_NICE_HZ = tuple(m * 10.0**e for e in range(0, 5) for m in (1, 2, 5))
_CLOCK_FROM_S = 120.0

# Fonts for scripts that DejaVu Sans lacks; those that are installed are used.
_FONTS = (
    "DejaVu Sans", "Noto Sans", "Arial Unicode MS", "Noto Sans CJK SC", "Noto Sans CJK JP", "Microsoft YaHei",
    "PingFang SC", "Hiragino Sans", "Malgun Gothic", "Noto Sans Arabic", "Noto Sans Devanagari", "Segoe UI",
    "Noto Emoji", "Segoe UI Emoji",
)  # fmt: skip

# matplotlib's settings are shared by all threads: one figure at a time.
_LOCK = threading.Lock()


@dataclass(frozen=True)
class Paper:
    """What all figures have around the picture.

    Attributes
    ----------
    title : above the picture; "" for none
    caption : below it in small type, wrapped: what is shown and with which parameters; "" for none
    view : visible range [s]
    selection : a stretch, or a stretch and band, to be marked
    width_cm, height_cm : size of the figure without title, legend and caption, which add to its height
    fmt : "png" or "svg"
    """

    title: str
    caption: str
    view: View
    selection: Selection | None = None
    width_cm: float = 16.0
    height_cm: float = 7.0
    fmt: FileFormat = "png"

    def __post_init__(self) -> None:
        if not self.view[0] < self.view[1]:
            raise ParameterError(f"There is nothing to see from {self.view[0]:g} to {self.view[1]:g} s.")
        if not (6 <= self.width_cm <= 100 and 3 <= self.height_cm <= 100):
            raise ParameterError("A figure must be 6 to 100 cm wide and 3 to 100 cm high: choose another size.")


def heat(
    feature: Feature,
    paper: Paper,
    *,
    y_label: str,
    value_label: str,
    vmin: float,
    vmax: float,
    colours: str = "Magma",
    y_scale: RowScale = "linear",
    row_names: Sequence[str] | None = None,
) -> bytes:
    """A picture of cells: spectrogram, mel bands, cepstral coefficients, chroma.

    Parameters
    ----------
    feature : values, shape (n_bins, n_frames); where there are more frames or bins than dots, levels and powers
        (units "dB", "power") are pooled by their maximum, others by their mean
    y_label, value_label : with their units: "Frequency (Hz)", "Level (dB re full scale)"
    vmin, vmax : values at the ends of the colours
    colours : a colour scale by its name on the screen ("Magma", "Viridis", "Cividis", "Greys", "RdBu_r")
    y_scale : "linear" or "log" in the unit of the bins, or "rows" of equal height, as of mel bands
    row_names : names of all rows for y_scale "rows"; None for the bins' values

    Raises
    ------
    ParameterError : no such colours, nothing to see in the view, no bin above 0 on a log scale, an unfit size
    """
    with _sheet(paper, bar=True) as sheet:
        ax = sheet.ax
        across, up = sheet.dots()
        values, left, right = _columns(feature, paper.view, across)
        place = _PLACES[y_scale]
        bins = np.arange(feature.bins.size, dtype=np.float64) if y_scale == "rows" else feature.bins
        if y_scale == "log":
            values, bins = values[bins > 0], bins[bins > 0]
            if not bins.size:
                raise ParameterError("A logarithmic axis needs frequencies above 0: choose a linear one.")
        values, bottom, top = _even_rows(values, place(bins), _pool(feature), up)
        image = ax.imshow(
            values,
            origin="lower",
            aspect="auto",
            extent=(left, right, bottom, top),
            interpolation="nearest",
            cmap=_colour_map(colours),
            vmin=vmin,
            vmax=vmax,
        )
        ax.set_ylim(bottom, top)
        ax.set_ylabel(y_label)
        _row_ticks(ax, feature, y_scale, row_names, (bottom, top))
        bar = sheet.figure.colorbar(image, cax=sheet.bar, extend=_beyond(values, vmin, vmax), extendfrac=0.04)
        bar.set_label(value_label)
        bar.outline.set_linewidth(0.6)
        if paper.selection is not None:
            _mark_cells(ax, paper.selection, _band(feature, y_scale, paper.selection))
        return sheet.bytes()


def curves(
    track: Track,
    paper: Paper,
    *,
    y_label: str,
    y_log: bool = False,
    y_range: tuple[float, float] | None = None,
    dots: bool = False,
) -> bytes:
    """Curves over time: pitch, formants, intensity, loudness. A gap is where the value is not defined.

    Parameters
    ----------
    y_label : with its unit: "Pitch (Hz)"
    y_log : a logarithmic axis
    y_range : ends of the axis; None fits it to what is seen
    dots : single values that are not joined, as formants are shown

    Raises
    ------
    ParameterError : an unfit size or an empty range
    """
    several = len(track.labels) > 1
    with _sheet(paper, legend=track.labels if several else ()) as sheet:
        ax = sheet.ax
        if y_log:
            ax.set_yscale("log")
        part = _in_view(track.times, paper.view)
        times = track.times[part]
        for k, (label, row) in enumerate(zip(track.labels, track.values, strict=True)):
            y = row[part]
            colour = OKABE_ITO[k % len(OKABE_ITO)] if several else LINE
            if dots:
                ax.plot(times, y, "o", color=colour, markersize=1.6, markeredgewidth=0, label=label)
                continue
            style = ("-", "--", "-.", ":")[k // len(OKABE_ITO) % 4]
            ax.plot(times, y, style, color=colour, linewidth=1.0, label=label)
            lone = np.isfinite(y) if times.size <= FEW_POINTS else _alone(y)
            ax.plot(times[lone], y[lone], "o", color=colour, markersize=2.2)
        ax.set_ylabel(y_label)
        if y_range is not None:
            ax.set_ylim(*y_range)
        known = bool(np.isfinite(track.values[:, part]).any())
        if not known:
            ax.text(0.5, 0.5, "No value in this stretch", transform=ax.transAxes, ha="center", va="center")
        _value_ticks(ax, meaningful=known or y_range is not None)
        if several:
            sheet.legend(ax.get_legend_handles_labels(), 3.0 if dots else 1.0)
        _mark_stretch(ax, paper.selection)
        return sheet.bytes()


def outline(times: Times, low: FloatArray, high: FloatArray, paper: Paper, *, y_label: str = "Amplitude") -> bytes:
    """A waveform from the lowest and highest sample of each column, all of shape (n,); equal ones make a line."""
    with _sheet(paper) as sheet:
        ax = sheet.ax
        part = _in_view(times, paper.view)
        t, bottom, top = times[part], low[part], high[part]
        group = max(1, -(-t.size // MAX_POINTS))
        starts = np.arange(0, t.size, group)
        if np.array_equal(bottom, top) and group == 1:
            ax.plot(t, top, color=LINE, linewidth=0.8, marker="o" if t.size <= FEW_POINTS else None, markersize=2.2)
        else:
            bottom, top = np.minimum.reduceat(bottom, starts), np.maximum.reduceat(top, starts)
            ax.fill_between(t[starts], bottom, top, color=LINE, linewidth=0.4)
        limit = max(float(np.abs(bottom).max(initial=0)), float(np.abs(top).max(initial=0))) * 1.05 or 1.0
        ax.set_ylim(-limit, limit)
        ax.set_ylabel(y_label)
        _mark_stretch(ax, paper.selection)
        return sheet.bytes()


def outlines(named: Mapping[str, tuple[Times, FloatArray, FloatArray]], paper: Paper) -> bytes:
    """The waveforms of several channels one below the other, all on one scale: (times, low, high) by name."""
    with _sheet(paper) as sheet:
        ax = sheet.ax
        limit = (
            max(float(np.abs(side).max(initial=0)) for _, low, high in named.values() for side in (low, high)) or 1.0
        )
        places = []
        for row, (times, low, high) in enumerate(named.values()):
            part = _in_view(times, paper.view)
            places.append(-2.2 * row * limit)
            ax.fill_between(times[part], low[part] + places[-1], high[part] + places[-1], color=LINE, linewidth=0.4)
        ax.set_yticks(places, list(named))
        _mark_stretch(ax, paper.selection)
        return sheet.bytes()


def bands(tiers: Sequence[Tier], paper: Paper) -> bytes:
    """Annotations as bars, one row a tier, the first on top: speech and pauses, syllables, a model's events.

    Up to seven different labels have a colour each and a legend (pauses are grey); of more, each stands in its bar
    where it fits. Points are lines.

    Raises
    ------
    ParameterError : there is no tier, or an unfit size
    """
    if not tiers:
        raise ParameterError("There is nothing to draw: mark a stretch first.")
    seen = [[s for s in tier.segments if s.end >= paper.view[0] and s.start <= paper.view[1]] for tier in tiers]
    labels = list(dict.fromkeys(s.label for segments in seen for s in segments if s.label))
    coloured = [label for label in labels if label not in NOTHING]
    few = len(coloured) <= len(OKABE_ITO)
    colours = {label: OKABE_ITO[k % len(OKABE_ITO)] for k, label in enumerate(coloured)}
    colours = {label: colours.get(label, _GREY) for label in labels} if few else {}
    with _sheet(paper, legend=[_short(label) for label in colours], left=_LEFT_NAMES) as sheet:
        ax = sheet.ax
        for row, segments in enumerate(seen):
            rows = lanes(segments)
            for k, lane in enumerate(rows):
                height = 0.8 / len(rows)
                _draw_lane(sheet, lane, len(tiers) - 1 - row + 0.4 - (k + 0.5) * height, height * 0.9, colours)
        ax.set_ylim(-0.6, len(tiers) - 0.4)
        ax.set_yticks(range(len(tiers)), [_short(tier.name) for tier in reversed(tiers)])
        ax.tick_params(axis="y", length=0)
        if colours:
            from matplotlib.patches import Patch

            sheet.legend(([Patch(color=colour) for colour in colours.values()], [_short(label) for label in colours]))
        _mark_stretch(ax, paper.selection)
        return sheet.bytes()


@dataclass
class _Sheet:
    figure: Figure
    ax: Axes
    bar: Axes | None
    paper: Paper
    in_row: int

    def legend(self, entries: tuple[Any, Any], markerscale: float = 1.0) -> None:
        """The labels above the picture, in rows."""
        place = self.ax.get_position()
        y = place.y1 + 0.1 * _CM / self.figure.get_figheight()
        self.figure.legend(
            *entries, loc="lower left", bbox_to_anchor=(place.x0, y), ncols=self.in_row, frameon=False,
            markerscale=markerscale, labelspacing=0.35,
            fontsize=TEXT_SIZE, borderpad=0, borderaxespad=0, handlelength=1.6, columnspacing=1.4,
        )  # fmt: skip

    def dots(self) -> tuple[int, int]:
        """Width and height of the picture in dots of print."""
        place, (width, height) = self.ax.get_position(), self.figure.get_size_inches()
        return int(place.width * width * DPI), int(place.height * height * DPI)

    def bytes(self) -> bytes:
        out = io.BytesIO()
        # Neither the moment nor the program's version: equal data give equal files.
        metadata = {"Software": None} if self.paper.fmt == "png" else {"Date": None, "Creator": None}
        self.figure.savefig(out, format=self.paper.fmt, dpi=DPI, metadata=metadata)
        return out.getvalue()


@contextmanager
def _sheet(paper: Paper, *, bar: bool = False, legend: Sequence[str] = (), left: float = _LEFT) -> Iterator[_Sheet]:
    """A white figure with its time axis, title and caption, to be drawn on; lets go of matplotlib at the end."""
    import matplotlib as mpl
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.font_manager import fontManager

    installed = set(fontManager.get_font_names())
    settings: dict[Any, Any] = {
        "font.family": [name for name in _FONTS if name in installed],
        "font.size": TEXT_SIZE,
        "axes.linewidth": 0.6,
        "svg.fonttype": "none",
        "svg.hashsalt": "otoscope",
        "text.parse_math": False,  # a dollar in a file's name is a dollar
        "axes.unicode_minus": True,
    }
    with _LOCK, mpl.rc_context(), warnings.catch_warnings():
        mpl.rcdefaults()  # whatever style this machine's user prefers
        mpl.rcParams.update(settings)
        # A letter that no installed font has is drawn as a box; in SVG it is left to the reader's fonts.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure = Figure(figsize=(paper.width_cm * _CM, paper.height_cm * _CM), dpi=DPI, facecolor="white")
        canvas = FigureCanvasAgg(figure)
        width = paper.width_cm - left - _EDGE
        title = _wrapped(canvas, paper.title, TITLE_SIZE, width)
        caption = _wrapped(canvas, paper.caption, CAPTION_SIZE, width)
        in_row = _entries_in_row(legend, width)
        rows = -(-len(legend) // in_row)
        above = _EDGE + _height(title, TITLE_SIZE) + (_GAP if title else 0) + rows * _LEGEND
        below = _TICKS + _height(caption, CAPTION_SIZE) + (_EDGE if caption else 0)
        total = paper.height_cm - _TICKS - _EDGE + above + below
        figure.set_size_inches(paper.width_cm * _CM, total * _CM)
        right = _RIGHT_BAR if bar else _RIGHT
        across, up = (paper.width_cm - left - right) / paper.width_cm, (total - above - below) / total
        ax = figure.add_axes((left / paper.width_cm, below / total, across, up))
        side = None
        if bar:
            x = (paper.width_cm - right + 0.25) / paper.width_cm
            side = figure.add_axes((x, below / total, 0.3 / paper.width_cm, up))
        for text, y, align, size in (
            (title, 1 - _EDGE / total, "top", TITLE_SIZE),
            (caption, _EDGE / total, "bottom", CAPTION_SIZE),
        ):
            figure.text(left / paper.width_cm, y, "\n".join(text), fontsize=size, va=align, ha="left", linespacing=1.2)
        _time_axis(ax, paper.view)
        yield _Sheet(figure, ax, side, paper, in_row)


def _entries_in_row(names: Sequence[str], width_cm: float) -> int:
    """How many entries of a legend fit beside each other; all columns are as wide as the widest at most."""
    widths = [1.25 + 0.54 * TEXT_SIZE * _PT * len(name) for name in names]
    if sum(widths) <= width_cm:
        return max(1, len(names))
    return max(1, int(width_cm / max(widths)))


def _height(lines: Sequence[str], size: int) -> float:
    """Of so many lines of text [cm]."""
    return len(lines) * size * _LINE_HEIGHT * _PT


def _wrapped(canvas: Any, text: str, size: int, width_cm: float) -> list[str]:
    """The text in lines that fit into the width; a word that is too long is cut."""
    from matplotlib.font_manager import FontProperties

    font, renderer = FontProperties(size=size), canvas.get_renderer()

    @cache
    def width(letter: str) -> float:
        # Between two others, as a space alone has no ink, and eight of them, as a width is rounded up to a dot.
        with_it, without = (renderer.get_text_width_height_descent(f"x{s}x", font, False)[0] for s in (letter * 8, ""))
        return float(with_it - without) / 8

    def fits(line: str) -> bool:
        return sum(map(width, line)) <= width_cm * _CM * DPI

    lines = []
    for paragraph in text.splitlines():
        line = ""
        for word in paragraph.split():
            rest = f"{line} {word}" if line else word
            if not fits(rest) and line:
                lines.append(line)
                rest = word
            while not fits(rest) and len(rest) > 1:
                cut = next(n for n in range(len(rest) - 1, 0, -1) if n == 1 or fits(rest[:n]))
                lines.append(rest[:cut])
                rest = rest[cut:]
            line = rest
        lines.append(line)
    return lines


def _short(text: str, most: int = 18) -> str:
    plain = " ".join(text.split())
    return plain if len(plain) <= most else plain[: most - 1] + "…"


def _time_axis(ax: Axes, view: View) -> None:
    """Seconds, or min:s where the view ends beyond 2 minutes, as on the screen."""
    ax.set_xlim(*view)
    ax.set_xlabel("Time (s)")
    if view[1] > _CLOCK_FROM_S and view[1] - view[0] >= 1:
        ticks = time_ticks(view)
        ax.set_xticks(ticks, [format_minutes(t) for t in ticks])
        ax.set_xlabel("Time (min:s)" if view[1] < 3600 else "Time (h:min:s)")
    else:
        ax.ticklabel_format(axis="x", useOffset=False)


def _in_view(times: Times, view: View) -> slice:
    """The moments in view and one more on both sides, so that lines go on to the edge."""
    first = int(np.searchsorted(times, view[0], "left"))
    stop = int(np.searchsorted(times, view[1], "right"))
    return slice(max(0, first - 1), stop + 1)


def _alone(y: Array) -> npt.NDArray[np.bool_]:
    """Where a value has no neighbour and a line would not show it."""
    known = np.isfinite(y)
    padded = np.pad(known, 1)
    alone: npt.NDArray[np.bool_] = known & ~padded[:-2] & ~padded[2:]
    return alone


def _colour_map(name: str) -> str:
    from matplotlib import colormaps

    known = {own.lower(): own for own in colormaps}
    if name.lower() not in known:
        raise ParameterError(f"There are no print colours named {name}: choose Magma, Viridis, Cividis or Greys.")
    return known[name.lower()]


def _beyond(values: npt.NDArray[Any], vmin: float, vmax: float) -> str:
    """At which ends values go beyond the colours."""
    below, above = bool(np.any(values < vmin)), bool(np.any(values > vmax))
    return {(True, True): "both", (True, False): "min", (False, True): "max"}.get((below, above), "neither")


def _pool(feature: Feature) -> np.ufunc:
    return np.maximum if feature.value_unit in ("dB", "power") else np.add


def _columns(feature: Feature, view: View, most: int) -> tuple[FloatArray, float, float]:
    """The frames that touch the view, in at most so many columns, and where the first begins and the last ends [s]."""
    times = feature.times
    step = float(times[-1] - times[0]) / (times.size - 1) if times.size > 1 else view[1] - view[0]
    inside = np.flatnonzero((times > view[0] - step / 2) & (times < view[1] + step / 2))
    if not inside.size:
        raise ParameterError(f"There is nothing to see from {view[0]:g} to {view[1]:g} s: choose another stretch.")
    values = feature.values[:, inside[0] : inside[-1] + 1]
    group = -(-values.shape[1] // most)
    left = float(times[inside[0]]) - step / 2
    right = left + step * group * -(-values.shape[1] // group)
    if group == 1:
        return values, left, right
    starts = np.arange(0, values.shape[1], group)
    return _pooled(values, starts, _pool(feature), 1), left, right


def _pooled(values: FloatArray, starts: npt.NDArray[np.intp], pool: np.ufunc, axis: int) -> FloatArray:
    pooled = pool.reduceat(values, starts, axis=axis)
    if pool is np.add:
        counts = np.diff(np.append(starts, values.shape[axis])).astype(np.float32)
        pooled = pooled / (counts if axis else counts[:, None])
    made: FloatArray = pooled
    return made


def _even_rows(values: FloatArray, places: Array, pool: np.ufunc, most: int) -> tuple[FloatArray, float, float]:
    """The rows on a grid of equal steps, at most so many, and the lower and upper end of the grid.

    Rows that are evenly placed already stay as they are; else a row of the grid takes all rows that it overlaps.
    """
    if places.size == 1:
        return values, float(places[0]) - 0.5, float(places[0]) + 0.5
    middles = (places[1:] + places[:-1]) / 2
    edges = np.concatenate([[2 * places[0] - middles[0]], middles, [2 * places[-1] - middles[-1]]])
    steps = np.diff(places)
    if np.allclose(steps, steps[0], rtol=1e-3) and places.size <= most:
        return values, float(edges[0]), float(edges[-1])
    grid = np.linspace(edges[0], edges[-1], most + 1)
    first = np.clip(np.searchsorted(edges, grid[:-1], "right") - 1, 0, places.size - 1)
    stop = np.clip(np.searchsorted(edges, grid[1:], "left"), first + 1, places.size)
    padded = np.pad(values, ((0, 1), (0, 0)))  # so that `stop` may be the number of rows
    rows = pool.reduceat(padded, np.column_stack([first, stop]).ravel(), axis=0)[::2]
    if pool is np.add:
        rows = rows / (stop - first).astype(np.float32)[:, None]
    return rows, float(edges[0]), float(edges[-1])


def _same(bins: Array) -> Array:
    return bins


_PLACES: dict[RowScale, Callable[[Array], Array]] = {"linear": _same, "log": np.log10, "rows": _same}


def _row_ticks(
    ax: Axes, feature: Feature, y_scale: RowScale, row_names: Sequence[str] | None, ends: tuple[float, float]
) -> None:
    """Names of rows, or round values of the bins' unit, at most one for each twelfth of the height."""
    if y_scale == "linear":
        if feature.bin_unit == "Hz":
            ax.yaxis.set_major_formatter(lambda hz, _: f"{hz:.0f}" if hz >= 0 else "")
        return
    if y_scale == "rows" and (row_names is not None or feature.bin_unit != "Hz"):
        names = row_names or [f"{value:g}" for value in feature.bins]
        step = -(-len(names) // 16)
        ax.set_yticks(range(0, len(names), step), list(names[::step]))
        return
    low, high = (10 ** ends[0], 10 ** ends[1]) if y_scale == "log" else (feature.bins[0], feature.bins[-1])
    nice = [hz for hz in _NICE_HZ if low <= hz <= high]
    places = np.log10(nice) if y_scale == "log" else np.interp(nice, feature.bins, np.arange(feature.bins.size))
    kept: list[int] = []
    for i in reversed(range(len(nice))):
        if not kept or places[kept[-1]] - places[i] >= (ends[1] - ends[0]) / 12:
            kept.append(i)
    ax.set_yticks([places[i] for i in kept], [f"{nice[i]:.0f}" for i in kept])


def _value_ticks(ax: Axes, *, meaningful: bool) -> None:
    """matplotlib's own on a linear axis, round ones on a logarithmic one, none where the axis has no meaning."""
    if not meaningful:
        ax.tick_params(axis="y", which="both", left=False, labelleft=False)
        return
    if ax.get_yscale() == "linear":
        return
    low, high = ax.get_ylim()
    nice = [v for v in _NICE_HZ if low <= v <= high]
    if len(nice) < 2:  # less than a factor of two or so: matplotlib's own, without powers of ten
        nice = [float(v) for v in np.round(np.geomspace(low, high, 5)[1:-1])]
    ax.set_yticks(nice, [f"{v:.0f}" for v in nice])
    ax.minorticks_off()


def _band(feature: Feature, y_scale: RowScale, selection: Selection) -> tuple[float, float] | None:
    """The selection's lower and upper edge on the picture's axis, where it has a band and the axis frequencies."""
    if selection.low is None or selection.high is None or feature.bin_unit != "Hz":
        return None
    if y_scale == "rows":
        low, high = np.interp([selection.low, selection.high], feature.bins, np.arange(feature.bins.size))
        return float(low), float(high)
    if y_scale == "log":
        return float(np.log10(max(selection.low, 1e-3))), float(np.log10(selection.high))
    return selection.low, selection.high


def _mark_cells(ax: Axes, selection: Selection, band: tuple[float, float] | None) -> None:
    """A frame that is seen on any colour: white with black dashes."""
    from matplotlib.patches import Rectangle

    low, high = band or ax.get_ylim()
    for colour, style, width in (("white", "-", 1.6), ("black", (0, (4, 4)), 0.9)):
        frame = Rectangle(
            (selection.start, low), selection.duration, high - low, fill=False, edgecolor=colour, linestyle=style,
            linewidth=width,
        )  # fmt: skip
        ax.add_patch(frame)


def _mark_stretch(ax: Axes, selection: Selection | None) -> None:
    if selection is not None:
        ax.axvspan(selection.start, selection.end, facecolor="#E8E8E8", edgecolor="#808080", linewidth=0.6, zorder=0)


def _draw_lane(sheet: _Sheet, lane: Sequence[Segment], y: float, height: float, colours: dict[str, str]) -> None:
    """Bars of one lane around y, points as lines; the labels in their bars where there are no colours."""
    ax, view = sheet.ax, sheet.paper.view
    bars = [s for s in lane if s.end > s.start]
    points = [s for s in lane if s.end == s.start]
    ax.broken_barh(
        [(s.start, s.end - s.start) for s in bars], (y - height / 2, height),
        facecolors=[colours.get(s.label, _PALE) for s in bars], edgecolor="white", linewidth=0.4,
    )  # fmt: skip
    ax.vlines(
        [s.start for s in points], y - height / 2, y + height / 2,
        colors=[colours.get(s.label, _DARK) for s in points], linewidth=0.9,
    )  # fmt: skip
    if colours:
        return
    cm_per_s = (sheet.paper.width_cm - _LEFT_NAMES - _RIGHT) / (view[1] - view[0])
    for s in bars:
        start, end = max(s.start, view[0]), min(s.end, view[1])
        label = " ".join(s.label.split())
        if len(label) * TEXT_SIZE * 0.6 * _PT <= (end - start) * cm_per_s:
            ax.text((start + end) / 2, y, label, ha="center", va="center", fontsize=TEXT_SIZE - 1)
