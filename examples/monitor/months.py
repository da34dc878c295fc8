"""The flights months arrive one by one, and a monitor says which of them drifted.

python examples/monitor/months.py [--keep FOLDER]
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from modelwatch_gpu import demo_monitor


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keep", metavar="FOLDER", help="where to keep config, store and pages")
    folder = parser.parse_args().keep
    with tempfile.TemporaryDirectory() as place:
        where = Path(folder or place)
        where.mkdir(parents=True, exist_ok=True)
        for line in demo_monitor.run(where):
            print(line)


if __name__ == "__main__":
    main()
