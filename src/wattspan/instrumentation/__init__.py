"""OpenTelemetry for programs that are built on the `ocpp` package: central systems and charge points.

    from wattspan.instrumentation import OcppInstrumentor

    OcppInstrumentor().instrument()

It owns how the package's `ChargePoint` is wrapped. What messages mean is known to `observe`; it must not know sockets,
and needs nothing of the `server` extra.
"""

from wattspan.instrumentation.instrumentor import OcppInstrumentor
from wattspan.observe import Role

__all__ = ["OcppInstrumentor", "Role"]
