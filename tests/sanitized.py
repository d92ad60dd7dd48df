"""Plugin of pytest for the module built with AddressSanitizer (tests/sanitizers.sh): each report fails the test that it
appears in, whichever of the test's processes it is from. SANITIZER_REPORTS is what the reports' names begin with."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

REPORTS = Path(os.environ["SANITIZER_REPORTS"])
REPLACES_FUNCTIONS = "each program preloads a library that replaces functions which the sanitizer replaces too"
FORKS = "forks while threads allocate: a child may inherit the runtime's lock, held, and hang in malloc"
# What a test's identifier contains, and why it is not run.
NOT_RUN = {
    "test_shortages.py::test_shortages[": REPLACES_FUNCTIONS,
    "test_a_crash_shows_no_password[a fatal error]": "crashes on purpose, which is a finding",
    "test_forks_while_others_fetch": FORKS,
    "test_forks_while_events_are_delivered": FORKS,
    "test_a_signal_handler_that_forks_during_a_wait": FORKS,
    "test_forks_that_c_code_makes": FORKS,
    "test_forks_at_random_points": FORKS,
}
seen: set[Path] = set()


def new_reports() -> list[str]:
    reports = set(REPORTS.parent.glob(REPORTS.name + ".*")) - seen
    seen.update(reports)
    return [report.read_text(errors="replace") for report in sorted(reports)]


def pytest_sessionfinish(session: pytest.Session) -> None:
    # Of processes that outlived their test, which was perhaps the last.
    if reports := new_reports():
        print("\n".join(reports))
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def part_of(item: pytest.Item) -> str | None:
    return next((part for part in NOT_RUN if part in item.nodeid), None)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    config.hook.pytest_deselected(items=[item for item in items if part_of(item)])
    items[:] = [item for item in items if not part_of(item)]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    left_out = Counter(map(part_of, terminalreporter.stats.get("deselected", [])))
    for part, reason in NOT_RUN.items():
        if left_out[part]:
            terminalreporter.write_line(f"NOT RUN: {part.rstrip('[')} ({left_out[part]}): {reason}")


@pytest.fixture(autouse=True)
def no_report_of_the_sanitizer() -> Iterator[None]:
    yield
    if reports := new_reports():
        pytest.fail("\n".join(reports), pytrace=False)
