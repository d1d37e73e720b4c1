"""What everybody starts from: the network and the loop of PyTorch's spatial transformer tutorial, for 42x42 images.

As a script it takes steps of that loop without end and prints the time at the end of each; see train.py.

Written after the published architecture: localization of conv 7x7 of 8 and conv 5x5 of 10, dense 32; classifier of conv
5x5 of 10 and conv 5x5 of 20 with dropout, dense 50. The layers stand once; `straighten` is what differs.
Source: https://docs.pytorch.org/tutorials/intermediate/spatial_transformer_tutorial.html
"""

import argparse
import time
from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torchvision import datasets, transforms

SIDE = 42
MEAN, STD = 0.0577, 0.2067
"""Of MNIST's pictures on 42x42 black pixels."""


class TutorialNet(nn.Module):
    """With torch's `affine_grid` and `grid_sample`, in torch's default memory layout."""

    def __init__(self, conv: type[nn.Conv2d] = nn.Conv2d, pool: type[nn.MaxPool2d] = nn.MaxPool2d) -> None:
        super().__init__()
        self.pool = pool(2)
        self.localization = nn.Sequential(
            conv(1, 8, 7), self.pool, nn.ReLU(True), conv(8, 10, 5), self.pool, nn.ReLU(True)
        )
        self.theta = nn.Sequential(nn.Linear(10 * 7 * 7, 32), nn.ReLU(True), nn.Linear(32, 6))
        self.conv1, self.conv2, self.drop = conv(1, 10, 5), conv(10, 20, 5), nn.Dropout2d()
        self.dense1, self.dense2 = nn.Linear(20 * 7 * 7, 50), nn.Linear(50, 10)
        nn.init.zeros_(self.theta[2].weight)
        self.theta[2].bias.data.copy_(torch.tensor([1.0, 0, 0, 0, 1, 0]))

    def straighten(self, images: Tensor, theta: Tensor) -> Tensor:
        grid = F.affine_grid(theta.view(-1, 2, 3), list(images.shape), align_corners=False)
        return F.grid_sample(images, grid, align_corners=False)

    def second(self, images: Tensor) -> Tensor:
        return self.pool(self.drop(self.conv2(images)))

    def forward(self, images: Tensor) -> Tensor:
        images = self.straighten(images, self.theta(self.localization(images).flatten(1)))
        images = F.relu(self.pool(self.conv1(images)))
        images = F.relu(self.second(images))
        hidden = F.dropout(F.relu(self.dense1(images.flatten(1))), training=self.training)
        return F.log_softmax(self.dense2(hidden), dim=1)


def dataset(root: str) -> Dataset[tuple[Tensor, int]]:
    """MNIST with the distortion RTS as torchvision's transforms of PIL pictures."""
    steps = [
        transforms.Pad((SIDE - 28) // 2),
        transforms.RandomAffine(
            45,
            translate=(7 / SIDE, 7 / SIDE),
            scale=(0.7, 1.2),
            interpolation=transforms.InterpolationMode.BILINEAR,
        ),
        transforms.ToTensor(),
        transforms.Normalize((MEAN,), (STD,)),
    ]
    return datasets.MNIST(root, train=True, download=False, transform=transforms.Compose(steps))


def steps(root: str, workers: int, batch_size: int) -> Iterator[None]:
    """Yields after every step of the tutorial's loop: SGD at 0.01, one pass after another."""
    loader = DataLoader(
        dataset(root), batch_size, shuffle=True, num_workers=workers, drop_last=True, persistent_workers=workers > 0
    )
    model = TutorialNet()
    model.train()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    while True:
        for images, labels in loader:
            optimizer.zero_grad()
            F.nll_loss(model(images), labels).backward()
            optimizer.step()
            yield


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", required=True)
    for name in ("--workers", "--batch-size"):
        parser.add_argument(name, type=int, required=True)
    options = parser.parse_args()
    for _ in steps(options.root, options.workers, options.batch_size):
        print(time.perf_counter(), flush=True)


if __name__ == "__main__":
    main()
