"""The network's data as OpenTelemetry instruments. It owns which value each metric has; `catalogue` owns the names."""

from collections.abc import Callable, Iterable, Iterator

from opentelemetry.metrics import CallbackOptions, Meter, Observation

from wattspan.chargy import catalogue as c
from wattspan.chargy.model import STATES, Connector
from wattspan.chargy.network import Network
from wattspan.telemetry.catalogue import Kind, Metric

Read = Callable[[Network], Iterable[Observation]]


def register(meter: Meter, network: Network) -> None:
    """Create all instruments on `meter`. A metric reader calls their callbacks on its own thread."""
    for metric, read in _READ.items():
        create = meter.create_observable_counter if metric.kind is Kind.COUNTER else meter.create_observable_gauge
        create(metric.name, [_callback(read, network)], metric.unit, metric.help)


def _callback(read: Read, network: Network) -> Callable[[CallbackOptions], Iterable[Observation]]:
    return lambda _options: list(read(network))


def _connectors(network: Network) -> tuple[Connector, ...]:
    return network.feed.connectors if network.feed is not None else ()


def _labels(connector: Connector) -> dict[str, str]:
    values = (connector.name, connector.device, connector.station, str(connector.speed_kw))
    return dict(zip(c.CONNECTOR_LABELS, values, strict=True))


def _states(network: Network) -> Iterator[Observation]:
    for connector in _connectors(network):
        labels, current = _labels(connector), connector.state
        for state in STATES:
            yield Observation(int(state == current), labels | {c.SIMPLE_STATE: state})


def _details(network: Network) -> Iterator[Observation]:
    for connector in _connectors(network):
        yield Observation(1, _labels(connector) | {c.DETAILED_STATE: connector.word})


def _age(network: Network) -> Iterator[Observation]:
    if (age_s := network.age_s) is not None:
        yield Observation(age_s)


def _faults(network: Network) -> Iterator[Observation]:
    if network.feed is not None:
        for fault in c.FAULTS:
            yield Observation(network.feed.faults.get(fault, 0), {c.FAULT: fault})


_READ: dict[Metric, Read] = {
    c.CONNECTOR_STATE: _states,
    c.CONNECTOR_DETAILS: _details,
    c.UP: lambda network: [Observation(int(network.up))],
    c.DATA_AGE: _age,
    c.FETCHES: lambda network: [Observation(n, {c.RESULT: each}) for each, n in network.fetches.copy().items()],
    c.FEED_FAULTS: _faults,
}
