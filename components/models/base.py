"""What every model is to the rest of the house: a card, `predict` and `inspect`."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

from components.errors import ModelError
from components.types import Activation, Clip, HeldOut, ModelCard, Prediction

OnProgress = Callable[[float], None]
"""Called with the share of the work done, 0 to 1. It may raise `Cancelled` to stop the work."""


class AudioModel(Protocol):
    """A model that listens.

    `predict` streams: its memory does not grow with the recording beyond its own output.
    `inspect` returns only the layers it is asked for, and is meant for sections of a minute or two.
    """

    @property
    def card(self) -> ModelCard: ...

    def predict(self, clip: Clip, on_progress: OnProgress | None = None) -> Prediction: ...

    def inspect(
        self, clip: Clip, layers: Sequence[str], on_progress: OnProgress | None = None
    ) -> dict[str, Activation]: ...


def read_card(folder: Path) -> ModelCard:
    """The card kept as `card.json` beside a model's weights."""
    fields: dict[str, Any] = json.loads((folder / "card.json").read_text("utf-8"))
    fields["held_out"] = tuple(
        HeldOut(**{**score, "folds": tuple((name, value) for name, value in score["folds"])})
        for score in fields["held_out"]
    )
    fields["label_groups"] = [tuple(group) for group in fields.get("label_groups", ())]
    frozen: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in fields.items()}
    return ModelCard(**frozen)


def check_layers(card: ModelCard, layers: Sequence[str]) -> None:
    """Raise ModelError for a layer that the card does not name."""
    for name in layers:
        if name not in card.layers:
            raise ModelError(f"{card.title} has no layer called {name}; choose among {', '.join(card.layers)}.")
