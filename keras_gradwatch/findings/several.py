"""Lists of what was found, which notebooks show as a table."""

from __future__ import annotations

from typing import Protocol, TypeVar

from keras_gradwatch.findings import html
from keras_gradwatch.findings.text import counted

# Rows of a table: a long training has thousands, and a notebook keeps all it shows.
_ROWS = 200


class _Shown(Protocol):
    """Something that was found."""

    def _overview_html_(self) -> dict[str, str]: ...


_Item = TypeVar("_Item", bound=_Shown)


class Several(list[_Item]):
    """A list of reports, readings, alerts or findings.

    It is a list like any other, but for how a notebook shows it: a row for each.

    Example:

    ```python
    check = kgw.GradientCheck()
    model.fit(x, y, callbacks=[check])
    check.reports  # at the end of a cell
    ```
    """

    def __getitem__(self, index):
        found = super().__getitem__(index)
        return type(self)(found) if isinstance(index, slice) else found

    def _repr_html_(self) -> str:
        if not self:
            return html.page("Nothing was found yet.")
        rows = [item._overview_html_() for item in self[-_ROWS:]]
        columns = [c for c in rows[0] if any(row[c] for row in rows)]
        cells = [[row[column] for column in columns] for row in rows]
        left_out = len(self) - len(rows)
        above = [f"The last {_ROWS} of {len(self)}."] if left_out else []
        kind = type(self[0]).__name__
        return html.page(html.text(counted(len(self), kind)), above, columns, cells)
