"""Fixtures of the end-to-end tests: fresh real servers a test, and their logs in the report of one that fails."""

from __future__ import annotations

from collections.abc import AsyncIterator, Generator
from functools import partial
from pathlib import Path

import pytest

from stack.ocpp_go import OcppGoCentralSystem, OcppGoCharger, RunOcppGo
from stack.ocpp_rpc import OcppRpcCharger, RunOcppRpc
from stack.process import Program
from stack.servers import Collector, Jaeger, Prometheus, RunPrometheus
from stack.shipped import Stack

HERE = Path(__file__).parent
LONGEST = ("fortnight", "night", "dead_collector", "alerts", "shipped_stack", "prometheus", "api_document", "console")
"""Files and folders that begin first, lest one worker be at them when the other has nothing left to do."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything in this folder needs the toolchain."""
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.stack)
    items.sort(key=_turn)


def _turn(item: pytest.Item) -> int:
    name = item.path.relative_to(HERE).parts[0] if item.path.is_relative_to(HERE) else ""
    name = name.removeprefix("test_").removesuffix(".py")
    return LONGEST.index(name) if name in LONGEST else len(LONGEST)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A failed test's report ends with the logs of the servers that it used."""
    report = yield
    if report.failed:
        for fixture in getattr(item, "funcargs", {}).values():
            if isinstance(program := getattr(fixture, "program", None), Program):
                report.sections.append((f"end of the log of {program.name}", program.log_tail()))
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Says what tests measured (`record_property`), failed ones too."""
    for outcome in ("passed", "failed"):
        for report in terminalreporter.stats.get(outcome, ()):
            for name, value in report.user_properties:
                terminalreporter.write_line(f"{name}: {value}")


@pytest.fixture
async def jaeger(tmp_path: Path) -> AsyncIterator[Jaeger]:
    """An empty Jaeger."""
    async with Jaeger.run(tmp_path) as server:
        yield server


@pytest.fixture
async def collector(tmp_path: Path, jaeger: Jaeger) -> AsyncIterator[Collector]:
    """The shipped Collector configuration, its traces going to `jaeger`."""
    async with Collector.run(tmp_path, jaeger=jaeger.otlp_grpc) as server:
        yield server


@pytest.fixture
def prometheus(tmp_path: Path) -> RunPrometheus:
    """`async with prometheus([Target(address=…)]) as server`: its targets are known only within a test."""
    return partial(Prometheus.run, tmp_path)


@pytest.fixture
async def shipped_stack(tmp_path: Path) -> AsyncIterator[Stack]:
    """The stack with VictoriaLogs from the shipped files; a tenth of the traces is kept."""
    async with Stack.run(tmp_path) as stack:
        yield stack


@pytest.fixture
def ocpp_rpc(tmp_path: Path) -> RunOcppRpc:
    """`async with ocpp_rpc(url=…, identity=…) as charger`."""
    return partial(OcppRpcCharger.run, tmp_path)


@pytest.fixture
def ocpp_go(tmp_path: Path) -> RunOcppGo:
    """`async with ocpp_go(url=…, identity=…) as charger`."""
    return partial(OcppGoCharger.run, tmp_path)


@pytest.fixture
async def ocpp_go_central_system(tmp_path: Path) -> AsyncIterator[OcppGoCentralSystem]:
    """Another central system, to try the charge points on."""
    async with OcppGoCentralSystem.run(tmp_path) as server:
        yield server
