"""Forms with files (RFC 7578), from a body that is in memory: one search for the boundary, no state machine."""

import re
from typing import NamedTuple

from service.problems import Problem

MAX_HEADERS, MAX_HEADER_BYTES = 8, 4224
"""Of a field of a form; python-multipart, which reads uploads, has the same."""


class Part(NamedTuple):
    """One field of a form."""

    name: str
    is_file: bool
    content: bytes


def boundary_of(content_type: str) -> bytes:
    """The boundary that a Content-Type names, or a Problem 400."""
    found = _BOUNDARY.search(content_type)
    if not found:
        raise Problem(400, "Content-Type multipart/form-data must name a boundary of 1 to 70 characters")
    return (found[1] or found[2]).encode("latin-1")


def parse_form(body: bytes, boundary: bytes, max_parts: int) -> list[Part]:
    """The fields of a form, in order.

    Raises:
        Problem: 400 for what is not a form with this boundary, 413 for more fields than that.
    """
    # What stands before the first boundary and after the last is nobody's; a boundary begins a line.
    pieces = (b"\r\n" + body).split(b"\r\n--" + boundary, max_parts + 2)
    if len(pieces) > max_parts + 2:
        raise Problem(413, f"one form may hold at most {max_parts} fields")
    if len(pieces) < 2 or not pieces[-1].startswith(b"--"):
        raise Problem(400, "the form must end with its boundary and two dashes; it is incomplete or not one")
    return [_part(piece) for piece in pieces[1:-1]]


def _part(piece: bytes) -> Part:
    head, blank, content = piece.partition(b"\r\n\r\n")
    if not blank or not piece.lstrip(b" \t").startswith(b"\r\n"):
        raise Problem(400, "each field of the form must have headers, an empty line and a content")
    _check_headers(head)
    disposition = _DISPOSITION.search(head)
    name = _NAME.search(disposition[0]) if disposition else None
    if not disposition or not name:
        raise Problem(400, 'each field of the form must have Content-Disposition: form-data; name="..."')
    return Part(name[1].decode("utf-8", "replace"), b"filename" in _QUOTED.sub(b"", disposition[0]), content)


def _check_headers(head: bytes) -> None:
    """A Problem 400 where they are more than anybody sends; before anything is looked for in them."""
    if len(head) > MAX_HEADERS * (MAX_HEADER_BYTES + 2) or head.count(b"\r\n") > MAX_HEADERS:
        raise Problem(400, f"each field of the form may have at most {MAX_HEADERS} headers of {MAX_HEADER_BYTES} bytes")
    if len(head) > MAX_HEADER_BYTES and max(map(len, head.split(b"\r\n"))) > MAX_HEADER_BYTES:
        raise Problem(400, f"each header in the form may have at most {MAX_HEADER_BYTES} bytes")


_BOUNDARY = re.compile(r";\s*boundary=(?:\"([^\"]{1,70})\"|([^\s\";,]{1,70}))", re.IGNORECASE)
_DISPOSITION = re.compile(rb"\r\ncontent-disposition:[ \t]*form-data[^\r\n]*", re.IGNORECASE)
_NAME = re.compile(rb';[ \t]*name="?([^";\r\n]*)"?', re.IGNORECASE)
_QUOTED = re.compile(rb'"[^"]*"')
