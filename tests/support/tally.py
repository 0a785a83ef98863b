"""A count of what code does, which a check does not put back."""


class Tally:
    """Counts. Attributes in slots are beyond what a check can put back."""

    __slots__ = ("count",)

    def __init__(self):
        self.count = 0

    def add(self) -> None:
        self.count += 1
