from components.widgets.transport import TransportState, state_of


def test_nothing_reported_yet_keeps_the_view_asked_for():
    assert state_of({}, "clip", (1.0, 2.0)) == TransportState((1.0, 2.0), None)
    assert state_of({"seen": None}, "clip", None) == TransportState(None, None)


def test_a_report_counts_also_when_it_says_everything():
    seen = {"seen": {"clock": "clip", "view": [2, 3.5], "time": 3}}
    assert state_of(seen, "clip", None) == TransportState((2.0, 3.5), 3.0)
    assert state_of({"seen": {"clock": "clip", "view": None, "time": None}}, "clip", (1.0, 2.0)).view is None


def test_what_was_said_about_another_clip_is_ignored():
    stale = {"seen": {"clock": "old", "view": [2, 3], "time": 1.0}}
    assert state_of(stale, "new", (0.0, 1.0)) == TransportState((0.0, 1.0), None)
