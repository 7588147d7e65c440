"""A plugin that shows on /metrics how many tasks the server's loop has; found by an entry point, as a user's own is."""

import asyncio
import os
from collections.abc import Iterable
from pathlib import Path

from opentelemetry import metrics
from opentelemetry.metrics import CallbackOptions, Observation

from wattspan.csms.plugins.base import Plugin, PluginContext

NAME = "soak_tasks"
HERE = Path(__file__).parent.parent


class Tasks(Plugin):
    """The gauge `soak_tasks`."""

    name = NAME
    events = ()

    async def start(self, context: PluginContext) -> None:
        loop = asyncio.get_running_loop()

        def count(_options: CallbackOptions) -> Iterable[Observation]:
            return [Observation(len(asyncio.all_tasks(loop)))]

        metrics.get_meter("soak").create_observable_gauge(NAME, callbacks=[count])


def environment(folder: Path) -> dict[str, str]:
    """For a `wattspan serve` that has it: its entry point lies in `folder`, as if it had been installed there."""
    package = folder / "soak-0.dist-info"
    package.mkdir()
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: soak\nVersion: 0\n", encoding="utf-8")
    (package / "entry_points.txt").write_text(f"[wattspan.plugins]\n{NAME} = soak.tasks:Tasks\n", encoding="utf-8")
    paths = [str(folder), str(HERE), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {"PYTHONPATH": os.pathsep.join(paths), "WATTSPAN_PLUGINS": f"orphans,{NAME}"}
