"""LitServe with batching, around the network of serve_peers.py, for `serve.py`.

pip install litserve
python benchmarks/serve_litserve.py --port 8000 --model model.safetensors --max-batch-size 32 --batch-timeout 0.002
"""

import argparse
from pathlib import Path
from typing import Any

import litserve
import torch
from fastapi import Request
from serve_peers import FAST, Network
from torch import Tensor

Prediction = tuple[Tensor, Tensor, Tensor]


class Api(litserve.LitAPI):
    """A form's field `image` in, an answer as serve_peers.py gives it out; the network runs on what waits together."""

    def __init__(self, model: Path, max_batch_size: int, batch_timeout: float) -> None:
        super().__init__(max_batch_size=max_batch_size, batch_timeout=batch_timeout)
        self.path = model

    def setup(self, device: str) -> None:
        torch.set_num_threads(1)
        self.network = Network(self.path)

    def decode_request(self, request: Request) -> Tensor:
        return self.network.decode(request["image"].file.read())

    def batch(self, inputs: list[Tensor]) -> Tensor:
        return torch.stack(inputs)

    def predict(self, x: Tensor) -> list[Prediction]:
        return self.network.predict(x)

    def unbatch(self, output: list[Prediction]) -> list[Prediction]:
        return output

    def encode_response(self, output: Prediction) -> dict[str, Any]:
        return self.network.encode(output)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--max-batch-size", type=int, required=True)
    parser.add_argument("--batch-timeout", type=float, required=True, help="seconds")
    parser.add_argument("--fast-queue", action="store_true", help="ZeroMQ between its processes")
    options = parser.parse_args()
    api = Api(options.model, options.max_batch_size, options.batch_timeout)
    server = litserve.LitServer(api, accelerator="cpu", fast_queue=options.fast_queue, timeout=False)
    server.run(host="127.0.0.1", port=options.port, generate_client_file=False, **FAST)


if __name__ == "__main__":
    main()
