"""Amazon SageMaker Model Monitor: ``statistics.json`` and ``constraints.json`` of a baseline job."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from modelwatch_gpu.checks.expectations import Expectation, Expectations
from modelwatch_gpu.checks.expected import TABLE
from modelwatch_gpu.checks.foreign.summaries import ColumnSummary, expectation, expectations_of
from modelwatch_gpu.errors import InputError

Path_ = str | os.PathLike[str]


def read_sagemaker(*, statistics: Path_ | None = None, constraints: Path_ | None = None) -> Expectations:
    """Expectations from the files of a SageMaker baseline job; either file will do, and constraints overrule.

    Completeness becomes ``nulls``, ``is_non_negative`` ``negative``, a string's domain ``allowed_values``, the inferred
    type Integral ``fraction``, the columns ``columns``; of the statistics range, mean, standard deviation and distinct
    count are used. ``datatype_check_threshold`` and ``domain_content_threshold`` are the shares that must keep to it.
    The distribution constraint is no expectation: the notes say what check it is. Raises InputError where a file cannot
    be read or is another one.
    """
    if statistics is None and constraints is None:
        raise InputError("Give statistics=, constraints= or both: the files of a SageMaker baseline job.")
    columns = _statistics(statistics) if statistics is not None else []
    more: list[Expectation] = []
    notes: list[str] = []
    if constraints is not None:
        more, notes = _constraints(constraints)
    return expectations_of(columns, more, notes) if columns else Expectations(tuple(more), notes=tuple(notes))


def _statistics(path: Path_) -> list[ColumnSummary]:
    found = []
    for feature in _features(path, "statistics"):
        numbers, text = feature.get("numerical_statistics") or {}, feature.get("string_statistics") or {}
        common = (numbers or text).get("common") or {}
        present, missing = common.get("num_present"), common.get("num_missing")
        found.append(
            ColumnSummary(
                name=str(feature["name"]),
                rows=present + missing if isinstance(present, int) and isinstance(missing, int) else None,
                missing=missing if isinstance(missing, int) else None,
                minimum=_number(numbers.get("min")),
                maximum=_number(numbers.get("max")),
                mean=_number(numbers.get("mean")),
                sd=_number(numbers.get("std_dev")),
                distinct=_number(text.get("distinct_count")),
                whole=feature.get("inferred_type") == "Integral",
            )
        )
    return found


def _constraints(path: Path_) -> tuple[list[Expectation], list[str]]:
    content = _content(path)
    features = _features(path, "constraints")
    config = content.get("monitoring_config") or {}
    type_share = 1 - _share(config.get("datatype_check_threshold"))
    domain_share = 1 - _share(config.get("domain_content_threshold"))
    names = [str(feature["name"]) for feature in features]
    found = [expectation(TABLE, "columns", names=names, ordered=False, extra=False)]
    for feature in features:
        name = str(feature["name"])
        completeness = _number(feature.get("completeness"))
        if completeness is not None:
            found.append(expectation(name, "nulls", max=round(max(0.0, 1 - completeness), 12)))
        if (feature.get("num_constraints") or {}).get("is_non_negative"):
            found.append(expectation(name, "negative", max=0.0))
        domains = (feature.get("string_constraints") or {}).get("domains")
        if isinstance(domains, list):
            found.append(expectation(name, "allowed_values", **{"in": domains, "max": round(domain_share, 12)}))
        if feature.get("inferred_type") == "Integral":
            found.append(expectation(name, "fraction", max=round(type_share, 12)))
    notes = []
    distribution = config.get("distribution_constraints") or {}
    if distribution.get("perform_comparison") == "Enabled":
        method, limit = distribution.get("comparison_method", "Robust"), distribution.get("comparison_threshold", 0.1)
        notes.append(
            f"SageMaker's drift constraint (L-infinity, {method}, {limit}) is no expectation; "
            "Check('ks', alert=...) and Check('l_infinity', alert=...) judge it."
        )
    return found, notes


def _features(path: Path_, what: str) -> list[dict[str, Any]]:
    content = _content(path)
    features = content.get("features")
    if not isinstance(features, list) or not all(isinstance(f, dict) and "name" in f for f in features):
        raise InputError(f"{path}: not SageMaker's {what}.json (it has no list 'features' with names).")
    return features


def _content(path: Path_) -> dict[str, Any]:
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error}).") from error
    except ValueError as error:
        raise InputError(f"{path}: not a JSON file ({str(error).splitlines()[0]}).") from error
    if not isinstance(content, dict):
        raise InputError(f"{path}: not a JSON object, as SageMaker writes it.")
    return content


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _share(value: Any) -> float:
    number = _number(value)
    return 1.0 if number is None else min(1.0, max(0.0, number))
