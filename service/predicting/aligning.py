"""From two posted pictures to where one lies on the other: the only part of predicting that needs torch."""

import io
from typing import Any, NamedTuple

import numpy as np
import orjson
import torch
import torch.nn.functional as F
from jaxtyping import Float32, UInt8

from service.models.served import ServedAligner
from service.predicting.align_options import AlignOptions, Given
from service.predicting.answers import Answer
from service.predicting.images import data_uri, png, read_whole
from service.predicting.options import Kind
from service.predicting.outputs import Outputs, to_bytes
from service.problems import Problem
from stn import Aligner, outline, sample, sampling_grid
from stn.align_pair import bring_together, inverse, refine
from stn.align_views import check_pair
from stn.transforms import MatrixTransform, Transform

SIDE = 128
"""Of the square that larger pictures are looked at in; an aligner itself looks at smaller ones."""
LARGEST = 512
"""Of a side of pictures that are narrower than that square."""
_OPTIONS = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS


class Pair(NamedTuple):
    """Two pictures, each as it was posted, and what is looked at of both."""

    moving: UInt8[np.ndarray, "c h w"]
    fixed: UInt8[np.ndarray, "c2 h2 w2"]
    seen: Float32[np.ndarray, "2 s t"]
    """Both in grey, of one size."""
    notes: tuple[str, ...]
    """What was done to bring them together."""


def read_pair(moving: Given, fixed: Given, max_pixels: int) -> Pair:
    """The pictures that were posted.

    Raises:
        Problem: of `read_whole`, or 422 where a picture is too small, or flat; the text begins with the name of the picture.
    """
    pictures = []
    for name, data in (("moving", moving), ("fixed", fixed)):
        try:
            pictures.append(read_whole(data, max_pixels) if isinstance(data, bytes) else data)
        except Problem as problem:
            raise Problem(problem.status, f"{name}: {problem.detail}", problem.headers) from None
    for name, picture in zip(("moving", "fixed"), pictures, strict=True):
        if min(picture.shape[1:]) < 8:
            height, width = picture.shape[1:]
            raise Problem(422, f"{name} must have sides of at least 8 pixels, got {width} x {height}")
    first, second = (torch.from_numpy(picture.astype(np.float32) / 255) for picture in pictures)
    try:
        pair, notes = bring_together(first, second)
        check_pair(*pair)
    except ValueError as error:
        raise Problem(422, str(error)) from None
    return Pair(pictures[0], pictures[1], _seen(torch.cat(pair)), notes)


def _seen(pair: torch.Tensor) -> Float32[np.ndarray, "2 s t"]:
    height, width = pair.shape[2:]
    size = (SIDE, SIDE) if min(height, width) >= SIDE else (min(height, LARGEST), min(width, LARGEST))
    return (pair if size == (height, width) else F.interpolate(pair, size, mode="area"))[:, 0].numpy()


class AlignerNetwork:
    """An aligner as a predictor runs it: each image of a batch is a pair, (2, H, W), moving and fixed; probabilities has the
    confidence alone."""

    def __init__(self, aligner: Aligner) -> None:
        self._aligner = aligner

    @torch.inference_mode()
    def __call__(
        self,
        images: Float32[np.ndarray, "b c h w"],
        details: bool = False,
        theta: Float32[np.ndarray, "b p"] | None = None,
    ) -> Outputs:
        pairs = torch.from_numpy(images)
        found, logit = self._aligner.locate(pairs[:, :1], pairs[:, 1:])
        border = outline(self._aligner.transform, found)
        return Outputs(
            probabilities=logit.sigmoid().unsqueeze(1).numpy(),
            transformed=images[:, :1, :1, :1],
            theta=found.numpy(),
            matrix=_matrix(self._aligner.transform, found),
            outline=border.numpy(),
        )


class Laid(NamedTuple):
    """What is answered, as arrays."""

    theta: Float32[np.ndarray, " p"]
    inverse: Float32[np.ndarray, " p"] | None
    refined: bool
    confidence: float
    outline: Float32[np.ndarray, "n 2"]
    """What of the moving picture lies on the fixed one, in pixels of the moving one."""
    placed: Float32[np.ndarray, "n 2"] | None
    """Where the moving picture lies, in pixels of the fixed one."""
    warped: UInt8[np.ndarray, "c h w"]
    grid: Float32[np.ndarray, "h w 2"]
    """The point of the moving picture for every pixel of the fixed one, in its pixels."""


@torch.inference_mode()
def lay(served: ServedAligner, pair: Pair, outputs: Outputs, seconds: float) -> Laid:
    """The moving picture laid on the fixed one, from what the network found; `seconds` may be spent on refining it."""
    transform = served.transform
    assert outputs.theta is not None
    theta = torch.from_numpy(outputs.theta[:1].copy())
    seen = torch.from_numpy(pair.seen)[:, None, None]  # (2, 1, 1, S, T)
    better = refine(transform, theta, seen[0], seen[1], seconds) if seconds > 0 else None
    theta = theta if better is None else better
    grid = sampling_grid(transform, theta, (pair.fixed.shape[1], pair.fixed.shape[2]))
    warped = sample(torch.from_numpy(pair.moving.astype(np.float32) / 255)[None], grid)
    undone = inverse(transform, theta)
    placed = None if undone is None else _in_pixels(outline(transform, undone[None])[0], pair.fixed)
    return Laid(
        theta=theta[0].numpy(),
        inverse=None if undone is None else undone.numpy(),
        refined=better is not None,
        confidence=float(outputs.probabilities[0, 0]),
        outline=_in_pixels(outline(transform, theta)[0], pair.moving),
        placed=placed,
        warped=to_bytes(warped.numpy())[0],
        grid=_in_pixels(grid[0], pair.moving),
    )


def overlay(fixed: UInt8[np.ndarray, "c h w"], warped: UInt8[np.ndarray, "c2 h w"]) -> UInt8[np.ndarray, "3 h w"]:
    """The fixed picture in red over the warped one in cyan: grey where they agree."""
    red, cyan = (picture.mean(0).round().astype(np.uint8) for picture in (fixed, warped))
    return np.stack([red, cyan, cyan])


def answer(served: ServedAligner, pair: Pair, laid: Laid, options: AlignOptions, kind: Kind) -> Answer:
    """As JSON, as arrays, or the warped picture alone, with what is known in headers."""
    known = {
        "model": served.name,
        "version": served.version,
        "confidence": laid.confidence,
        "refined": laid.refined,
        "theta": _described(served, laid.theta),
        "inverse": None if laid.inverse is None else _described(served, laid.inverse),
        "outline": laid.outline,
        "placed": laid.placed,
        "width": pair.fixed.shape[2],
        "height": pair.fixed.shape[1],
        "notes": list(pair.notes),
    }
    if kind == "image/png":
        names = {"model": f"{served.name}/{served.version}", "confidence": f"{laid.confidence:.6f}"}
        texts = {**names, "theta": orjson.dumps(known["theta"]["parameters"], option=_OPTIONS).decode()}
        headers = [(f"x-stn-{name}".encode(), text.encode("latin-1")) for name, text in texts.items()]
        return Answer(png(laid.warped), kind, headers)
    pictures = {"warped": laid.warped}
    if "overlay" in options.included:
        pictures["overlay"] = overlay(pair.fixed, laid.warped)
    if kind == "application/x-npz":
        return Answer(_npz(known, laid, pictures), kind)
    known |= {name: data_uri(png(picture)) for name, picture in pictures.items() if name in options.included}
    if "grid" in options.included:
        known["grid"] = laid.grid
    return Answer(orjson.dumps(known, option=_OPTIONS), "application/json")


def _described(served: ServedAligner, theta: Float32[np.ndarray, " p"]) -> dict[str, Any]:
    matrix = _matrix(served.transform, torch.from_numpy(theta[None]))
    return {
        "transform": served.info.config.transforms[-1],
        "parameters": dict(zip(served.parameter_names, theta, strict=True)),
        "matrix": None if matrix is None else matrix[0],
    }


def _matrix(transform: Transform, theta: torch.Tensor) -> Float32[np.ndarray, "b rows 3"] | None:
    return transform.matrix(theta).numpy() if isinstance(transform, MatrixTransform) else None


def _in_pixels(points: torch.Tensor, picture: UInt8[np.ndarray, "c h w"]) -> Float32[np.ndarray, "... 2"]:
    """Normalised points in pixels, 0 being the picture's left (upper) edge."""
    height, width = picture.shape[1:]
    return np.ascontiguousarray((points.numpy() + 1) / 2 * np.array([width, height]), np.float32)


def _npz(known: dict[str, Any], laid: Laid, pictures: dict[str, np.ndarray]) -> bytes:
    arrays: dict[str, Any] = {
        "model": np.array(f"{known['model']}/{known['version']}"),
        "confidence": np.float32(laid.confidence),
        "theta": laid.theta,
        "outline": laid.outline,
        "grid": laid.grid,
        "notes": np.array(known["notes"], dtype=str),
        **({} if laid.inverse is None else {"inverse": laid.inverse, "placed": laid.placed}),
        **{name: picture.astype(np.float32) / 255 for name, picture in pictures.items()},
    }
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()
