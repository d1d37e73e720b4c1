"""The servers that `serve.py` compares this service with, each a process: python benchmarks/serve_peers.py NAME --port N ...

`empty` reads the request and answers fixed bytes: what uvicorn and ASGI alone cost.
`fastapi` is the handler that everybody writes around a network: UploadFile (or, at /raw, the bare body), Pillow, eager
torch, a dict. It is `async def` and runs the network on the event loop; on one core a `def`, in a thread, costs the same.
serve_litserve.py has the third.

The network runs as the tutorial has it: eager torch with `affine_grid` and `grid_sample`, in torch's own memory layout.
"""

import argparse
import base64
import io
from pathlib import Path
from typing import Any

import numpy as np
import torch
import uvicorn
from PIL import Image
from torch import Tensor

FAST: dict[str, Any] = {"loop": "uvloop", "http": "httptools", "access_log": False, "log_level": "warning"}
"""How uvicorn runs all of them."""


class Network:
    """A picture's tensor, the network on a batch of them, and an answer for each."""

    def __init__(self, path: Path) -> None:
        from expanded import ExpandedTransformer

        import stn

        self.names = stn.read_model_info(path).class_names
        model = stn.load_model(path)
        model.transformer = ExpandedTransformer(model.transformer)  # type: ignore[arg-type, assignment]
        self.model = model

    def decode(self, body: bytes) -> Tensor:
        image = Image.open(io.BytesIO(body)).convert("L")
        return torch.from_numpy(np.array(image)).float().div(255)[None]  # (1, H, W)

    @torch.inference_mode()
    def predict(self, images: Tensor) -> list[tuple[Tensor, Tensor, Tensor]]:
        """Probabilities, theta and transformed image of each."""
        logits, transformed = self.model(images)
        assert transformed is not None
        return list(zip(logits.softmax(-1), transformed.theta, transformed.images, strict=True))

    def encode(self, prediction: tuple[Tensor, Tensor, Tensor]) -> dict[str, Any]:
        probabilities, theta, image = prediction
        file = io.BytesIO()
        Image.fromarray((image[0] * 255).round().byte().numpy()).save(file, "PNG")
        return {
            "class": self.names[int(probabilities.argmax())],
            "probabilities": dict(zip(self.names, probabilities.tolist(), strict=True)),
            "theta": theta.tolist(),
            "transformed": "data:image/png;base64," + base64.b64encode(file.getvalue()).decode(),
        }


def empty(options: argparse.Namespace) -> None:
    answer = options.answer.read_bytes()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(answer)).encode())]

    async def app(_scope: Any, receive: Any, send: Any) -> None:
        while (await receive()).get("more_body"):
            pass
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": answer})

    uvicorn.run(app, port=options.port, lifespan="off", **FAST)


def fastapi(options: argparse.Namespace) -> None:
    from fastapi import FastAPI, Request, UploadFile

    network, app = Network(options.model), FastAPI()

    def answer(body: bytes) -> dict[str, Any]:
        return network.encode(network.predict(network.decode(body)[None])[0])

    @app.post("/predict")
    async def predict(image: UploadFile) -> dict[str, Any]:
        return answer(await image.read())

    @app.post("/raw")
    async def predict_raw(request: Request) -> dict[str, Any]:
        return answer(await request.body())

    uvicorn.run(app, port=options.port, **FAST)


PEERS = {"empty": empty, "fastapi": fastapi}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", choices=PEERS)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--model", type=Path, help="model file, for all but `empty`")
    parser.add_argument("--answer", type=Path, help="what `empty` answers")
    options = parser.parse_args()
    torch.set_num_threads(1)
    PEERS[options.name](options)


if __name__ == "__main__":
    main()
