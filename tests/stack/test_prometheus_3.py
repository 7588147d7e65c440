"""Prometheus 3 takes the shipped files and rules as Debian's 2.42 does, and its alerts fire at the same minutes."""

from __future__ import annotations

from pathlib import Path

import pytest

from stack.shipped import RULES, prometheus_config
from stack.test_alerts import TESTS, passes
from stack.toolchain import tool


def promtool_3() -> Path:
    """The checker of Prometheus 3."""
    return tool("prometheus-3").with_name("promtool")


@pytest.mark.parametrize("path", sorted(TESTS.glob("*.yml")), ids=lambda path: path.stem)
def test_every_alert_fires_and_stays_quiet_as_its_promtool_tests_say(path: Path) -> None:
    assert passes(promtool_3(), "test", "rules", path)


def test_the_shipped_file_and_rules_are_taken_and_broken_ones_are_not(tmp_path: Path) -> None:
    config = prometheus_config(tmp_path, {}, "token")
    assert passes(promtool_3(), "check", "config", config)
    assert passes(promtool_3(), "check", "rules", "--lint=all", "--lint-fatal", *sorted(RULES.glob("*.yml")))
    config.write_text(config.read_text().replace("scrape_timeout: 5s", "scrape_timeout: 9s", 1))
    assert not passes(promtool_3(), "check", "config", config)
