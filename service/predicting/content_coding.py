"""Compressed bodies: gzip and deflate (RFC 9110, 8.4.1), in requests and in answers."""

import zlib
from dataclasses import replace
from functools import lru_cache
from typing import Literal

from service.predicting.answers import Answer
from service.predicting.options import weights_of
from service.problems import Problem

Coding = Literal["gzip", "deflate"]

_WINDOW_BITS = {"gzip": 31, "x-gzip": 31, "deflate": 15}  # zlib's way to say which of its formats; 15 is its own

WORTHWHILE_BYTES = 1024
"""A shorter answer fits into one or two packets anyway."""


def inflate(body: bytes, coding: str, max_bytes: int) -> bytes:
    """The body as it was before it was compressed, of at most so many bytes: nothing beyond them is ever made.

    Raises:
        Problem: 400 for a damaged body, 413 for a longer one, 415 for another coding.
    """
    coding = coding.strip().lower()
    if coding in ("", "identity"):
        return body
    if coding not in _WINDOW_BITS:
        known = {"Accept-Encoding": "gzip, deflate"}
        raise Problem(415, f"Content-Encoding must be gzip or deflate, got {coding[:32]!r}", known)
    stream = zlib.decompressobj(_WINDOW_BITS[coding])
    try:
        inflated = stream.decompress(body, max_bytes + 1)
    except zlib.error as error:
        raise Problem(400, f"the body must be {coding}, as Content-Encoding says ({error})") from None
    if len(inflated) > max_bytes:
        raise Problem(413, f"the body must have at most {max_bytes:,} bytes when it is no longer compressed")
    if not stream.eof or stream.unused_data:
        fault = "bytes behind its end" if stream.eof else "no end"
        raise Problem(400, f"the body must be one complete {coding} stream; it has {fault}")
    return inflated


@lru_cache(maxsize=1024)
def coding_of(accept_encoding: bytes) -> Coding | None:
    """The coding that a client prefers by the weights of its Accept-Encoding header, None for none; gzip where they tie."""
    weights = weights_of(accept_encoding)
    codings: tuple[Coding, ...] = ("gzip", "deflate")
    best = max(codings, key=lambda coding: weights.get(coding, weights.get("*", 0.0)))
    weight = weights.get(best, weights.get("*", 0.0))
    return best if weight > 0 and weight >= weights.get("identity", 0.0) else None


def compress(answer: Answer, coding: Coding) -> Answer:
    """The same answer, compressed where that makes it shorter."""
    stream = zlib.compressobj(1, zlib.DEFLATED, _WINDOW_BITS[coding])
    body = stream.compress(answer.body) + stream.flush()
    if len(body) >= len(answer.body):
        return answer
    return replace(answer, body=body, headers=[*answer.headers, (b"content-encoding", coding.encode())])
