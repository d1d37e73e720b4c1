"""Which numbers a field of a config may hold: for the check, its message, and the schema that a form is made from."""

from typing import NamedTuple


class Range(NamedTuple):
    """The numbers from `low` to `high`; a parenthesis in `ends` leaves that end out.

    >>> print(Range(0, 1, "[)"))
    in [0, 1)
    >>> print(Range(0, float("inf"), "[)", "GiB"))
    at least 0 GiB
    """

    low: float | int
    high: float | int
    ends: str = "[]"
    unit: str = ""

    def holds(self, value: float | int) -> bool:
        """Whether the value lies inside."""
        above = value > self.low if self.ends[0] == "(" else value >= self.low
        return above and (value < self.high if self.ends[1] == ")" else value <= self.high)

    def json_schema(self) -> dict[str, float | int]:
        """The same as keywords of JSON Schema."""
        low = "exclusiveMinimum" if self.ends[0] == "(" else "minimum"
        high = "exclusiveMaximum" if self.ends[1] == ")" else "maximum"
        return {low: self.low} | ({} if self.high == float("inf") else {high: self.high})

    def __str__(self) -> str:
        if self.high == float("inf"):
            words = f"{'more than' if self.ends[0] == '(' else 'at least'} {self.low}"
        else:
            words = f"in {self.ends[0]}{self.low}, {self.high}{self.ends[1]}"
        return f"{words} {self.unit}".rstrip()
