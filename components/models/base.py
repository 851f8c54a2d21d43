"""What every model is to the rest of the house: a card, `predict` and `inspect`."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
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
    return card_of(json.loads((folder / "card.json").read_text("utf-8")))


def card_of(fields: Mapping[str, Any]) -> ModelCard:
    """A card of its fields as JSON gives them; those that it does not name keep their default."""
    values: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in fields.items()}
    values["held_out"] = tuple(
        HeldOut(**{**score, "folds": tuple((name, value) for name, value in score["folds"])})
        for score in fields.get("held_out", ())
    )
    values["label_groups"] = tuple(tuple(group) for group in fields.get("label_groups", ()))
    return ModelCard(**{"labels": (), "layers": (), "emits": (), **values})


def check_layers(card: ModelCard, layers: Sequence[str]) -> None:
    """Raise ModelError for a layer that the card does not name."""
    for name in layers:
        if name not in card.layers:
            raise ModelError(f"{card.title} has no layer called {name}; choose among {', '.join(card.layers)}.")
