from components.types import Selection
from components.widgets.transport import TransportState, state_of

NAMES = ("Original", "Cleaned")


def seen(**more):
    nothing = {"clock": "clip", "view": None, "time": None, "selection": None, "heard": "Original"}
    return {"seen": nothing | more}


def test_nothing_reported_yet_keeps_what_was_asked_for():
    marked = Selection(1.0, 2.0)
    asked = TransportState((1.0, 2.0), None, marked, "Original")
    assert state_of({}, "clip", (1.0, 2.0), marked, NAMES) == asked
    assert state_of({"seen": None}, "clip", None, None, ()) == TransportState(None, None, None, "")


def test_a_report_counts_also_when_it_says_everything_and_nothing():
    told = seen(view=[2, 3.5], time=3, selection=[1, 2, None, None], heard="Cleaned")
    state = state_of(told, "clip", None, None, NAMES)
    assert state == TransportState((2.0, 3.5), 3.0, Selection(1.0, 2.0), "Cleaned")
    state = state_of(seen(), "clip", (1.0, 2.0), Selection(1.0, 2.0), NAMES)
    assert state == TransportState(None, None, None, "Original")


def test_a_band_is_told_with_its_frequencies():
    state = state_of(seen(selection=[1, 2, 0, 400]), "clip", None, None, NAMES)
    assert state.selection == Selection(1.0, 2.0, 0.0, 400.0)


def test_what_was_said_about_another_clip_or_a_sound_that_is_gone_is_ignored():
    stale = seen(clock="old", view=[2, 3], time=1.0, selection=[1, 2, None, None], heard="Cleaned")
    assert state_of(stale, "new", (0.0, 1.0), None, NAMES) == TransportState((0.0, 1.0), None, None, "Original")
    assert state_of(seen(heard="Cleaned"), "clip", None, None, ("Original",)).heard == "Original"
