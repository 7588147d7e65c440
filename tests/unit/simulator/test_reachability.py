import asyncio
import errno
import socket
import ssl

import pytest
from websockets.exceptions import InvalidMessage

from wattspan.simulator import CentralSystemUnreachable, Clock, Simulation
from wattspan.simulator.reachability import FirstAttempts, unreachable_reason

REFUSED = ConnectionRefusedError(errno.ECONNREFUSED, "refused")


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (REFUSED, "connection refused"),
        (OSError(errno.EHOSTUNREACH, "x"), "no route to host"),
        (socket.gaierror(socket.EAI_NONAME, "x"), "the host name cannot be resolved"),
        (OSError("Multiple exceptions: [Errno 111], [Errno 111]"), "no address of the host accepts connections"),
        (TimeoutError(), None),
        (ConnectionResetError(errno.ECONNRESET, "reset"), None),
        (ssl.SSLCertVerificationError("self-signed"), None),
        (InvalidMessage("no HTTP response"), None),
    ],
)
def test_only_an_error_that_proves_it_means_that_nothing_listens(error, reason):
    assert unreachable_reason(error) == reason


@pytest.mark.parametrize(
    ("outcomes", "reported"),
    [
        ([REFUSED, REFUSED], ["connection refused"]),
        ([REFUSED], []),
        ([REFUSED, None], []),
        ([None, REFUSED], []),
        ([TimeoutError(), REFUSED], []),
    ],
)
def test_it_is_reported_when_every_first_attempt_failed(outcomes, reported):
    reasons = []
    attempts = FirstAttempts(2, reasons.append)
    for outcome in outcomes:
        attempts.record(outcome)
    assert reasons == reported


async def test_a_simulation_fails_if_nothing_listens(closed_port):
    url = f"ws://127.0.0.1:{closed_port}/ws"
    simulation = Simulation(url=url, charge_points=3, fail_if_unreachable=True)
    async with asyncio.timeout(10):
        with pytest.raises(CentralSystemUnreachable, match=f"cannot connect to {url}: connection refused"):
            await simulation.run()
    assert simulation.ledger.total.refusals == 3


async def test_a_simulation_keeps_trying_if_the_handshake_is_refused():
    attempts, tried_again = [], asyncio.Event()

    async def refuse(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n")
        writer.close()
        attempts.append(writer)
        if len(attempts) > 1:
            tried_again.set()

    async with await asyncio.start_server(refuse, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        simulation = Simulation(
            url=f"ws://127.0.0.1:{port}/ws",
            charge_points=1,
            clock=Clock(protocol_factor=1_000),
            fail_if_unreachable=True,
        )
        run = asyncio.create_task(simulation.run())
        async with asyncio.timeout(10):
            await tried_again.wait()
            simulation.finish()
            ledger = await run
    assert ledger.total.connections == 0


async def test_a_simulation_reconnects_after_the_central_system_has_gone(central, running):
    async with running(fail_if_unreachable=True) as simulation:
        simulation.fleet[0].abort_connection()
        await central.until(lambda: central.connections == 2)
    assert simulation.ledger.total.drops == 1
