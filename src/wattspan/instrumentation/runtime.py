"""`Runtime`: everything that runs while `ocpp` is instrumented, from `instrument()` to `uninstrument()`."""

import atexit
import itertools
import logging
import os
import threading
import weakref
from collections.abc import Callable
from pathlib import Path

from opentelemetry.metrics import MeterProvider
from opentelemetry.trace import TracerProvider

from wattspan.errors import SettingsError
from wattspan.instrumentation.connections import Connections
from wattspan.instrumentation.state_file import StateFile
from wattspan.observe import Observer, Role
from wattspan.telemetry import catalogue
from wattspan.telemetry.families import State
from wattspan.telemetry.given import applies, given_telemetry
from wattspan.telemetry.resource import VERSION

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
        self._path = state
        self._file_lock = threading.Lock()
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
        self.tracer = tracer_provider.get_tracer(catalogue.METER, VERSION)
        self._observer = observer
        self._instruments = telemetry.instruments
        self.connections = Connections(observer, role, telemetry.may_defer)
        deferred = self.connections.deferred
        self._state = State(fleet=observer.fleet, counters=observer.counters, shows=applies, refresh=deferred.observe)
        self._instruments.add(self._state)
        self._stopping = threading.Event()
        self._thread = self._new_thread()
        atexit.register(self._finish)
        _register_at_fork(self)

    @property
    def observer(self) -> Observer:
        """The observer, with its fleet and counters, up to date."""
        self.connections.deferred.observe()
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
        self._save()
        with self._file_lock:
            if self._file is not None:
                self._file.close()
                self._file = None

    def _new_thread(self) -> threading.Thread:
        thread = threading.Thread(target=self._run, name="wattspan-ocpp", daemon=True)
        thread.start()
        return thread

    def _run(self) -> None:
        for turn in itertools.count(1):
            if self._stopping.wait(SAVE_S):
                return
            if turn % SAVES_A_SWEEP == 0:
                self.connections.sweep()
            else:
                self.connections.deferred.observe_late()
            self._save()

    def _save(self) -> None:
        try:
            with self._file_lock:
                if self._file is not None:
                    self._file.save(self._observer.fleet, self._observer.counters, self.connections.lock)
        except Exception:  # a full disk must not end the thread, nor the program at its exit
            log.exception("the state of OCPP telemetry could not be saved")

    def before_fork(self) -> None:
        """Close the file, which SQLite forbids to be open over a fork, and let nobody be amid an observation."""
        self._file_lock.acquire()
        self.connections.lock.acquire()
        if self._file is not None:
            self._file.close()

    def after_fork_in_parent(self) -> None:
        """Go on as before the fork."""
        try:
            if self._file is not None and self._path is not None:
                self._file = StateFile.open(self._path)
        except SettingsError:
            self._file = None
            self._observer.keep_no_changes()
            log.exception("the state of OCPP telemetry is not saved any more")
        finally:
            self._release()

    def after_fork_in_child(self) -> None:
        """Go on without the file, which is the parent's, and with a thread: a fork has none."""
        if self._file is not None:
            self._file = None
            self._observer.keep_no_changes()
            log.warning("state file %s: left to the process that was forked; instrument after the fork", self._path)
        self._release()
        if not self._stopping.is_set():
            self._thread = self._new_thread()

    def _release(self) -> None:
        self.connections.lock.release()
        self._file_lock.release()


def _register_at_fork(runtime: Runtime) -> None:
    """Have a runtime called at each fork. It can be collected all the same."""
    if not hasattr(os, "register_at_fork"):  # not on Windows
        return
    weak = weakref.ref(runtime)

    def calls(method: Callable[[Runtime], None]) -> Callable[[], None]:
        def call() -> None:
            alive = weak()
            if alive is not None:
                method(alive)

        return call

    os.register_at_fork(
        before=calls(Runtime.before_fork),
        after_in_parent=calls(Runtime.after_fork_in_parent),
        after_in_child=calls(Runtime.after_fork_in_child),
    )
