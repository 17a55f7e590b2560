"""A program that moves a word in a file."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from ipaddress import IPv4Address

import trio

from tests.movers.bare import bare_host
from tests.movers.stage import Desk, Fault, Stage
from vrrpd.config.spec import PeerSpec
from vrrpd.errands import CannotStartError, Finished
from vrrpd.movers.base import Who
from vrrpd.movers.registry import KINDS

SCRIPT = """
cd {folder}
echo $1 >> asked
test -e fault && {{ echo '{{"error": "'$(cat fault)'", "detail": "it says no"}}'; exit 1; }}
test -e silent && exec sleep 60
case $1 in
    acquire) echo me > holder ;;
    holder) test -e holder && echo '{{"holder": "'$(cat holder)'"}}' || echo '{{"holder": null}}' ;;
    release) test "$(cat holder)" = me && rm holder || true ;;
esac
"""


class Direct:
    """Starts programs itself, with the rights of the tests."""

    async def run(
        self, argv: Sequence[str], *, user: str | None = None, environment: Mapping[str, str] | None = None
    ) -> Finished:
        done = await trio.run_process(argv, capture_stdout=True, check=False, env=environment or {})
        return Finished(done.returncode, done.stdout)

    async def open(self, path: str) -> int:
        raise CannotStartError(path)


@asynccontextmanager
async def program(desk: Desk) -> AsyncGenerator[Stage]:
    def put(name: str, text: str) -> Callable[[], object]:
        return lambda: (desk.folder / name).write_text(text)

    def asked() -> list[str]:
        file = desk.folder / "asked"
        return file.read_text().split() if file.exists() else []

    kind = KINDS["exec"]
    options = kind.options.validate_python({"command": ["/bin/sh", "-c", SCRIPT.format(folder=desk.folder), "it"]})
    peers = (PeerSpec("lb2", (IPv4Address("10.0.0.12"),), None),)
    own = (IPv4Address("10.0.0.11"),)
    host = bare_host(addresses=own, peers=peers, programs=Direct())
    faults = {fault: put("fault", str(fault)) for fault in Fault if fault not in {Fault.CUT, Fault.SILENT}}
    yield Stage(
        kind.build(options, host),
        asked=asked,
        changes=lambda: [verb for verb in asked() if verb != "holder"],
        give={
            Who.PEER: put("holder", "lb2"),
            Who.FOREIGN: put("holder", "lb9"),
            Who.NOBODY: lambda: (desk.folder / "holder").unlink(missing_ok=True),
        },
        faults={**faults, Fault.CUT: put("fault", "unknown"), Fault.SILENT: put("silent", "")},
    )


CELLS = {"exec": program}
