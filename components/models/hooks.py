"""Reading what flows through a torch module without changing it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from threading import get_ident
from typing import Any

import torch
from torch import nn


@contextmanager
def outputs_of(module: nn.Module, names: Iterable[str], *, item: int = 0) -> Iterator[dict[str, list[torch.Tensor]]]:
    """Collect the outputs of named submodules, one list entry a call, detached, while the context lasts.

    Parameters
    ----------
    module : the network
    names : names as in `module.named_modules()`
    item : which element to keep where a submodule returns a tuple

    Raises
    ------
    AttributeError : no submodule of that name

    Notes
    -----
    The hooks are removed when the context ends, also by an exception. What another thread sends through the module
    meanwhile is not collected: sessions share a model.
    """
    kept: dict[str, list[torch.Tensor]] = {name: [] for name in names}
    handles = []
    owner = get_ident()

    def keep(name: str) -> Any:
        def hook(_module: nn.Module, _inputs: Any, output: Any) -> None:
            if get_ident() == owner:
                kept[name].append((output[item] if isinstance(output, tuple) else output).detach())

        return hook

    try:
        for name in kept:
            handles.append(module.get_submodule(name).register_forward_hook(keep(name)))  # noqa: PERF401
        yield kept
    finally:
        for handle in handles:
            handle.remove()
