"""What is said of an upload that is refused as a whole, or of a file in it that is left out."""

MOST_NAMED = 200
"""Files that a report names with their reasons."""


class RefusedUpload(ValueError):
    """Nothing of the upload is taken, for the reason given."""


class RefusedFile(ValueError):
    """This file is not taken, for the reason given; the others may be."""


class Refused:
    """The files that were refused: how many, and the first of them with the reasons."""

    def __init__(self) -> None:
        self.count = 0
        self.named: dict[str, str] = {}

    def add(self, file: str, reason: str) -> None:
        self.count += 1
        if len(self.named) < MOST_NAMED:
            self.named.setdefault(file, reason)

    def __str__(self) -> str:
        """The first of them, to be added to a sentence; empty where there is none."""
        if not self.count:
            return ""
        file, reason = next(iter(self.named.items()))
        return f"; the first of {self.count:,} refused files: {file}: {reason}"
