"""Short rounds that alternate between all ways, so that a change of the machine's speed meets all of them."""

from __future__ import annotations

import time
import timeit
from collections.abc import Callable, Coroutine, Mapping
from statistics import median
from typing import Any

from samples import samples

ROUNDS = 501


class Way:
    """A way to get the token, measured in rounds of this many calls."""

    def __init__(self, statement: str, number: int, **names: object) -> None:
        self.timer = timeit.Timer(statement, globals=names)
        self.number = number
        self.rounds: list[float] = []

    def measure(self) -> None:
        self.rounds.append(self.timer.timeit(self.number) / self.number * 1e9)


class AwaitedWay(Way):
    """The same for a coroutine that finishes in its first step."""

    def __init__(self, function: Callable[[], Coroutine[Any, Any, object]], number: int) -> None:
        super().__init__("", number)
        self.function = function

    async def _run(self) -> float:
        function, calls = self.function, range(self.number)
        begun = time.perf_counter()
        for _ in calls:
            await function()
        return time.perf_counter() - begun

    def measure(self) -> None:
        try:
            self._run().send(None)
        except StopIteration as ended:
            self.rounds.append(ended.value / self.number * 1e9)


def measure(ways: Mapping[str, Way], clock: str, bare: str) -> None:
    """Measure all ways and write their rounds to the file of results.

    The medians are shown with their ratios to the clock or, for a coroutine, to a bare one.
    """
    for _ in range(ROUNDS):
        for way in ways.values():
            way.measure()
    for row, way in ways.items():
        samples("python", row, 1, "ns", way.rounds)
        unit = ways[bare if isinstance(way, AwaitedWay) else clock]
        figure = median(way.rounds)
        print(f"  {row:40} {figure:8.0f} ns  {figure / median(unit.rounds):7.2f} x")
