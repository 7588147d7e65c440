"""Our families as observable instruments of any OpenTelemetry meter: what the `api` back end shows. No SDK."""

from collections.abc import Callable, Iterable

from opentelemetry.metrics import CallbackOptions, Meter, Observation

from wattspan.telemetry.catalogue import Kind
from wattspan.telemetry.families import FAMILIES, Family, State, points


def register(meter: Meter, state: State) -> None:
    """Create an instrument for each family: same names, units and help as everywhere. Histograms are the recorder's.

    The callbacks come on the reader's thread, while the state goes on changing.
    """
    for family in FAMILIES.values():
        metric = family.metric
        create = meter.create_observable_counter if metric.kind is Kind.COUNTER else meter.create_observable_gauge
        create(metric.name, [_callback(family, state)], metric.unit, metric.help)


def _callback(family: Family, state: State) -> Callable[[CallbackOptions], Iterable[Observation]]:
    names = family.metric.labels

    def observe(_options: CallbackOptions) -> Iterable[Observation]:
        return [Observation(each.value, dict(zip(names, each.labels, strict=True))) for each in points(family, state)]

    return observe
