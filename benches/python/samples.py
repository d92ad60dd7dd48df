"""The result file of ``make bench``: benches/report/src/samples.rs describes its format."""

from __future__ import annotations

import os
from collections.abc import Sequence


def samples(group: str, row: str, at: float, unit: str, rounds: Sequence[float]) -> None:
    """Append one row to the file that BENCH_RESULTS names, if it names one.

    ``at`` is where it was measured, such as the number of threads.
    """
    path = os.environ.get("BENCH_RESULTS")
    if path:
        with open(path, "a", encoding="utf-8") as file:
            words = " ".join(f"{one:.9g}" for one in rounds)
            file.write(f"{group}\t{row}\t{at:g}\t{unit}\t{words}\n")


def missing(group: str, row: str, why: object) -> None:
    """Append a row that could not be measured, and why."""
    path = os.environ.get("BENCH_RESULTS")
    if path:
        with open(path, "a", encoding="utf-8") as file:
            file.write(f"{group}\t{row}\t1\t-\t{' '.join(str(why).split())[:120]}\n")
