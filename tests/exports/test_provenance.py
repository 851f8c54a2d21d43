import json
import platform
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from components.exports.provenance import FileFacts, card_digest, package_versions, provenance, resampling
from components.types import ClipSource, ModelCard

CARD = ModelCard(
    "id", "Title", "Summary.", "rnn", "task", ("a", "b"), 16000, 0.036, 0.032, ("h",), ("hidden_state",),
    "shipped", 1, "MIT", "someone", "something", (), ("caveat",),
)  # fmt: skip


def made(**changes: Any) -> dict[str, Any]:
    source = ClipSource("WAV", 2, 96000, 1.0)
    values: dict[str, Any] = {
        "app_version": "0.1.0",
        "card": CARD,
        "weights_sha256": "abc",
        "parameters": {"threshold": 0.5, "all_labels": False},
        "files": [
            FileFacts("a/x.wav", "12", "34", 48000, source, ("A note.",)),
            FileFacts("b.wav", None, error="No."),
        ],
        "started": datetime(2026, 1, 1, 13, 0, tzinfo=timezone(timedelta(hours=1))),
        "finished": datetime(2026, 1, 1, 12, 5, tzinfo=UTC),
    }
    return provenance(**(values | changes))


def test_it_is_plain_json_and_complete() -> None:
    record = made()
    assert json.loads(json.dumps(record)) == record
    assert record["started_utc"] == "2026-01-01T12:00:00Z"
    assert record["finished_utc"] == "2026-01-01T12:05:00Z"
    assert record["model"]["id"] == "id" and record["model"]["weights_sha256"] == "abc"
    assert record["parameters"] == {"threshold": 0.5, "all_labels": False}
    assert record["packages"]["numpy"] and record["packages"]["torch"] and record["python"]
    first, second = record["files"]
    assert first["file"] == "a/x.wav" and first["sha256"] == "12" and first["clip_digest"] == "34"
    assert first["resampling"] == ["96000 Hz -> 48000 Hz (soxr HQ)", "48000 Hz -> 16000 Hz (soxr HQ)"]
    assert second["error"] == "No." and second["resampling"] == []
    assert record["complete"] is True and made(complete=False)["complete"] is False


def test_it_says_neither_who_nor_where() -> None:
    record = made()
    assert set(record) == {
        "otoscope", "started_utc", "finished_utc", "complete", "model", "parameters", "files", "python",
        "packages", "platform",
    }  # fmt: skip
    assert record["platform"] == f"{platform.system()} {platform.machine()}"
    assert str(Path.cwd()) not in json.dumps(record)


def test_equal_rates_need_no_resampling() -> None:
    assert resampling(16000, 16000, 16000) == []
    assert resampling(8000, 8000, 16000) == ["8000 Hz -> 16000 Hz (soxr HQ)"]


def test_the_card_digest_follows_every_field() -> None:
    assert card_digest(CARD) == card_digest(replace(CARD))
    assert card_digest(CARD) != card_digest(replace(CARD, caveats=("another",)))


def test_versions_are_of_installed_packages() -> None:
    import numpy

    assert package_versions()["numpy"] == numpy.__version__
