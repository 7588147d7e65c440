"""`OcppInstrumentor`: an instrumentor as OpenTelemetry's other ones are."""

import gc
import os
from collections.abc import Collection
from pathlib import Path
from typing import Any

import ocpp.charge_point
from opentelemetry import metrics, trace
from opentelemetry.instrumentation.instrumentor import BaseInstrumentor  # type: ignore[attr-defined]  # unchecked there
from opentelemetry.instrumentation.utils import unwrap
from wrapt import wrap_function_wrapper

from wattspan.instrumentation.after_handlers import AfterHandlers
from wattspan.instrumentation.roles import role_named
from wattspan.instrumentation.runtime import Runtime
from wattspan.instrumentation.wrappers import Wrappers
from wattspan.observe import Role

OCPP_VERSIONS = "ocpp >= 0.26, < 3"
"""The versions of the `ocpp` package that are tested. Those before 2.1 have no OCPP 2.1."""

STATE_VARIABLE = "OTEL_PYTHON_OCPP_STATE"
ROLE_VARIABLE = "OTEL_PYTHON_OCPP_ROLE"
"""Variables of the environment for programs that are instrumented without code."""


class OcppInstrumentor(BaseInstrumentor):  # type: ignore[misc]  # see the import
    """Instruments `ocpp.charge_point.ChargePoint`, the base class of central systems and charge points of all versions.

    There is one instance in a process. `instrument` takes:

    - `tracer_provider`, `meter_provider`: those of the program; by default, the global ones.
    - `state`: an SQLite file that keeps counters and open sessions over restarts; by default they begin at 0.
    - `role`: a `Role`, if the program is not recognised by its WebSocket's class or its first message.

    Without an argument, `state` and `role` are those of the environment: STATE_VARIABLE, ROLE_VARIABLE.
    """

    _runtime: Runtime | None = None
    _wrappers: Wrappers | None = None

    @property
    def runtime(self) -> Runtime | None:
        """What runs while `ocpp` is instrumented; None if it is not."""
        return self._runtime

    def instrumentation_dependencies(self) -> Collection[str]:
        """Return the versions of `ocpp` that can be instrumented."""
        return (OCPP_VERSIONS,)

    def _instrument(
        self,
        *,
        tracer_provider: trace.TracerProvider | None = None,
        meter_provider: metrics.MeterProvider | None = None,
        state: str | os.PathLike[str] | None = None,
        role: Role | str | None = None,
        **_: Any,
    ) -> None:
        """Raises SettingsError if the state file cannot be used or the environment names no role.

        Raises ValueError for an argument that is no role.
        """
        environ = os.environ
        state = environ.get(STATE_VARIABLE) or None if state is None else state  # an empty variable counts as not set
        named = environ.get(ROLE_VARIABLE)
        if role is None and named:
            role = role_named(ROLE_VARIABLE, named)
        runtime = self._runtime = Runtime(
            trace.get_tracer_provider() if tracer_provider is None else tracer_provider,
            metrics.get_meter_provider() if meter_provider is None else meter_provider,
            state=None if state is None else Path(state),
            role=None if role is None else Role(role),
        )
        wrappers = self._wrappers = Wrappers(runtime.connections, AfterHandlers(runtime.tracer))
        for name, wrapper in _wrapped_by(wrappers).items():
            wrap_function_wrapper(ocpp.charge_point, f"ChargePoint.{name}", wrapper)
        _freeze_once()

    def _uninstrument(self, **_: Any) -> None:
        for name in _METHODS:
            unwrap(ocpp.charge_point.ChargePoint, name)
        wrappers, self._wrappers = self._wrappers, None
        if wrappers is not None:
            wrappers.unwrap()
        runtime, self._runtime = self._runtime, None
        if runtime is not None:
            runtime.close()


def _freeze_once() -> None:
    """Exclude what exists now from garbage collection, above all the modules of OpenTelemetry and Wattspan.

    They are as many objects as a small program has itself: each of its full collections would take three times as long,
    and that is most of what a message would cost more (docs/instrumentor.md#cost). Later calls do nothing, so that a
    program that instruments again and again keeps no garbage.
    """
    global _frozen  # noqa: PLW0603
    if not _frozen:
        _frozen = True
        gc.collect()
        gc.freeze()


_frozen = False

_METHODS = ("start", "route_message", "_send", "call")


def _wrapped_by(wrappers: Wrappers) -> dict[str, Any]:
    return dict(zip(_METHODS, (wrappers.start, wrappers.route_message, wrappers.send, wrappers.call), strict=True))
