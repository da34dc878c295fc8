"""Writes tfdv.json: the Jensen-Shannon divergence that TFDV's own validator gives for every numeric case.

pip install --no-deps tensorflow-data-validation==1.16.1   # in an environment of its own (Python 3.10)
pip install tensorflow-metadata==1.16.1 "numpy<2"
python tests/data/peers/make_tfdv_numbers.py

The validator is a compiled module, which is loaded by itself: the package around it needs TensorFlow and Beam. So its
histograms of ten equal buckets are made here, exactly, where TFDV makes them of a sketch of quantiles.
"""

from __future__ import annotations

import importlib.util
import json
from importlib.metadata import distribution, version
from pathlib import Path
from typing import Any

import numpy as np
from peer_cases import numbers
from tensorflow_metadata.proto.v0 import anomalies_pb2, schema_pb2, statistics_pb2

NAME = "tensorflow_data_validation_extension"


def validator() -> Any:
    """The compiled part of TFDV."""
    place = distribution("tensorflow-data-validation").locate_file(f"tensorflow_data_validation/pywrap/{NAME}.so")
    spec = importlib.util.spec_from_file_location(NAME, str(place))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.validation


def statistics(values: Any) -> Any:
    """What TFDV notes of a column that the comparison looks at."""
    there = values[~np.isnan(values)]
    data = statistics_pb2.DatasetFeatureStatistics(num_examples=len(values))
    own = data.features.add(type=statistics_pb2.FeatureNameStatistics.FLOAT)
    own.path.step.append("x")
    stats = own.num_stats
    stats.common_stats.num_non_missing = len(values)
    stats.common_stats.min_num_values = stats.common_stats.max_num_values = 1
    stats.common_stats.avg_num_values, stats.common_stats.tot_num_values = 1.0, len(values)
    stats.min, stats.max, stats.mean = float(there.min()), float(there.max()), float(there.mean())
    bins = stats.histograms.add(type=statistics_pb2.Histogram.STANDARD, num_nan=len(values) - len(there))
    if there.min() == there.max():
        bins.buckets.add(low_value=there.min(), high_value=there.max(), sample_count=len(there))
        return data
    counts, edges = np.histogram(there, np.linspace(there.min(), there.max(), 11))
    for at, count in enumerate(counts):
        bins.buckets.add(low_value=edges[at], high_value=edges[at + 1], sample_count=float(count))
    return data


def divergence(own: Any, a: Any, b: Any) -> float:
    """Drift from a to b."""
    schema = schema_pb2.Schema()
    feature = schema.feature.add(name="x", type=schema_pb2.FLOAT)
    feature.drift_comparator.jensen_shannon_divergence.threshold = 0.0
    sides = [statistics(side).SerializeToString() for side in (a, b)]
    found = own.ValidateFeatureStatistics(
        sides[1], schema.SerializeToString(), b"", sides[0], b"", b"", b"", b"", False
    )
    anomalies = anomalies_pb2.Anomalies()
    anomalies.ParseFromString(found)
    (info,) = anomalies.drift_skew_info
    (measured,) = info.drift_measurements
    return float(measured.value)


def main() -> None:
    own = validator()
    cases = {name: {"js_divergence": divergence(own, a, b)} for name, (a, b) in numbers().items()}
    out = {"version": version("tensorflow-data-validation"), "numbers": cases, "texts": {}}
    Path(__file__).with_name("tfdv.json").write_text(json.dumps(out, indent=1) + "\n")


main()
