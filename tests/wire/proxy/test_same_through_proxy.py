"""The transcripts through the proxy in front of our server: the same metrics and spans, but for what is named here."""

import re
from typing import Any

import pytest

from support.central import Csms
from support.observing import described, tracing
from support.proxies import Proxy
from support.transcripts import CP, Transcript, playback, transcripts
from support.waiting import eventually

OTHER = re.compile(
    r"#"
    r"|ocpp_proxy_"  # what only the proxy has
    r"|process_|http_|database_|system_|ocpp_store_|ocpp_central_up|user_|successful_"  # processes of their own
    r"|ocpp_(msg_handling|central_call)_seconds"  # durations: here they include the way to the server
)
WITHOUT = {
    "ocpp.store_wait_s",  # the server waits for its store before it answers
    "csms.force_sample",  # an exemplar is chosen by chance: at most five a second
    "ocpp.id_token_hash",  # each installation has a key of its own
}
TRANSCRIPTS = [
    pytest.param(each, id=each.name)
    for each in transcripts()
    if not any(step.get("is") in ("restarted", "killed") for step in each.steps)  # the proxy sees a disconnection
]


def shown(page: str) -> list[str]:
    return sorted(line for line in page.splitlines() if not OTHER.match(line))


@pytest.mark.parametrize("transcript", TRANSCRIPTS)
async def test_the_proxy_shows_what_the_server_behind_it_does(make_csms, tmp_path, transcript: Transcript):
    theirs, spans = tracing()
    ours, proxy_spans = tracing()

    async def make(**settings: Any) -> Csms:
        return await make_csms(tracer_provider=theirs, **settings)

    async with playback(transcript, make) as played:
        csms = played.csms
        database = tmp_path / "proxy.db"
        upstream = csms.url("/ws/{cp_id}")
        async with Proxy(database, upstream, tracer_provider=ours, clock_ns=played.clock) as proxy:
            csms.charger = proxy.charger  # type: ignore[method-assign]
            await played.run()
            await proxy.becomes(0, "ocpp_cp_connected", cp_id=CP)
            page = shown("\n".join(await csms.page()))

            async def same() -> bool:
                return shown(await proxy.page()) == page

            await eventually(same, within_s=5)
    without_children = [span for span in proxy_spans.get_finished_spans() if not is_child(span)]
    assert described(without_children, without=WITHOUT) == described(spans.get_finished_spans(), without=WITHOUT)


def is_child(span: Any) -> bool:
    """Whether it is the part of a message between proxy and central system, which only the proxy has."""
    return span.kind.name == "CLIENT" and span.parent is not None
