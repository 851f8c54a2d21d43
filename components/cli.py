"""The command line: analyse, models, download, train. `python run.py` calls it with the words after its own name."""

from __future__ import annotations

import argparse
import importlib
import json
import pkgutil
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from tqdm import tqdm

from components.errors import ModelError, OtoscopeError
from components.types import ModelCard
from components.units import format_bytes

RECIPES = Path(__file__).resolve().parent / "training" / "recipes"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="run.py", description="Otoscope: look inside what audio models hear.")
    commands = parser.add_subparsers(
        dest="command", required=True, metavar="analyse | models | download | remove | add | train"
    )

    analyse = commands.add_parser("analyse", help="let a model listen to recordings and write tables")
    analyse.add_argument("paths", nargs="+", type=Path, metavar="FILE_OR_FOLDER")
    analyse.add_argument("--model", required=True, metavar="ID", help="one of those that `run.py models` lists")
    analyse.add_argument("--out", required=True, type=Path, metavar="DIR", help="folder for the tables")
    analyse.add_argument("--all-labels", action="store_true", help="write all labels of each frame, not the ten best")
    analyse.add_argument(
        "--threshold",
        type=float,
        default=0.5,
        metavar="X",
        help="lowest score of an event, in the model's unit (default 0.5)",
    )
    analyse.add_argument(
        "--weights",
        type=Path,
        metavar="FILE_OR_FOLDER",
        help="the model's weights, where they were not downloaded here",
    )
    analyse.add_argument(
        "--labels", default="", metavar='"A, B, C"', help="your own words, for models that score those (CLAP)"
    )
    analyse.set_defaults(run=_analyse)

    models = commands.add_parser("models", help="list the models")
    models.add_argument("--json", action="store_true", help="the whole cards, as JSON")
    models.set_defaults(run=_models)

    download = commands.add_parser("download", help="fetch a model's weights, or the rest of them")
    download.add_argument("model", metavar="ID")
    download.set_defaults(run=_download)

    remove = commands.add_parser("remove", help="delete a download, or forget a folder")
    remove.add_argument("model", metavar="ID")
    remove.set_defaults(run=_remove)

    add = commands.add_parser("add", help="bring in any audio model of Hugging Face, or one in a folder")
    add.add_argument("name", metavar="OWNER/NAME_OR_FOLDER")
    add.set_defaults(run=_add)

    train = commands.add_parser("train", help="make the shipped models again", add_help=False)
    train.add_argument("task", choices=_recipes())
    train.set_defaults(run=_train)
    return parser


def _recipes() -> list[str]:
    return sorted(module.name for module in pkgutil.iter_modules([str(RECIPES)]))


def _analyse(options: argparse.Namespace, rest: list[str]) -> int:
    from components.analyse import OUTPUTS, analyse_files

    summary = analyse_files(
        options.paths,
        options.model,
        options.out,
        all_labels=options.all_labels,
        threshold=options.threshold,
        weights=options.weights,
        labels=[word.strip() for word in options.labels.split(",") if word.strip()],
    )
    done = summary.files - summary.failed
    if not summary.complete:
        print("Stopped: the tables hold the recordings that were finished.", file=sys.stderr)
    if summary.failed:
        print(f"{summary.failed} of {summary.files} could not be analysed: see clips.csv.", file=sys.stderr)
    print(f"{done} of {summary.files} recordings analysed with {options.model}.")
    print(f"Written to {options.out} (earlier files of these names are replaced): {', '.join(OUTPUTS)}")
    if not summary.complete:
        return 130
    return 1 if summary.failed else 0


def _models(options: argparse.Namespace, rest: list[str]) -> int:
    from components.models.registry import cards, state

    if options.json:
        listed = [asdict(card) | {"state": state(card.id)} for card in cards()]
        print(json.dumps(listed, indent=2, ensure_ascii=False))
        return 0
    for card in cards():
        tested = "; ".join(f"{score.metric}: {score.score:.2f}" for score in card.held_out)
        print(f"{card.id}  ({card.family}, {card.task}, {_state(card)})")
        print(f"    {card.title}. {card.summary}")
        print(f"    Held out: {tested or 'not measured by this project'}")
    return 0


def _state(card: ModelCard) -> str:
    from components.models import hub, registry

    size = format_bytes(card.size_bytes)
    state = registry.state(card.id)
    if state == "partial":
        return f"downloaded in part, {format_bytes(hub.have_bytes(card.id))} of about {size}"
    return f"ready, {size}" if state == "ready" else f"needs a download of about {size}"


def _download(options: argparse.Namespace, rest: list[str]) -> int:
    from components.models import hub, registry

    card = registry.card(options.model)
    if card.source == "download":
        with _bar(card.id) as report:
            hub.download(card.id, report)
    print(f"{card.title} is ready.")
    return 0


def _remove(options: argparse.Namespace, rest: list[str]) -> int:
    from components.models import hub, registry

    card = registry.card(options.model)
    if card.source != "download":
        raise ModelError(f"{card.title} comes with Otoscope and cannot be removed.")
    hub.remove(card.id)
    print(f"{card.title} is removed.")
    return 0


def _add(options: argparse.Namespace, rest: list[str]) -> int:
    from components.models import hub

    with _bar(options.name) as report:
        card = hub.add(options.name, report)
    print(f"{card.title} is ready: its id is {card.id}.")
    return 0


@contextmanager
def _bar(name: str) -> Iterator[Callable[[float], None]]:
    """A progress bar on stderr, if that is a screen; gives the function that moves it to a share done."""
    layout = "{desc:<24.24} {percentage:3.0f}%|{bar}| {elapsed} gone, {remaining} left"
    with tqdm(total=1.0, desc=name, bar_format=layout, leave=False, disable=None) as bar:
        yield lambda share: bar.update(share - bar.n) and None


def _train(options: argparse.Namespace, rest: list[str]) -> int:
    return int(importlib.import_module(f"components.training.recipes.{options.task}").main(rest))


def main(argv: Sequence[str]) -> int:
    """Do what the words ask. 0: done; 1: something failed and was said; 2: words not understood; 130: Ctrl+C."""
    parser = _parser()
    options, rest = parser.parse_known_args(argv)
    if rest and options.command != "train":
        parser.error(f"unknown option {rest[0]}")
    with warnings.catch_warnings():
        if not sys.warnoptions:
            warnings.simplefilter("ignore")  # libraries' notes to programmers
        try:
            code: int = options.run(options, rest)
        except OtoscopeError as error:
            print(error, file=sys.stderr)
            return 1
        except KeyboardInterrupt:
            print("Stopped.", file=sys.stderr)
            return 130
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
