"""Every function of ``mw.stats`` with what it is, once: documentation and tests read this table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class StatInfo:
    """``takes``: "pair" (reference, current), "column" (values) or "labelled" (labels, and scores or predictions).
    ``measure``: the id of the report's measure that is the same number, None where reports have none. ``compat``:
    whether it gives peers' numbers too."""

    name: str
    takes: str
    measure: str | None
    compat: bool = False


def _info(name: str, takes: str, *, reported: bool = True, compat: bool = False) -> StatInfo:
    return StatInfo(name, takes, name if reported else None, compat)


STATS: Final[dict[str, StatInfo]] = {
    s.name: s
    for s in (
        _info("ks", "pair", compat=True),
        _info("cvm", "pair"),
        _info("wasserstein", "pair", compat=True),
        _info("wasserstein_sd", "pair"),
        _info("energy_distance", "pair", reported=False),
        _info("psi", "pair", compat=True),
        _info("js_distance", "pair", compat=True),
        _info("js_divergence", "pair", compat=True),
        _info("kl", "pair"),
        _info("hellinger", "pair", compat=True),
        _info("tv", "pair"),
        _info("chi_square", "pair", compat=True),
        _info("l_infinity", "pair"),
        _info("mean_shift", "pair"),
        _info("sd_ratio", "pair"),
        _info("out_of_range", "pair"),
        _info("unseen", "pair"),
        _info("missing_change", "pair"),
        _info("missing", "column"),
        _info("nan", "column"),
        _info("distinct", "column"),
        _info("row_count", "column"),
        _info("quantile", "column", reported=False),
        _info("moments", "column", reported=False),
        _info("histogram", "column", reported=False),
        _info("log_linear_histogram", "column", reported=False),
        _info("approx_distinct", "column", reported=False),
        *(
            _info(name, "labelled", reported=False)
            for name in (
                "roc_auc",
                "average_precision",
                "log_loss",
                "brier",
                "ece",
                "accuracy",
                "precision",
                "recall",
                "specificity",
                "f1",
                "confusion",
                "rmse",
                "mae",
                "me",
                "mape",
                "r2",
            )
        ),
    )
}

#: Measures of reports that have no function here, and why.
REPORT_ONLY: Final[dict[str, str]] = {}
