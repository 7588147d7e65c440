"""The observer and the instrumentor need the core package alone, without the server's dependencies."""

import subprocess
import sys

from wattspan._extras import SERVER_MODULES

PROGRAM = """
import sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {modules}:
            raise ModuleNotFoundError(name, name=name)

sys.meta_path.insert(0, Missing())
from wattspan.instrumentation import OcppInstrumentor

OcppInstrumentor().instrument(state=sys.argv[1])
OcppInstrumentor().uninstrument()
"""


def test_a_program_is_instrumented_without_the_servers_dependencies(tmp_path):
    program = PROGRAM.format(modules=sorted(SERVER_MODULES))
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "state.db")], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
