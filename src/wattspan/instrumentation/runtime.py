"""`Runtime`: everything that runs while `ocpp` is instrumented, from `instrument()` to `uninstrument()`."""

import atexit
import itertools
import logging
import threading
from pathlib import Path

from opentelemetry.metrics import MeterProvider
from opentelemetry.trace import TracerProvider

from wattspan.instrumentation.connections import Connections
from wattspan.instrumentation.state_file import StateFile
from wattspan.observe import Observer, Role
from wattspan.telemetry.families import State
from wattspan.telemetry.given import applies, given_telemetry

log = logging.getLogger(__name__)

SAVE_S = 1.0
"""How often the state is saved."""
SAVES_A_SWEEP = 5
"""How many saves there are from one look at quiet connections to the next."""


class Runtime:
    """Owns the observer, its thread and the state file. End it with `close`."""

    def __init__(
        self,
        tracer_provider: TracerProvider,
        meter_provider: MeterProvider,
        *,
        state: Path | None,
        role: Role | None,
    ) -> None:
        """Raises SettingsError if the state file cannot be used."""
        self._file = None if state is None else StateFile.open(state)
        try:
            token_key = None if self._file is None else self._file.token_key()
            telemetry = given_telemetry(tracer_provider, meter_provider, token_key=token_key)
            if self._file is None:
                observer = Observer(recorder=telemetry.recorder)
            else:
                fleet, counters = self._file.restore()
                observer = Observer(fleet, recorder=telemetry.recorder, counters=counters)
        except BaseException:
            if self._file is not None:
                self._file.close()
            raise
        self._observer = observer
        self._instruments = telemetry.instruments
        self._state = State(fleet=observer.fleet, counters=observer.counters, shows=applies)
        self._instruments.add(self._state)
        self.connections = Connections(observer, role)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="wattspan-ocpp", daemon=True)
        self._thread.start()
        atexit.register(self._finish)

    @property
    def observer(self) -> Observer:
        """The observer, with its fleet and counters."""
        return self._observer

    def close(self) -> None:
        """End the observation, save the state and take it out of the metrics. A second call does nothing."""
        self._finish()
        self._instruments.remove(self._state)

    def _finish(self) -> None:
        """Do what `close` does, but leave the metrics: at the exit of the program they are exported once more."""
        if self._stopping.is_set():
            return
        self._stopping.set()
        self._thread.join()
        atexit.unregister(self._finish)
        self.connections.close()
        if self._file is not None:
            self._save(self._file)
            self._file.close()

    def _run(self) -> None:
        for turn in itertools.count(1):
            if self._stopping.wait(SAVE_S):
                return
            if turn % SAVES_A_SWEEP == 0:
                self.connections.sweep()
            if self._file is not None:
                self._save(self._file)

    def _save(self, file: StateFile) -> None:
        try:
            file.save(self._observer.fleet, self._observer.counters, self.connections.lock)
        except Exception:  # a full disk must not end the thread, nor the program at its exit
            log.exception("the state of OCPP telemetry could not be saved")
