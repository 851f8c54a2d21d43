import io
import json
import math
import string
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from components.errors import DecodeError, ParameterError
from components.exports import session as module
from components.exports.annotations import Kept
from components.exports.session import (
    ClipFacts,
    Session,
    read_session,
    safe_name,
    session_bytes,
    session_name,
    write_session,
)
from components.types import Measure, Selection

CLIP = ClipFacts("Gespräch 1.mp3", "ab" * 32, "cd" * 32, 44100, 12.5, ("High-pass at 80 Hz.",))
PLAIN = Session("0.1.0", CLIP, {"n_fft": 1024, "colours": "Magma"}, ({"kind": "spectrogram"},), (0.5, 2.0))
AUDIO = bytes(range(256)) * 400


def with_selection(selection: Selection, *values: float) -> Session:
    measures = tuple(Measure(f"m{k}", "M", value, "Hz", "A sentence.") for k, value in enumerate(values))
    return replace(PLAIN, selections=(Kept("a “label”", selection, measures),))


def zipped(*members: tuple[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return out.getvalue()


def record(**changes: Any) -> bytes:
    with zipfile.ZipFile(io.BytesIO(session_bytes(PLAIN))) as archive:
        made = json.loads(archive.read("session.json"))
    return json.dumps(made | changes).encode()


def refused(data: bytes, **options: Any) -> str:
    with pytest.raises(DecodeError) as caught:
        read_session(data, **options)
    sentence = str(caught.value)
    assert sentence.endswith(".") and "\n" not in sentence
    return sentence


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
numbers = st.floats(0, 1e5, allow_subnormal=False)
plain_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
mappings = st.dictionaries(texts, plain_values, max_size=3)
selections = st.builds(
    lambda start, length, band: Selection(start, start + length + 0.001, *band),
    numbers,
    numbers,
    st.just((None, None)) | st.builds(lambda low, width: (low, low + width + 0.1), numbers, numbers),
)
measures = st.builds(Measure, texts, texts, st.floats(allow_infinity=False, allow_nan=False), texts, texts)
sessions = st.builds(
    Session,
    app_version=texts,
    clip=st.builds(
        ClipFacts, texts, texts, st.none() | texts, st.integers(1, 192000), numbers, st.lists(texts).map(tuple)
    ),
    settings=mappings,
    panes=st.lists(mappings, max_size=3).map(tuple),
    view=st.none() | st.builds(lambda start, length: (start, start + length + 0.01), numbers, numbers),
    selections=st.lists(st.builds(Kept, texts, selections, st.lists(measures, max_size=2).map(tuple)), max_size=2).map(
        tuple
    ),
    provenance=st.none() | mappings,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(sessions)
def test_any_session_comes_back_as_it_was(made: Session) -> None:
    data = session_bytes(made)
    assert read_session(data) == (made, None)
    assert session_bytes(made) == data


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_a_damaged_file_is_read_or_refused_with_a_sentence(data: st.DataObject) -> None:
    broken = bytearray(session_bytes(PLAIN, ("a.wav", b"sound")))
    for _ in range(data.draw(st.integers(1, 4))):
        broken[data.draw(st.integers(0, len(broken) - 1))] = data.draw(st.integers(0, 255))
    cut = bytes(broken[data.draw(st.integers(0, 40)) :])
    for damaged in (bytes(broken), cut):
        try:
            read_session(damaged)
        except DecodeError as error:
            assert str(error).endswith(".")


def test_the_recording_comes_back_from_bytes_and_from_disk(tmp_path: Path) -> None:
    (tmp_path / "in.wav").write_bytes(AUDIO)
    write_session(PLAIN, tmp_path / "s.zip", ("../in.wav", tmp_path / "in.wav"))
    assert (tmp_path / "s.zip").read_bytes() == session_bytes(PLAIN, ("in.wav", AUDIO))
    for source in (tmp_path / "s.zip", (tmp_path / "s.zip").read_bytes()):
        session, audio = read_session(source)
        assert session == PLAIN and audio is not None
        assert (audio.name, audio.size) == ("in.wav", len(AUDIO))
        audio.copy_to(tmp_path / "out")
        assert (tmp_path / "out").read_bytes() == AUDIO
    with zipfile.ZipFile(tmp_path / "s.zip") as archive:
        assert archive.testzip() is None
        stored = {info.filename: info for info in archive.infolist()}
    assert set(stored) == {"session.json", "audio/in.wav"}
    assert stored["audio/in.wav"].compress_type == zipfile.ZIP_STORED
    assert {info.date_time for info in stored.values()} == {(1980, 1, 1, 0, 0, 0)}


def test_a_session_zipped_anew_by_hand_still_opens(tmp_path: Path) -> None:
    data = zipped(("session.json", record()), ("audio/a.wav", AUDIO), ("__MACOSX/._session.json", b"x"))
    session, audio = read_session(data)
    assert session == PLAIN and audio is not None
    audio.copy_to(tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == AUDIO


def test_measures_that_are_not_defined_stay_so() -> None:
    session, _ = read_session(session_bytes(with_selection(Selection(0.1, 0.2, 50, 60), math.nan, 1.5, math.inf)))
    (kept,) = session.selections
    assert kept.selection == Selection(0.1, 0.2, 50, 60)
    assert [math.isnan(m.value) for m in kept.measures] == [True, False, True]
    assert kept.measures[1].value == 1.5


def test_values_that_are_not_plain_are_refused_and_leave_no_file(tmp_path: Path) -> None:
    for bad in (math.nan, math.inf, object(), {1, 2}):
        with pytest.raises(ParameterError, match=r"^A setting cannot be saved .* plain finite value\.$"):
            write_session(replace(PLAIN, settings={"x": bad}), tmp_path / "s.zip")  # type: ignore[dict-item]
    assert not list(tmp_path.iterdir())


def test_what_could_not_be_opened_again_is_not_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_JSON", 200)
    with pytest.raises(ParameterError, match="too many selections"):
        session_bytes(PLAIN)
    monkeypatch.setattr(module, "MAX_JSON", 8_000_000)
    monkeypatch.setattr(module, "MAX_AUDIO", 1000)
    with pytest.raises(ParameterError, match="does not fit into a session file"):
        session_bytes(PLAIN, ("a.wav", AUDIO))


def test_names_that_no_file_system_takes() -> None:
    assert safe_name("../../etc/passwd") == "passwd"
    assert safe_name("C:\\Users\\me\\x.wav") == "x.wav"
    assert safe_name("con.wav") == "_con.wav" and safe_name("conference.wav") == "conference.wav"
    assert safe_name("..") == safe_name("") == safe_name("a/..") == "recording"
    assert safe_name('a<b>:"|?*\n.mp3') == "a_b_______.mp3"
    assert len(safe_name("x" * 500 + ".flac")) <= 120 and safe_name("x" * 500 + ".flac").endswith(".flac")
    assert session_name("Gespräch 1.mp3") == "Gespräch 1.otoscope.zip"
    assert session_name("") == "session.otoscope.zip"


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=200) | st.text(string.printable, max_size=30))
def test_a_safe_name_is_safe_and_stays_as_it_is(name: str) -> None:
    safe = safe_name(name)
    assert safe and safe == safe_name(safe) and len(safe) <= 121
    assert not set(safe) & set('<>:"/\\|?*\0\n') and safe not in (".", "..")
    session, audio = read_session(session_bytes(PLAIN, (name, b"x")))
    assert audio is not None and audio.name == safe and session == PLAIN


@pytest.mark.parametrize(
    "data", [b"", b"PK\x05\x06", b"RIFF" * 50, b"PK\x03\x04" + bytes(100), zipped(("a.txt", b"x"))]
)
def test_what_is_no_session_file_is_told_so(data: bytes) -> None:
    assert "not a session file" in refused(data)


def test_names_that_point_elsewhere() -> None:
    for name in ("../evil", "/etc/evil", "audio/../../evil", "audio\\..\\evil"):
        assert "points to another folder" in refused(zipped(("session.json", record()), (name, b"x")))
    for name in ("audio/a/b.wav", "audio/a:b.wav", "audio/nul.wav"):
        assert "no plain file name" in refused(zipped(("session.json", record()), (name, b"x")))
    two = zipped(("session.json", record()), ("audio/a", b"x"), ("audio/b", b"x"))
    assert "more than one recording" in refused(two)


def test_bombs(monkeypatch: pytest.MonkeyPatch) -> None:
    zeros = bytes(20_000_000)
    assert "8.0 MB are the limit" in refused(zipped(("session.json", zeros)))
    bomb = zipped(("session.json", record()), ("audio/a.wav", zeros))
    assert "size of a recording" in refused(bomb)
    assert "1.0 MB are the limit" in refused(bomb, max_bytes=1_000_000)
    many = zipped(*((f"{k}", b"") for k in range(40)), ("session.json", record()))
    assert "not a session file" in refused(many)
    big = session_bytes(PLAIN, ("a.wav", AUDIO))
    monkeypatch.setattr(module, "MAX_JSON", 0)
    assert "too large" in refused(big, max_bytes=1000)


def test_a_recording_that_lies_about_its_size(tmp_path: Path) -> None:
    data = zipped(("session.json", record()), ("audio/a.wav", AUDIO))
    true, false = len(AUDIO).to_bytes(4, "little"), (len(AUDIO) // 2).to_bytes(4, "little")
    _, audio = read_session(data.replace(true, false))
    assert audio is not None
    with pytest.raises(DecodeError, match="damaged"):
        audio.copy_to(tmp_path / "a.wav")
    flipped = session_bytes(PLAIN, ("a.wav", AUDIO)).replace(AUDIO[:300], b"\0" * 300)
    _, audio = read_session(flipped)
    assert audio is not None
    with pytest.raises(DecodeError, match="damaged"):
        audio.copy_to(tmp_path / "a.wav")
    assert not list(tmp_path.iterdir())


def test_settings_that_cannot_be_read() -> None:
    for text in (b"", b"{", b'{"a": NaN}', b'{"a": 1e999}', b"[" * 100_000, b"\xff", b'{"a": "\\ud800"}', b"9" * 5000):
        assert "cannot be read" in refused(zipped(("session.json", text)))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"format": "other"}, "not a session file"),
        ({"version": 2}, "newer Otoscope"),
        ({"version": 0}, "version"),
        ({"version": "1"}, "version"),
        ({"clip": None}, "clip"),
        ({"clip": {"name": 3}}, "name"),
        ({"settings": []}, "settings"),
        ({"panes": [1]}, "pane"),
        ({"panes": {}}, "panes"),
        ({"view": [2, 1]}, "visible range"),
        ({"view": [1]}, "visible range"),
        ({"view": ["a", "b"]}, "visible range"),
        ({"selections": [{"start": 2, "end": 1, "measures": [], "label": "x"}]}, "selection is empty"),
        ({"selections": [{"start": 10**400, "end": 1, "measures": [], "label": "x"}]}, "selection"),
        ({"selections": [{"start": 0, "end": 1, "low": True, "high": 3}]}, "selection"),
        ({"selections": [{"start": 0, "end": 1, "measures": [{"name": "x"}], "label": "x"}]}, "measure"),
        ({"selections": "x"}, "selections"),
        ({"provenance": 5}, "provenance"),
    ],
)
def test_values_of_the_wrong_type(changes: dict[str, Any], words: str) -> None:
    assert words in refused(zipped(("session.json", record(**changes))))


def test_a_member_without_a_name() -> None:
    data = zipped(("session.json", record()), ("no name", b"x")).replace(b"no name", b"\0o name")
    assert read_session(data) == (PLAIN, None)


def test_locked_or_oddly_packed() -> None:
    data = bytearray(zipped(("session.json", record())))
    data[data.index(b"PK\x01\x02") + 8] |= 1
    assert "password" in refused(bytes(data))
    assert "unusual" in refused(zipped(("session.json", record()), method=zipfile.ZIP_LZMA))
