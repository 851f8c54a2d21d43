from threading import Thread

import pytest
import torch
from torch import nn

from components.models.hooks import outputs_of


def hooks_left(net: nn.Module) -> int:
    return sum(len(m._forward_hooks) for m in net.modules())


def test_outputs_are_those_of_the_layers() -> None:
    net = nn.Sequential(nn.Linear(3, 4), nn.ReLU())
    x = torch.randn(2, 3)
    with outputs_of(net, ["0", "1"]) as outputs:
        y = net(x)
        net(x)
    torch.testing.assert_close(outputs["0"][0], net[0](x))
    torch.testing.assert_close(outputs["1"][1], y)
    assert hooks_left(net) == 0


def test_what_another_thread_sends_through_is_not_collected() -> None:
    net = nn.Sequential(nn.Linear(3, 4))
    with outputs_of(net, ["0"]) as outputs:
        stranger = Thread(target=net, args=(torch.zeros(7, 3),))
        stranger.start()
        stranger.join()
        net(torch.randn(2, 3))
    assert [y.shape[0] for y in outputs["0"]] == [2]


def test_hooks_are_removed_after_an_exception() -> None:
    net = nn.Sequential(nn.Linear(3, 4))
    with pytest.raises(RuntimeError), outputs_of(net, ["0"]):
        assert hooks_left(net) == 1
        net(torch.randn(2, 5))
    assert hooks_left(net) == 0


def test_hooks_are_removed_when_a_name_is_unknown() -> None:
    net = nn.Sequential(nn.Linear(3, 4))
    with pytest.raises(AttributeError), outputs_of(net, ["0", "nowhere"]):
        pass
    assert hooks_left(net) == 0
