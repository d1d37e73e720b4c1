"""What the process that checks an upload is asked, and how it ends."""

from dataclasses import dataclass

REFUSED, NO_ROOM = 2, 3
"""Exit codes, with a sentence on standard error."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What to check."""

    file: str
    """The upload; an npz file is moved into the folder."""
    folder: str
    """Where what is kept goes; it is made."""
    name: str
    """Of the data set."""
    max_images: int
    max_unpacked_bytes: int
