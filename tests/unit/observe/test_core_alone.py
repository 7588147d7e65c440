"""What a program gets by instrumenting itself: the core package alone, and few objects for its garbage collector."""

import subprocess
import sys

import pytest

from wattspan._extras import SERVER_MODULES

WITHOUT_SERVER = f"""
import sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {sorted(SERVER_MODULES)}:
            raise ModuleNotFoundError(name, name=name)

sys.meta_path.insert(0, Missing())
from wattspan.instrumentation import OcppInstrumentor

OcppInstrumentor().instrument(state=sys.argv[1])
OcppInstrumentor().uninstrument()
"""

FROZEN = """
import gc
from wattspan.instrumentation import OcppInstrumentor

loaded = len(gc.get_objects())
OcppInstrumentor().instrument()
frozen = gc.get_freeze_count()
assert frozen > 0.9 * loaded, (frozen, loaded)
kept = [[] for _ in range(1_000)]
OcppInstrumentor().uninstrument()
OcppInstrumentor().instrument()
assert gc.get_freeze_count() <= frozen
"""

ONLY_16 = """
import sys
import ocpp.v16
from wattspan.instrumentation import OcppInstrumentor

OcppInstrumentor().instrument()
assert not {"ocpp.v201", "ocpp.v21"} & sys.modules.keys()
"""


@pytest.mark.parametrize(
    "program",
    [
        pytest.param(WITHOUT_SERVER, id="without the server's dependencies"),
        pytest.param(FROZEN, id="what is loaded is frozen, once"),
        pytest.param(ONLY_16, id="without data classes of versions that it does not speak"),
    ],
)
def test_a_program_is_instrumented(program, tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "state.db")], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
