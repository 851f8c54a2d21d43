"""Five families on one task: how each is fitted, measured on recordings it never heard, and written down.

A recipe (`recipes/digits.py`, `sounds.py`, `emotion.py`) says what the task is, where the recordings come from and with
which settings each family learns; everything else is here.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from components.models import frames
from components.models.base import AudioModel, read_card
from components.models.registry import WEIGHT_SUFFIXES
from components.training import data
from components.training.data import Example, Scenes, Task
from components.types import Family, FloatArray, HeldOut, ModelCard

WEIGHTS = Path(__file__).resolve().parents[1] / "weights"
RECIPES = Path(__file__).resolve().parent / "recipes"
SEED = 1
Report = Callable[[str], None]
MakeModel = Callable[[ModelCard], AudioModel]


@dataclass(frozen=True)
class Fitting:
    """How a network learns; see `loop.Recipe`."""

    lr: float
    epochs: int
    singles: int = 48
    sequences: int = 10
    clip_loss: float = 1.0
    mixup: float = 0.0
    nothing: float = 0.15
    renders: int = 0
    bfloat16: bool = False

    def __str__(self) -> str:
        mixed = f", {self.mixup:.0%} of the batches mixed up" if self.mixup else ""
        again = f" ({self.renders} of them on new material)" if self.renders else ""
        return (
            f"AdamW, one cycle up to {self.lr:g}, {self.epochs} epochs{again} of single recordings and as many batches "
            f"of scenes{mixed}, seed {SEED}"
        )


@dataclass(frozen=True)
class Maker:
    """One model's recipe.

    Attributes
    ----------
    task : what is learned, with the model's own front end where that is not the line-up's
    title, family, summary : for the card
    caveat : what is particular to this model, for the card
    recipe : in one sentence, for the table
    module : of the architecture; it has `save(model, folder)` and `load(folder)`
    facts : what the architecture decides of the card
    fit : (scenes, quick, report) -> what makes the model when it is given its card
    """

    task: Task
    title: str
    family: Family
    summary: str
    caveat: str
    recipe: str
    module: Callable[[], ModuleType]
    facts: Callable[[], dict[str, object]]
    fit: Callable[[Scenes, bool, Report], MakeModel]


@dataclass(frozen=True)
class Material:
    """Recordings: those of the classes, sounds that are none of them, and others that a model is asked about."""

    examples: Sequence[Example]
    sounds: Sequence[FloatArray]
    others: dict[str, list[FloatArray]] = field(default_factory=dict)


@dataclass(frozen=True)
class Measure:
    """One way to count: its name on the card, its column in the table, what it measures, how it is done."""

    metric: str
    column: str
    of: Callable[[AudioModel, Sequence[Example]], float]
    protocol: str


@dataclass(frozen=True)
class LineUp:
    """A task with its models.

    Attributes
    ----------
    name, about : of the recipe ("digits") and of the task on the card ("spoken digits")
    task : what is learned
    makers : the models by id
    read : folder of the data -> material; no examples where there are none
    folds : (name, groups left out) of each fold
    measures : what is measured of each fold; the first is what the model is for
    protocol : how the folds are made
    after : (model, material) -> scores of the shipped weights on what they were not trained on
    card : licence, citation and training_data
    caveats : scores -> what every card of the line-up says
    preface : of the table file
    needs : folder that must hold recordings, for the message when it does not
    """

    name: str
    about: str
    task: Task
    makers: dict[str, Maker]
    read: Callable[[Path], Material]
    folds: Callable[[Sequence[Example]], list[tuple[str, frozenset[str]]]]
    measures: tuple[Measure, ...]
    protocol: str
    after: Callable[[AudioModel, Material], list[HeldOut]]
    card: dict[str, str]
    caveats: Callable[[Sequence[HeldOut]], list[str]]
    preface: str
    needs: str


# ---------------------------------------------------------------- the five families


def classical(
    task: Task,
    *,
    passes: int = 3,
    components: int = 32,
    context: int = 20,
    parts: int = 5,
    statistics: bool = False,
    plain: bool = False,
    C: float = 0.1,
    nothing: int = 20,
    **words: str,
) -> Maker:
    """Gaussian mixtures on all labelled frames, then a classifier on windows of likelihoods.

    With `statistics`, on statistics of windows as well; with `parts` 0 on these alone, and there are no mixtures. With
    `plain`, the recordings are heard once as they are and in each pass at another speed and with another vocal tract,
    but without noise, rooms and masks, which move the statistics; only sequences and pauses are fully augmented. There
    is a scene without any class for every `nothing` recordings.
    """

    def window() -> Any:
        from components.models.classical import Window

        return Window(context, parts, statistics)

    def fit(scenes: Scenes, quick: bool, report: Report) -> MakeModel:
        from components.models import classical

        heard: list[tuple[FloatArray, Any]] = []
        for turn in range(1 if quick else passes):
            batch = [] if plain else [scenes.single(i) for i in range(len(scenes.examples))]
            batch += [scenes.sequence() for _ in range(1 + len(scenes.examples) // 5)]
            batch += [scenes.nothing() for _ in range(1 + len(scenes.examples) // nothing)]
            heard += [(_with_margins(task, scenes.rng, s.y, window().margin), s.labels) for s in batch]
            if plain:
                heard += _varied(scenes, window().margin, as_it_is=turn == 0)
            report(f"pass {turn + 1}: {len(heard)} scenes")
        learned = classical.fit(
            task.front,
            heard,
            n_classes=len(task.labels),
            window=window(),
            n_components=4 if quick else components,
            seed=SEED,
            C=C,
            balanced=task.balanced,
        )
        return lambda card: classical.ClassicalModel(card, task.front, learned)

    def facts() -> dict[str, object]:
        return _module("classical").card_facts(task.front, window())  # type: ignore[no-any-return]

    weighed = [f"likelihoods of {parts} {'part' if parts == 1 else 'parts'} of a window"] if parts else []
    weighed += ["mean and spread of MFCC and their slopes over a window"] if statistics else []
    mixed = f"a mixture of {components} diagonal Gaussians for each class on MFCC and their slopes, " if parts else ""
    turns = f"{passes} augmented passes over the recordings"
    if plain:
        turns = f"one pass over the recordings as they are, {passes} over varied ones and over augmented sequences"
    recipe = f"{mixed}logistic regression on {' and on '.join(weighed)}, {turns}, seed {SEED}"
    return Maker(
        task=task, family="classical", recipe=recipe, module=lambda: _module("classical"), facts=facts, fit=fit, **words
    )


def _with_margins(task: Task, rng: data.Rng | None, y: FloatArray, margin: int) -> FloatArray:
    """Log-mel frames, augmented where there is an `rng`, with `margin` frames of silence at both ends."""
    log_mel, silence = data.features(task, rng, y)
    silent = np.repeat(silence[None], margin, axis=0)
    return np.concatenate([silent, log_mel, silent])


def _varied(scenes: Scenes, margin: int, *, as_it_is: bool) -> list[tuple[FloatArray, data.Labels]]:
    """Each recording at a random speed and with another vocal tract, and `as_it_is` too, with its labels."""
    task, rng = scenes.task, scenes.rng
    quiet = replace(task, equaliser_db=0.0, mask_bands=1, mask_frames=1)
    found = []
    for example, versions in zip(scenes.examples, scenes.versions, strict=True):
        own = [(versions[int(rng.integers(len(versions)))], rng), *([(example.y, None)] if as_it_is else [])]
        found += [(_with_margins(quiet, r, y, margin), data.frame_labels(task, y, example.label)) for y, r in own]
    return found


def cnn(task: Task, fitting: Fitting, *, shape: dict[str, Any] | None = None, **words: str) -> Maker:
    """Dilated convolutions; `shape` are the fields of `cnn.CnnShape`."""

    def make_shape() -> Any:
        return _module("cnn").CnnShape(**(shape or {}))

    def fit(scenes: Scenes, quick: bool, report: Report) -> MakeModel:
        from components.models import cnn

        own = make_shape()
        n_mels = task.front.params.n_mels
        margins = (own.context, own.context)
        net = _fit(lambda: cnn.Cnn(n_mels, len(task.labels), own), scenes, fitting, quick, report, margins=margins)
        return lambda card: cnn.CnnModel(card, task.front, net)

    def facts() -> dict[str, object]:
        return _module("cnn").card_facts(task.front, make_shape())  # type: ignore[no-any-return]

    n_blocks = len((shape or {}).get("channels", ())) or "five"
    recipe = f"{n_blocks} dilated 3 x 3 convolutions; {fitting}"
    return Maker(task=task, family="cnn", recipe=recipe, module=lambda: _module("cnn"), facts=facts, fit=fit, **words)


def recurrent(
    task: Task,
    fitting: Fitting,
    *,
    architecture: str,
    hidden_size: int,
    offsets: tuple[int, ...] = (-4, -2, 0, 2, 4, 6, 8, 10),
    memory: int = 0,
    around: int = 0,
    **words: str,
) -> Maker:
    """One layer of Elman's network ("elman") or of the LSTM ("lstm").

    With `memory`, it starts with units that remember up to so many frames; see `rnn.start_with_memory`. With `around`,
    it is handed statistics of so many frames on each side; see `around.running_statistics`.
    """

    def fit(scenes: Scenes, quick: bool, report: Report) -> MakeModel:
        from components.models import rnn

        def make() -> rnn.Elman | rnn.Lstm:
            networks: dict[str, type[rnn.Elman | rnn.Lstm]] = {"elman": rnn.Elman, "lstm": rnn.Lstm}
            net = networks[architecture](task.front.params, len(task.labels), hidden_size, offsets, around)
            if memory:
                rnn.start_with_memory(net, memory)
            return net

        net = _fit(
            make,
            scenes,
            fitting,
            quick,
            report,
            margins=rnn.margins_of(offsets, around),
            transform=lambda x: frames.mfcc(task.front, x),
        )
        return lambda card: rnn.RecurrentModel(card, task.front, net)

    def facts() -> dict[str, object]:
        return _module("rnn").card_facts(task.front, architecture, offsets, around)  # type: ignore[no-any-return]

    started = f" that start with a memory of 2 to {memory} frames" if memory else ""
    recipe = f"one layer of {hidden_size} units{started}; {fitting}"
    return Maker(task=task, family="rnn", recipe=recipe, module=lambda: _module("rnn"), facts=facts, fit=fit, **words)


def transformer(
    task: Task,
    fitting: Fitting,
    *,
    n_layers: int = 3,
    hidden_size: int = 96,
    dropout: float = 0.1,
    around: int = 0,
    own: int = 256,
    context: int = 64,
    **words: str,
) -> Maker:
    """A small Wav2Vec2-BERT."""

    def windows() -> Any:
        return _module("transformer").Windows(own, context)

    def fit(scenes: Scenes, quick: bool, report: Report) -> MakeModel:
        from components.models import transformer
        from components.training import loop

        net = _seeded(
            lambda: transformer.make_net(
                task.front.params,
                task.labels,
                n_layers=n_layers,
                hidden_size=hidden_size,
                dropout=dropout,
                around=around,
            )
        )
        mean, std = loop.statistics(scenes, lambda x: frames.mfcc(task.front, x), 40 if quick else 300)
        net.config.feature_mean, net.config.feature_std = mean.tolist(), std.tolist()

        def forward(n: Any, batch: loop.Batch) -> Any:
            # Padding would be heard otherwise: here every token attends to every other.
            tokens = transformer.tokens_of(task.front, n, batch.x)
            return n(tokens, attention_mask=batch.heard.long()).logits

        recipe = _loop_recipe(fitting, quick, (0, 0), transformer.STRIDE)
        trained = loop.fit(net, forward, scenes, recipe, report)
        return lambda card: transformer.TransformerModel(card, task.front, trained, windows())

    def facts() -> dict[str, object]:
        return _module("transformer").card_facts(task.front, windows(), n_layers)  # type: ignore[no-any-return]

    recipe = f"Wav2Vec2-BERT with {n_layers} layers of {hidden_size} units; {fitting}"
    return Maker(
        task=task,
        family="transformer",
        recipe=recipe,
        module=lambda: _module("transformer"),
        facts=facts,
        fit=fit,
        **words,
    )


def _module(name: str) -> Any:
    import importlib

    return importlib.import_module(f"components.models.{name}")


def _loop_recipe(fitting: Fitting, quick: bool, margins: tuple[int, int], stride: int = 1) -> Any:
    from components.training import loop

    return loop.Recipe(
        fitting.lr,
        1 if quick else fitting.epochs,
        *margins,
        stride,
        singles=fitting.singles,
        sequences=fitting.sequences,
        clip_loss=fitting.clip_loss,
        mixup=fitting.mixup,
        nothing=fitting.nothing,
        renders=fitting.renders,
        bfloat16=fitting.bfloat16,
    )


def _fit(
    make: Callable[[], Any],
    scenes: Scenes,
    fitting: Fitting,
    quick: bool,
    report: Report,
    *,
    margins: tuple[int, int],
    transform: Callable[[FloatArray], FloatArray] = lambda x: x,
) -> Any:
    from components.training import loop

    net = _seeded(make)
    mean, std = loop.statistics(scenes, transform, 40 if quick else 300)
    net.get_buffer("mean").copy_(mean)
    net.get_buffer("std").copy_(std)
    return loop.fit(net, lambda n, batch: n(batch.x), scenes, _loop_recipe(fitting, quick, margins), report)


def _seeded(make: Callable[[], Any]) -> Any:
    import torch

    torch.set_num_threads(1)
    torch.manual_seed(SEED)
    return make()


# ---------------------------------------------------------------- training, measuring, writing down


def make_card(lineup: LineUp, name: str, held_out: Sequence[HeldOut], size_bytes: int) -> ModelCard:
    """The card of a model, in words that its scores decide."""
    maker = lineup.makers[name]
    facts = {k: tuple(v) if isinstance(v, list) else v for k, v in maker.facts().items()}
    return ModelCard(
        id=name,
        title=maker.title,
        summary=maker.summary,
        family=maker.family,
        task=lineup.about,
        labels=lineup.task.labels,
        sr=lineup.task.front.sr,
        source="shipped",
        size_bytes=size_bytes,
        held_out=tuple(held_out),
        caveats=(*lineup.caveats(held_out), maker.caveat),
        licence=lineup.card["licence"],
        citation=lineup.card["citation"],
        training_data=lineup.card["training_data"],
        **facts,  # type: ignore[arg-type]
    )


def write_card(lineup: LineUp, folder: Path, name: str, held_out: Sequence[HeldOut]) -> ModelCard:
    """Write card.json; size_bytes is the size of the weight files beside it."""
    size = sum(path.stat().st_size for path in folder.iterdir() if path.suffix in WEIGHT_SUFFIXES)
    card = make_card(lineup, name, held_out, size)
    (folder / "card.json").write_text(json.dumps(asdict(card), indent=2, ensure_ascii=False) + "\n", "utf-8")
    return card


def held_out(metric: str, folds: Sequence[str], scores: Sequence[float], protocol: str) -> HeldOut:
    """One measure over folds, rounded to four digits."""
    return HeldOut(
        metric=metric,
        score=round(float(np.mean(scores)), 4),
        worst=round(min(scores), 4),
        folds=tuple((fold, round(score, 4)) for fold, score in zip(folds, scores, strict=True)),
        protocol=protocol,
    )


def known_scores(folder: Path, metrics: Sequence[str] | None = None, *, but: bool = False) -> list[HeldOut]:
    """The scores on the card in `folder`: those of `metrics`, or with `but` all others."""
    if not (folder / "card.json").is_file():
        return []
    return [s for s in read_card(folder).held_out if metrics is None or (s.metric in metrics) != but]


def train(lineup: LineUp, name: str, material: Material, *, out: Path, quick: bool, report: Report) -> None:
    """Train one model on all recordings and write its folder; scores measured by `evaluate` before are kept."""
    folder = out / name
    kept = known_scores(folder, [measure.metric for measure in lineup.measures])
    folder.mkdir(parents=True, exist_ok=True)
    scenes = Scenes(lineup.makers[name].task, material.examples, material.sounds, np.random.default_rng(SEED))
    maker = lineup.makers[name]
    model = maker.fit(scenes, quick, report)(make_card(lineup, name, (), 0))
    maker.module().save(model, folder)
    write_card(lineup, folder, name, [*kept, *lineup.after(model, material)])


Row = tuple[str, tuple[float, ...], float]
"""Name of the fold, its scores, CPU seconds of the fit."""


def evaluate(lineup: LineUp, name: str, material: Material, *, quick: bool, report: Report) -> list[Row]:
    """Leave out one fold at a time."""
    rows: list[Row] = []
    card = make_card(lineup, name, (), 0)
    for fold, groups in lineup.folds(material.examples):
        begin = time.process_time()
        known = [e for e in material.examples if e.group not in groups]
        unheard = [e for e in material.examples if e.group in groups]
        scenes = Scenes(lineup.makers[name].task, known, material.sounds, np.random.default_rng(SEED))
        model = lineup.makers[name].fit(scenes, quick, report)(card)
        seconds = time.process_time() - begin
        scores = tuple(measure.of(model, unheard) for measure in lineup.measures)
        rows.append((fold, scores, seconds))
        said = ", ".join(f"{m.column} {score:.3f}" for m, score in zip(lineup.measures, scores, strict=True))
        report(f"{name} without {fold}: {said}, {seconds:.0f} CPU s")
    return rows


def scores_of(lineup: LineUp, rows: Sequence[Row]) -> list[HeldOut]:
    """The rows of `evaluate` as the card keeps them."""
    folds = [fold for fold, _, _ in rows]
    return [
        held_out(measure.metric, folds, [scores[k] for _, scores, _ in rows], lineup.protocol + measure.protocol)
        for k, measure in enumerate(lineup.measures)
    ]


def table_of(lineup: LineUp, name: str, rows: Sequence[Row]) -> str:
    """A section of the table file."""
    columns = [measure.column for measure in lineup.measures]
    lines = [f"## {name}", "", f"Recipe: {lineup.makers[name].recipe}.", ""]
    lines += [f"| left out | {' | '.join(columns)} | CPU s to train |", "|---" * (len(columns) + 2) + "|"]
    lines += [f"| {fold} | {' | '.join(f'{s:.3f}' for s in scores)} | {cpu:.0f} |" for fold, scores, cpu in rows]
    by_measure = np.array([scores for _, scores, _ in rows]).T
    means = " | ".join(f"**{values.mean():.3f}**" for values in by_measure)
    worst = " | ".join(f"{values.min():.3f}" for values in by_measure)
    lines.append(f"| **mean** | {means} | {np.mean([cpu for *_, cpu in rows]):.0f} |")
    lines.append(f"| worst | {worst} | |")
    return "\n".join(lines) + "\n"


def write_table(path: Path, preface: str, name: str, section: str) -> None:
    """Put a model's section into the table file in place of its old one."""
    text = path.read_text("utf-8") if path.is_file() else preface
    sections = dict(re.findall(r"^(## (?:\S+))$(.*?)(?=^## |\Z)", text, re.M | re.S))
    sections = {title: f"{title}{body}".rstrip() + "\n" for title, body in sections.items()}
    sections[f"## {name}"] = section
    path.write_text(preface + "\n".join(sections[title] for title in sorted(sections)), "utf-8")


def main(lineup: LineUp, argv: list[str]) -> int:
    """Train or evaluate a line-up; see `--help`."""
    parser = argparse.ArgumentParser(prog=f"run.py train {lineup.name}", description=f"Models of {lineup.about}.")
    default = Path(os.environ.get("OTOSCOPE_DATA", "../shared")) / "data"
    names = list(lineup.makers)
    parser.add_argument("--data", type=Path, default=default, help="folder with the recordings")
    parser.add_argument("--out", type=Path, default=WEIGHTS, help="folder for the weights")
    parser.add_argument("--model", nargs="+", choices=names, default=names, help="only these")
    parser.add_argument("--evaluate", action="store_true", help="leave one fold out at a time instead")
    parser.add_argument("--quick", action="store_true", help="one short pass, to see that everything runs")
    options = parser.parse_args(argv)
    material = lineup.read(options.data)
    if not material.examples:
        place = options.data / lineup.needs
        print(f"There are no recordings in {place}; name the folder with --data.", file=sys.stderr)
        return 1
    for name in options.model:
        if not options.evaluate:
            train(lineup, name, material, out=options.out, quick=options.quick, report=_say)
            _say(f"{name}: written to {options.out / name}")
            continue
        rows = evaluate(lineup, name, material, quick=options.quick, report=_say)
        folder = options.out / name
        folder.mkdir(parents=True, exist_ok=True)
        others = known_scores(folder, [measure.metric for measure in lineup.measures], but=True)
        write_card(lineup, folder, name, [*scores_of(lineup, rows), *others])
        home = RECIPES if options.out == WEIGHTS else options.out
        section = table_of(lineup, name, rows)
        write_table(home / f"{lineup.name}.md", lineup.preface, name, section)
        _say(section)
    return 0


def _say(line: str) -> None:
    print(line, flush=True)
