"""boost-histogram: counts in equal bins, on NumPy arrays."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from timing import answer, arrays, main, timed


def boost_histogram_fill(folder: Path, check: bool) -> dict[str, Any]:
    """Counts of 20 columns in 64 equal bins from -8 to 8."""
    import boost_histogram as bh

    a, _ = arrays(folder)

    def work() -> list[Any]:
        found = []
        for x in a:
            h = bh.Histogram(bh.axis.Regular(64, -8, 8))
            h.fill(x)
            found.append(h.values().astype(int).tolist())
        return found

    run = timed(work)
    return answer(run, run.answer)


main({"fill": boost_histogram_fill}, ("boost-histogram", "numpy"))
