import gzip
import tracemalloc
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.predicting.answers import Answer
from service.predicting.content_coding import Coding, coding_of, compress, inflate
from service.problems import Problem

COMPRESS = {"gzip": gzip.compress, "x-gzip": gzip.compress, "deflate": zlib.compress, "identity": bytes, "": bytes}


@pytest.mark.parametrize("coding", COMPRESS)
@given(body=st.binary(max_size=200))
def test_a_compressed_body_is_what_it_was(coding: str, body: bytes) -> None:
    assert inflate(COMPRESS[coding](body), coding.upper(), 200) == body


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_a_body_of_exactly_the_limit_passes_and_one_byte_more_does_not(coding: str) -> None:
    assert len(inflate(COMPRESS[coding](b"x" * 5000), coding, 5000)) == 5000
    with pytest.raises(Problem, match="at most 5,000 bytes when it is no longer compressed") as raised:
        inflate(COMPRESS[coding](b"x" * 5001), coding, 5000)
    assert raised.value.status == 413


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_a_bomb_is_never_inflated_beyond_the_limit(coding: str) -> None:
    bomb = COMPRESS[coding](bytes(100_000_000))
    assert len(bomb) < 200_000
    tracemalloc.start()
    try:
        with pytest.raises(Problem, match="at most 1,000,000 bytes"):
            inflate(bomb, coding, 1_000_000)
        assert tracemalloc.get_traced_memory()[1] < 4_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("body", "coding", "status", "message"),
    [
        (b"hello", "gzip", 400, "the body must be gzip, as Content-Encoding says"),
        (gzip.compress(b"hello", mtime=0), "deflate", 400, "the body must be deflate, as Content-Encoding says"),
        (gzip.compress(b"hello", mtime=0)[:-9], "gzip", 400, "it has no end"),
        (gzip.compress(b"hello", mtime=0)[:-8] + bytes(8), "gzip", 400, "incorrect data check"),
        (zlib.compress(b"hello") + b"!", "deflate", 400, "it has bytes behind its end"),
        (gzip.compress(b"a", mtime=0) * 2, "gzip", 400, "it has bytes behind its end"),
        (b"", "gzip", 400, "it has no end"),
        (b"hello", "br", 415, "Content-Encoding must be gzip or deflate, got 'br'"),
        (b"hello", "gzip, gzip", 415, "got 'gzip, gzip'"),
    ],
)
def test_what_is_not_compressed_as_it_says_is_refused(body: bytes, coding: str, status: int, message: str) -> None:
    with pytest.raises(Problem) as raised:
        inflate(body, coding, 1000)
    assert raised.value.status == status
    assert message in raised.value.detail


@pytest.mark.parametrize(
    ("accepted", "coding"),
    [
        (b"", None),
        (b"gzip", "gzip"),
        (b"deflate", "deflate"),
        (b"GZIP", "gzip"),
        (b"deflate, gzip", "gzip"),
        (b"deflate, gzip;q=0.5", "deflate"),
        (b"gzip;q=0, deflate;q=0", None),
        (b"*", "gzip"),
        (b"*;q=0", None),
        (b"br, zstd", None),
        (b"identity, gzip;q=0.5", None),
        (b"identity;q=0.5, gzip", "gzip"),
        (b"gzip;q=0, *", "deflate"),
    ],
)
def test_the_coding_is_the_one_that_the_client_prefers(accepted: bytes, coding: Coding | None) -> None:
    assert coding_of(accepted) == coding


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_an_answer_is_compressed_where_that_makes_it_shorter(coding: Coding) -> None:
    answer = Answer(b"x" * 1000, "text/plain", [(b"a", b"b")])
    compressed = compress(answer, coding)
    assert inflate(compressed.body, coding, 1000) == answer.body
    assert compressed.headers == [(b"a", b"b"), (b"content-encoding", coding.encode())]
    random = Answer(bytes(range(256)), "text/plain")
    assert compress(random, coding) is random
