"""What the pages in docs/ show is true."""

import re
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[1] / "docs"


@pytest.mark.parametrize("page", ["invariance.md", "library.md"])
def test_the_python_of_a_page_runs_from_top_to_bottom(page: str) -> None:
    names: dict[str, object] = {}
    for block in re.findall(r"```python\n(.*?)```", (DOCS / page).read_text(), re.DOTALL):
        exec(block, names)


def test_the_layer_is_in_a_network_within_ten_lines() -> None:
    import torch

    names: dict[str, object] = {}
    first = re.findall(r"```python\n(.*?)```", (DOCS / "library.md").read_text(), re.DOTALL)[0]
    exec(first, names)
    body = first.partition("class Network")[2].strip().splitlines()
    assert len([line for line in body if line.strip()]) <= 10
    network = names["Network"]()  # type: ignore[operator]
    assert network(torch.rand(2, 3, 64, 96)).shape == (2, 10)
    network(torch.rand(2, 3, 64, 96)).sum().backward()
    assert all(parameter.grad is not None for parameter in network.parameters())


@pytest.mark.parametrize("page", sorted(DOCS.glob("*.md")), ids=lambda page: page.name)
def test_every_file_a_page_links_to_exists(page: Path) -> None:
    for link in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text()):
        assert link.startswith("http") or (page.parent / link).exists(), link
