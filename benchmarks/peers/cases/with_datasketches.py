"""datasketches: deciles from KLL sketches, on NumPy arrays."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from timing import DECILES, answer, arrays, main, timed


def datasketches_kll(folder: Path, check: bool) -> dict[str, Any]:
    """The nine deciles of 20 columns from KLL sketches with k = 200."""
    from datasketches import kll_doubles_sketch

    a, _ = arrays(folder)

    def work() -> list[list[float]]:
        found = []
        for x in a:
            sketch = kll_doubles_sketch(200)
            sketch.update(x)
            found.append(list(sketch.get_quantiles(DECILES)))
        return found

    run = timed(work)
    error = kll_doubles_sketch.get_normalized_rank_error(200, False)
    return {**answer(run, run.answer), "rank_error": float(error)}


main({"kll": datasketches_kll}, ("datasketches", "numpy"))
