"""Writes tfdv.pb and tfdv.tfrecord: statistics in the form TFDV writes them, made with the package of its messages.

pip install tensorflow-metadata   # in an environment of its own; TensorFlow is not needed
python tests/data/peers/make_tfdv.py
"""

from __future__ import annotations

import struct
from pathlib import Path

from tensorflow_metadata.proto.v0 import statistics_pb2

HERE = Path(__file__).parent


def main() -> None:
    found = statistics_pb2.DatasetFeatureStatisticsList()
    data = found.datasets.add(name="reference", num_examples=1_000)
    age = data.features.add(type=statistics_pb2.FeatureNameStatistics.INT)
    age.path.step.append("age")
    numbers = age.num_stats
    numbers.common_stats.num_non_missing, numbers.common_stats.num_missing = 990, 10
    numbers.common_stats.avg_num_values = 1.0
    numbers.mean, numbers.std_dev, numbers.min, numbers.median, numbers.max = 41.5, 12.25, -3.0, 40.0, 90.0
    numbers.num_zeros = 33
    numbers.histograms.add().buckets.add(low_value=-3.0, high_value=90.0, sample_count=990.0)
    amount = data.features.add(type=statistics_pb2.FeatureNameStatistics.FLOAT, name="amount")
    amount.num_stats.common_stats.num_non_missing = 1_000
    amount.num_stats.mean, amount.num_stats.std_dev, amount.num_stats.max = 2.5, 0.5, 9.75
    kind = data.features.add(type=statistics_pb2.FeatureNameStatistics.STRING, name="kind")
    kind.string_stats.common_stats.num_non_missing, kind.string_stats.common_stats.num_missing = 800, 200
    kind.string_stats.unique, kind.string_stats.avg_length = 3, 4.5
    for value, times in (("grün", 500.0), ("b", 200.0), ("c", 100.0)):
        kind.string_stats.top_values.add(value=value, frequency=times)
        kind.string_stats.rank_histogram.buckets.add(label=value, sample_count=times)
    content = found.SerializeToString()
    (HERE / "tfdv.pb").write_bytes(content)
    # A TFRecord frames a message by its length and two checksums, which no reader of ours looks at.
    framed = struct.pack("<Q", len(content)) + bytes(4) + content + bytes(4)
    (HERE / "tfdv.tfrecord").write_bytes(framed)


main()
