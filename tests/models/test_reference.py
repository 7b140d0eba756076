"""What a plan builds, against the same networks written by hand in torch: the same names, weights and results, bit for bit."""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from filterlab.models import registry
from filterlab.models.architectures.conv_net import ConvLayer, ConvNet
from filterlab.models.architectures.lenet5 import LeNet5
from filterlab.models.architectures.mlp import MLP
from filterlab.models.architectures.resnet import ResNet
from filterlab.models.architectures.softmax import Softmax
from filterlab.models.architectures.tutorial_cnn import TutorialCNN
from filterlab.models.plan import ACTIVATIONS, Model

SIZE = {"channels": 3, "height": 18, "width": 20, "classes": 7}
FUNCTIONS = dict(zip(ACTIVATIONS, [nn.ReLU, nn.LeakyReLU, nn.ELU, nn.GELU, nn.Tanh, nn.Sigmoid, nn.Identity], strict=True))


def he(layer: nn.Conv2d | nn.Linear) -> nn.Module:
    nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    nn.init.zeros_(layer.get_parameter("bias"))
    return layer


def glorot(layer: nn.Conv2d | nn.Linear) -> nn.Module:
    nn.init.xavier_uniform_(layer.weight)
    nn.init.zeros_(layer.get_parameter("bias"))
    return layer


def sequential(**parts: nn.Module) -> nn.Module:
    return nn.Sequential(OrderedDict(parts))


def softmax(model: Softmax) -> nn.Module:
    return sequential(flatten=nn.Flatten(), fc1=nn.Linear(1080, 7))


def mlp(model: MLP) -> nn.Module:
    act = FUNCTIONS[model.activation]
    draw = glorot if model.activation in ("tanh", "sigmoid", "identity") else he
    return sequential(
        flatten=nn.Flatten(),
        fc1=draw(nn.Linear(1080, 9)),
        act1=act(),
        fc2=draw(nn.Linear(9, 5)),
        act2=act(),
        fc3=nn.Linear(5, 7),
    )


def tutorial_cnn(model: TutorialCNN) -> nn.Module:
    network = sequential(
        conv1=nn.Conv2d(3, 4, 5),
        act1=nn.ReLU(),
        conv2=nn.Conv2d(4, 4, 3),
        act2=nn.ReLU(),
        pool1=nn.MaxPool2d(2),
        drop1=nn.Dropout(0.25),
        flatten=nn.Flatten(),
        fc1=nn.Linear(4 * 6 * 7, 32),
        act3=nn.ReLU(),
        drop2=nn.Dropout(0.25),
        fc2=nn.Linear(32, 7),
    )
    for layer in network.children():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            glorot(layer)
    return network


def lenet5(model: LeNet5) -> nn.Module:
    act = FUNCTIONS[model.activation]
    return sequential(
        conv1=nn.Conv2d(3, 6, 5, padding=2),
        act1=act(),
        pool1=nn.AvgPool2d(2),
        conv2=nn.Conv2d(6, 16, 5),
        act2=act(),
        pool2=nn.AvgPool2d(2),
        flatten=nn.Flatten(),
        fc1=nn.Linear(16 * 2 * 3, 120),
        act3=act(),
        fc2=nn.Linear(120, 84),
        act4=act(),
        fc3=nn.Linear(84, 7),
    )


class GlobalMax(nn.Module):
    def forward(self, maps: Tensor) -> Tensor:
        return F.adaptive_max_pool2d(maps, 1).flatten(1)


class GlobalAverage(nn.Module):
    def forward(self, maps: Tensor) -> Tensor:
        return maps.mean(dim=(2, 3))


def conv_net(model: ConvNet) -> nn.Module:
    act = FUNCTIONS[model.layers[0].activation]
    draw = glorot if model.layers[0].activation in ("tanh", "sigmoid", "identity") else he
    head = {"flatten": nn.Flatten, "global_max": GlobalMax, "global_average": GlobalAverage}[model.head]()
    parts: dict[str, nn.Module] = {
        "conv1": nn.Conv2d(3, 4, 5, stride=2, padding=2, bias=False),
        "norm1": nn.BatchNorm2d(4),
        "act1": act(),
        "pool1": nn.MaxPool2d(2),
        "drop1": nn.Dropout(0.3),
        "conv2": draw(nn.Conv2d(4, 5, 3, padding=1)),
        "act2": act(),
        "pool2": nn.MaxPool2d(3),
        model.head: head,
        "fc1": he(nn.Linear(5, 6)),
        "act3": nn.ReLU(),
        "drop2": nn.Dropout(0.5),
        "fc2": nn.Linear(6, 7),
    }
    return sequential(**parts)


class Block(nn.Module):
    def __init__(self, channels: int, filters: int, stride: int, residual: bool):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, filters, 3, stride, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(filters)
        self.conv2 = nn.Conv2d(filters, filters, 3, 1, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(filters)
        self.stride, self.residual = stride, residual

    def forward(self, given: Tensor) -> Tensor:
        maps = self.norm2(self.conv2(F.relu(self.norm1(self.conv1(given)))))
        if self.residual:
            shortcut = given[:, :, :: self.stride, :: self.stride]
            maps = maps + F.pad(shortcut, (0, 0, 0, 0, 0, maps.shape[1] - shortcut.shape[1]))
        return F.relu(maps)


def resnet(model: ResNet) -> nn.Module:
    groups = {
        f"group{group}": sequential(
            block1=Block(2 if group == 1 else 2 ** (group - 1), 2**group, 1 if group == 1 else 2, model.residual),
            block2=Block(2**group, 2**group, 1, model.residual),
        )
        for group in (1, 2, 3)
    }
    network = sequential(
        conv1=nn.Conv2d(3, 2, 3, padding=1, bias=False),
        norm1=nn.BatchNorm2d(2),
        act1=nn.ReLU(),
        **groups,
        global_average=GlobalAverage(),
        fc1=nn.Linear(8, 7),
    )
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
    return network


LAYERS = [ConvLayer(4, 5, stride=2, padding=2, batch_norm=True, pool=2, dropout=0.3), ConvLayer(5, 3, padding=1, pool=3)]
CONV_NET = ConvNet("conv_net", LAYERS, head="flatten", hidden=[6], dropout=0.5)
NETWORKS: list[tuple[Callable[..., nn.Module], Model]] = [
    (softmax, Softmax("softmax")),
    (tutorial_cnn, TutorialCNN("tutorial_cnn", filters=4, kernel=5)),
    *((resnet, ResNet("resnet", depth=14, width=2, residual=residual)) for residual in (True, False)),
    *((conv_net, replace(CONV_NET, head=head)) for head in ("flatten", "global_max", "global_average")),
    *((conv_net, replace(CONV_NET, layers=[replace(layer, activation=act) for layer in LAYERS])) for act in ACTIVATIONS),
    *((mlp, MLP("mlp", hidden=[9, 5], activation=act)) for act in ACTIVATIONS),
    *((lenet5, LeNet5("lenet5", activation=act)) for act in ACTIVATIONS),
]


@pytest.mark.parametrize("seed", [0, 1, 2**32 - 1])
@pytest.mark.parametrize(("by_hand", "model"), NETWORKS, ids=lambda given: getattr(given, "__name__", repr(given)[:80]))
def test_weights_and_results_are_those_of_the_network_written_by_hand(
    by_hand: Callable[..., nn.Module], model: Model, seed: int
) -> None:
    built = registry.build(model, **SIZE, seed=seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        expected = by_hand(model)
        ours, theirs = ([(name, tensor.numpy().tobytes()) for name, tensor in n.state_dict().items()] for n in (built, expected))
        assert ours == theirs
        images = torch.rand(6, 3, 18, 20)
        for network in (built, expected):
            network.train()
        for _ in range(2):  # dropout from the same numbers, batch norms that move
            logits = []
            for network in (built, expected):
                torch.manual_seed(seed)
                logits.append(network(images))
                logits[-1].square().sum().backward()
            assert torch.equal(*logits)
        gradients = [{name: weight.grad for name, weight in network.named_parameters()} for network in (built, expected)]
        assert all(torch.equal(*both) for both in zip(*(each.values() for each in gradients), strict=True))
        assert torch.equal(built.eval()(images), expected.eval()(images))
