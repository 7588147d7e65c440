"""docs/install.md, the systemd part, followed step by step below a folder instead of on the machine itself.

What changes the machine (packages, pip, systemctl) is left out or recorded; users, folders, modes, settings, keys and
the unit are real. As root the owners are real too: `useradd` works on the folder's own /etc/passwd, and names become
the numbers there.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest

from stack.process import free_ports, running

pytestmark = pytest.mark.timeout(300)

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "install.md").read_text(encoding="utf-8")
UNIT = ROOT / "deploy" / "systemd" / "wattspan.service"
PROXY_UNIT = UNIT.with_name("wattspan-proxy.service")
PROXY_PAGE = (ROOT / "docs" / "proxy.md").read_text(encoding="utf-8")
STEPS = ("user and folders", "settings", "keys", "first admin", "service")
IS_ROOT = os.geteuid() == 0
MAX_EXPOSURE = 2.0
"""As `systemd-analyze security` rates a unit: 0 is best, 10 worst."""

PRELUDE = """\
set -euo pipefail
by_number() {
    [ "$IS_ROOT" = 1 ] || return 0
    sed -E "s/root/0/g; s/wattspan/$(sed -n 's/^wattspan:x:\\([0-9]*\\):.*/\\1/p' "$PREFIX/etc/passwd")/g" <<< "$1"
}
useradd() {
    set -- "${@//$PREFIX/}"  # an account has the machine's own paths
    if [ "$IS_ROOT" = 1 ]; then command useradd --prefix "$PREFIX" "$@"; return; fi
    echo "useradd $*" >> "$PREFIX/recorded"
}
install() {
    local part words=()
    for part in "$@"; do
        case $part in
            --owner=*|--group=*) [ "$IS_ROOT" = 0 ] || words+=("${part%%=*}=$(by_number "${part#*=}")") ;;
            *) words+=("$part") ;;
        esac
    done
    command install "${words[@]}"
}
chown() { [ "$IS_ROOT" = 0 ] || command chown "$(by_number "$1")" "${@:2}"; }
runuser() { shift 3; "$@"; }
systemctl() { echo "systemctl $*" >> "$PREFIX/recorded"; }
systemd-analyze() { command systemd-analyze "$1" --root="$PREFIX" "$(basename "$2")"; }
"""


class Machine(NamedTuple):
    """A folder that stands for a machine's root."""

    root: Path

    def at(self, path: str) -> Path:
        """Where a path of the document is."""
        return self.root / path.lstrip("/")

    def run(self, script: str) -> str:
        """Run a block with its paths below the folder; return what it prints."""
        script = re.sub(r"(?<![\w.$])/(etc|var|opt)/", rf"{self.root}/\1/", script)
        if "wattspan.service" in script:  # the unit keeps the machine's own paths: it is verified below the folder
            before, text, after = re.split(r"(<<'END'\n.*?^END$)", script, maxsplit=1, flags=re.DOTALL | re.MULTILINE)
            script = before + text.replace(f"{self.root}/", "/") + after
        done = subprocess.run(
            ["/bin/bash", "-c", f"{PRELUDE}\n{script}"],
            env=os.environ
            | {"PREFIX": str(self.root), "IS_ROOT": str(int(IS_ROOT)), "ADMIN_PASSWORD": "correct horse battery"},
            cwd=self.root,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert done.returncode == 0, f"{script}\n{done.stdout}{done.stderr}"
        return done.stdout + done.stderr

    def owner(self, path: str) -> str:
        """`user:group` of a path, by the folder's own names."""
        names = {0: "root", self.user_id(): "wattspan"}
        found = self.at(path).stat()
        return f"{names[found.st_uid]}:{names[found.st_gid]}"

    def user_id(self) -> int:
        """The number of the user `wattspan`, which is its group's as well."""
        (line,) = (each for each in self.at("/etc/passwd").read_text().splitlines() if each.startswith("wattspan:"))
        return int(line.split(":")[2])


def block(name: str) -> str:
    """The block below `<!-- name -->`."""
    (found,) = re.findall(rf"^<!-- {name} -->\n```sh\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    return str(found)


@pytest.fixture(scope="module")
def machine() -> Iterator[Machine]:
    """A machine on which all steps were followed."""
    with tempfile.TemporaryDirectory(prefix="wattspan-install-") as folder:
        here = Machine(Path(folder))
        here.root.chmod(0o755)
        prepare(here)
        for step in STEPS:
            here.run(block(step))
        yield here


def prepare(machine: Machine) -> None:
    """What a fresh Debian has, and the program as step 3 would leave it."""
    for path in ("etc/systemd/system", "var/lib", "var/backups", "opt/wattspan/bin", "usr/lib/systemd"):
        (machine.root / path).mkdir(parents=True)
    shutil.copytree("/lib/systemd/system", machine.root / "usr/lib/systemd/system", symlinks=True)
    (machine.root / "lib").symlink_to("usr/lib")
    files = {
        "passwd": "root:x:0:0:root:/root:/bin/bash\n",
        "group": "root:x:0:\n",
        "shadow": "root:*:20000:0:99999:7:::\n",
        "gshadow": "root:*::\n",
    }
    for name, text in files.items():
        (machine.root / "etc" / name).write_text(text)
    program = machine.at("/opt/wattspan/bin/wattspan")
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m wattspan "$@"\n')
    program.chmod(0o755)


def documented_paths() -> list[tuple[str, str, str]]:
    """(path, owner, mode) of the table."""
    return re.findall(r"^\| `(/[\w/.]+)` \| (\w+:\w+) \| (\d+) \|", PAGE, re.MULTILINE)


def test_the_steps_leave_what_the_table_says(machine: Machine) -> None:
    rows = [row for row in documented_paths() if row[0] != "/opt/wattspan"]
    assert len(rows) > 5
    for path, owner, mode in rows:
        assert stat.S_IMODE(machine.at(path).stat().st_mode) == int(mode, 8), path
        assert not IS_ROOT or machine.owner(path) == owner, path


def test_the_user_has_no_shell_and_no_password(machine: Machine) -> None:
    if not IS_ROOT:
        assert "--shell /usr/sbin/nologin wattspan" in machine.at("/recorded").read_text()
        return
    assert re.search(
        r"^wattspan:x:\d+:\d+::/var/lib/wattspan:/usr/sbin/nologin$", machine.at("/etc/passwd").read_text(), re.M
    )


def test_the_server_s_user_reads_settings_and_keys_and_nobody_else_does(machine: Machine) -> None:
    for path in ("/etc/wattspan/wattspan.toml", "/etc/wattspan/key.pem"):
        assert not machine.at(path).stat().st_mode & stat.S_IRWXO
        if IS_ROOT:
            assert readable(machine, path, machine.user_id())
            assert not readable(machine, path, machine.user_id() + 1)


def readable(machine: Machine, path: str, user: int) -> bool:
    command = ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups", "test", "-r", str(machine.at(path))]
    return subprocess.run(command, check=False).returncode == 0


def test_the_unit_of_the_page_is_the_one_in_the_repository_and_systemd_verifies_it(machine: Machine) -> None:
    installed = machine.at("/etc/systemd/system/wattspan.service")
    assert installed.read_text() == UNIT.read_text()
    done = subprocess.run(
        ["systemd-analyze", "verify", f"--root={machine.root}", installed.name],
        check=False,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
    assert machine.at("/recorded").read_text().splitlines()[-2:] == [
        "systemctl daemon-reload",
        "systemctl enable --now wattspan",
    ]


@pytest.mark.parametrize("name", ["wattspan@.service", "wattspan-proxy.service"])
def test_the_other_units_are_verified_and_hardened_as_the_first_one(machine: Machine, name: str) -> None:
    unit = UNIT.with_name(name)
    machine.at(f"/etc/systemd/system/{name}").write_text(unit.read_text())
    instance = name.replace("@.", "@a.")
    done = subprocess.run(
        ["systemd-analyze", "verify", f"--root={machine.root}", instance], check=False, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
    hardening = "# It needs its state directory"
    assert unit.read_text().partition(hardening)[2] == UNIT.read_text().partition(hardening)[2]


def test_the_unit_of_the_proxy_is_installed_as_its_page_says_and_systemd_verifies_it(machine: Machine) -> None:
    (steps,) = re.findall(r"^```sh\n(install [^`]*wattspan-proxy[^`]*)^```$", PROXY_PAGE, re.MULTILINE)
    assert "deploy/systemd/wattspan-proxy.service" in steps
    machine.run(steps.replace("deploy/systemd", str(PROXY_UNIT.parent)))
    done = subprocess.run(
        ["systemd-analyze", "verify", f"--root={machine.root}", PROXY_UNIT.name],
        check=False,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
    assert machine.at(f"/etc/systemd/system/{PROXY_UNIT.name}").read_text() == PROXY_UNIT.read_text()
    assert machine.at("/recorded").read_text().splitlines()[-1] == "systemctl enable --now wattspan-proxy"


def test_a_fault_in_the_unit_is_found(machine: Machine) -> None:
    broken = machine.at("/etc/systemd/system/broken.service")
    broken.write_text(UNIT.read_text().replace("/opt/wattspan/bin/wattspan", "/opt/nowhere/wattspan"))
    done = subprocess.run(
        ["systemd-analyze", "verify", f"--root={machine.root}", broken.name], check=False, capture_output=True
    )
    broken.unlink()
    assert done.returncode != 0


@pytest.mark.parametrize("unit", [UNIT, PROXY_UNIT], ids=lambda unit: str(unit.name))
def test_the_units_are_hardened(machine: Machine, unit: Path) -> None:
    shutil.copy(unit, machine.at("/etc/systemd/system"))
    report = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", f"--root={machine.root}", "--no-pager", unit.name],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    exposure = re.search(rf"Overall exposure level for {unit.name}: ([\d.]+)", report)
    assert exposure is not None
    assert float(exposure[1]) <= MAX_EXPOSURE


async def test_the_server_starts_as_the_unit_starts_it_and_the_page_s_requests_succeed(machine: Machine) -> None:
    command = re.search(r"^ExecStart=(.*)$", UNIT.read_text(), re.MULTILINE)
    assert command is not None
    program, *words = command[1].split()
    names = ("WATTSPAN_PORT", "WATTSPAN_TLS_PORT", "WATTSPAN_METRICS_PORT", "WATTSPAN_API_PORT")
    ports = dict(zip(names, map(str, free_ports(len(names))), strict=True))
    given = ports | {"WATTSPAN_HOST": "127.0.0.1", "WATTSPAN_CONFIG": str(machine.at("/etc/wattspan/wattspan.toml"))}
    async with (
        running("installed", [str(machine.at(program)), *words], folder=machine.root, environment=given) as server,
        httpx.AsyncClient(trust_env=False) as http,
    ):

        async def ready() -> bool:
            try:
                return (await http.get(f"http://127.0.0.1:{ports['WATTSPAN_METRICS_PORT']}/readyz")).is_success
            except httpx.TransportError:
                return False

        await server.until(ready, "ready", within_s=60)
        told = machine.run(block("works").replace("127.0.0.1:9090", f"127.0.0.1:{ports['WATTSPAN_METRICS_PORT']}"))
        assert "ocpp_central_up 1" in told
