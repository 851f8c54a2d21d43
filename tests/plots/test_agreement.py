"""Figures of several models as data: strips of labels, how many agree, which labels go together."""

import numpy as np
import pytest

from components.plots import agreement, theme
from components.plots.agreement import Strip

AT = {"clock": "clip", "view": (0.0, 3.0)}
LABELS = ("a", "b", "none")


def strips() -> list[Strip]:
    edges = np.array([0.0, 1.0, 2.0, 3.0])
    return [
        Strip("One", LABELS, edges[:-1], edges[1:], ("a", "none", "b")),
        Strip("Two", LABELS, edges[:1], edges[3:], ("b",)),
    ]


def test_strips_stand_where_their_runs_are():
    figure = agreement.label_strips(strips(), **AT)
    drawn = sorted(
        (float(y), trace.name, float(base), float(base + x))
        for trace in figure.data
        for y, base, x in zip(trace.y, trace.base, trace.x, strict=True)
    )
    assert drawn == [(0, "a", 0, 1), (0, "b", 2, 3), (0, "none", 1, 2), (1, "b", 0, 3)]
    assert [a.text for a in figure.layout.annotations] == ["One", "Two"]
    assert figure.layout.meta["time_axis"] == "clip"
    assert figure.layout.xaxis.range == (0, 3)
    assert (figure.layout.margin.l, figure.layout.margin.r) == (theme.MARGIN_LEFT, theme.MARGIN_RIGHT)
    assert "Two: b" in theme.alt_text(figure)


def test_a_label_has_the_colour_of_the_models_other_pictures_and_one_key():
    figure = agreement.label_strips(strips(), **AT)
    styles = theme.label_styles(LABELS)
    for trace in figure.data:
        if trace.name != "none":
            assert trace.marker.color == styles[trace.name]["color"]
    keys = [trace.name for trace in figure.data if trace.showlegend]
    assert sorted(keys) == ["a", "b", "none"]


def test_colours_that_begin_again_are_hatched():
    labels = tuple(f"label {i}" for i in range(9))
    t = np.arange(9.0)
    figure = agreement.label_strips([Strip("One", labels, t, t + 1, labels)], clock="c", view=(0, 9))
    looks = {(trace.marker.color, trace.marker.pattern.shape) for trace in figure.data}
    assert len(looks) == 9


def test_very_many_labels_do_not_fill_the_legend():
    labels = tuple(f"label {i}" for i in range(60))
    t = np.arange(60.0)
    figure = agreement.label_strips([Strip("One", labels, t, t + 1, labels)], clock="c", view=(0, 60))
    assert 5 <= sum(trace.showlegend for trace in figure.data) <= 10
    assert len(figure.data) == 60


def test_agreement_is_the_count_at_its_time():
    most = np.array([3, 3, 1, 2])
    figure = agreement.agreement(most, 3, 0.5, clock="c", view=(0, 2))
    (trace,) = figure.data
    assert trace.x == pytest.approx([0, 0.5, 1, 1.5, 2])
    assert trace.y == pytest.approx([3, 3, 1, 2, 2])
    assert figure.layout.yaxis.ticktext == ("all differ", "2 of 3", "all agree")
    assert "50%" in theme.alt_text(figure)


def test_agreement_of_a_long_clip_is_averaged():
    most = np.tile([1, 2], 50_000)
    (trace,) = agreement.agreement(most, 2, 0.1, clock="c", view=(0, 10_000)).data
    assert len(trace.x) <= agreement.MAX_POINTS + 1
    assert np.mean(trace.y) == pytest.approx(1.5, abs=0.02)
    (part,) = agreement.agreement(most, 2, 0.1, clock="c", view=(0, 1)).data
    assert part.y[:4] == pytest.approx([1, 2, 1, 2])


def test_labels_that_go_together_are_shares_of_the_time():
    counts = np.array([[6, 0, 0], [1, 3, 0], [0, 0, 0]])
    figure = agreement.together(counts, ["a", "b", "c"], "One", "Two")
    (trace,) = figure.data
    assert (trace.y, trace.x) == (("a", "b"), ("a", "b"))
    assert trace.z == pytest.approx(np.array([[60, 0], [10, 30]]))
    assert "a with a, 60 %" in theme.alt_text(figure)
