"""From a file to what one node is to do.

Owns the ways in: `read` (a file with every mistake that shows without a host), `examine` (the same for one host),
`load` and `resolve`, which raise what those find. It also owns the question which node this host is.

Two steps, because they are asked at different times: a file is judged for all its nodes wherever it is read, on a
desk as in CI; the host is looked at where the agent will run. `vrrpd check` shows what both find at once.

Must not do: read facts of the host by itself; the caller hands them in, so that any host can be asked about.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import TypeAlias

from vrrpd.config.file import File, Report, shape
from vrrpd.config.groups import groups
from vrrpd.config.kinds import Kinds
from vrrpd.config.lint_file import lint_file
from vrrpd.config.loader import read_file
from vrrpd.config.members import Builder, Place
from vrrpd.config.routers import routers
from vrrpd.config.spec import AgentSpec, CheckSpec, HostFacts, MoverSpec, RouterSpec
from vrrpd.config.tree import Path
from vrrpd.config.words import did_you_mean, listed, quote
from vrrpd.errors import ConfigError, Mistake
from vrrpd.proto.settings import Address

Inspect: TypeAlias = Callable[[CheckSpec | MoverSpec], str | None]
"""A check or a mover to what this host lacks for it, `what is wrong; what would be right`; None where all is there."""


@dataclass(frozen=True, slots=True)
class Examination:
    """What a file means on one host.

    Attributes:
        spec: the wanted state, None where there are mistakes.
        mistakes: those of the file and those that show on this host.
        warnings: the same for what is odd.
        elsewhere: this host is none of the nodes, and nobody said that it was; there is no spec, which is
            a mistake for an agent and none for a desk.
    """

    spec: AgentSpec | None
    mistakes: tuple[Mistake, ...]
    warnings: tuple[Mistake, ...]
    elsewhere: Mistake | None = None


def read(path: str, kinds: Kinds) -> File:
    """Read a file and judge it for every node, without a host.

    Args:
        path: of the file.
        kinds: the kinds of checks and movers that it may use.

    Returns:
        The file with its mistakes; a file that cannot be read or parsed is one with a mistake, too.
    """
    file = shape(path, read_file(path), kinds)
    report = Report(file)
    lint_file(report)
    _build_for_every_node(report)
    mistakes = sorted({*file.mistakes, *report.mistakes})
    return replace(file, mistakes=tuple(mistakes), warnings=tuple(sorted(report.warnings)))


def load(path: str, kinds: Kinds) -> File:
    """Read a file that must be right.

    Args:
        path: of the file.
        kinds: the kinds of checks and movers that it may use.

    Raises:
        ConfigError: with all mistakes that show without a host.
    """
    file = read(path, kinds)
    if file.mistakes:
        raise ConfigError(path, list(file.mistakes))
    return file


def examine(file: File, facts: HostFacts, node: str | None = None, inspect: Inspect | None = None) -> Examination:
    """Judge a file for this host, and build what the host's node is to do.

    Args:
        file: as `read` gave it, with or without mistakes.
        facts: what the host looks like.
        node: the name that was given by hand (`--node`); stands above `node` in the file.
        inspect: looks at this host for what a check or a mover needs; None to leave that out.
    """
    report = Report(file, set(file.mistakes), set(file.warnings))
    name = node if node is not None else file.keys.node
    elsewhere: Mistake | None = None
    if name is None:
        name, elsewhere = _find_node(report, facts)
    elif file.keys.nodes and name not in file.keys.nodes:
        if node is not None and file.sound("nodes"):  # that of the file has been judged with the file
            right = did_you_mean(name, file.keys.nodes, f"the nodes are {listed(file.keys.nodes)}")
            report.wrong(("nodes",), f"{quote(name)} (--node) is not one of the nodes", right)
        name = None
    spec = None
    if name is not None:
        by_name = node is not None or file.keys.node is not None
        spec = _build(report, Place(name, facts, by_name))
        if inspect is not None:
            _inspect(report, spec, inspect)
    mistakes, warnings = tuple(sorted(report.mistakes)), tuple(sorted(report.warnings))
    if spec is None or mistakes:
        return Examination(None, mistakes, warnings, elsewhere)
    assert all(router.members for router in spec.routers), "a router was left out, and nobody said why"
    return Examination(replace(spec, warnings=warnings), (), warnings)


def resolve(file: File, facts: HostFacts, node: str | None = None, inspect: Inspect | None = None) -> AgentSpec:
    """Build what this host's node is to do.

    Args:
        file: a file that `load` found right.
        facts: what the host looks like.
        node: the name that was given by hand (`--node`); stands above `node` in the file. With a name, an own
            address that the host does not have yet is no mistake (see `MemberSpec.interface`).
        inspect: as in `examine`.

    Raises:
        ConfigError: where this host is none of the nodes, or cannot be the node it is.
    """
    found = examine(file, facts, node, inspect)
    if found.spec is None:
        raise ConfigError(file.path, [*found.mistakes, *([found.elsewhere] if found.elsewhere else [])])
    return found.spec


def _build_for_every_node(report: Report) -> None:
    """Build for each node without its host, for the mistakes that this shows."""
    file = report.file
    for node in [*file.keys.nodes] or [""]:
        _build(report, Place(node, None, by_name=True))


def _build(report: Report, place: Place) -> AgentSpec:
    """The wanted state for one node; worth something only where nothing was reported."""
    file = report.file
    builder = Builder(report, place)
    specs = tuple(RouterSpec(group.name, builder.members(group), builder.movers(group)) for group in groups(file))
    tracked = {name for spec in specs for name in spec.checks}
    keys = file.keys
    return AgentSpec(
        node=place.node,
        path=file.path,
        checks=tuple(_check_specs(file, tracked)),
        routers=specs,
        control=keys.control,
        log_level=keys.log.level,
        log_format=keys.log.format,
        warnings=(),
    )


def _inspect(report: Report, spec: AgentSpec, inspect: Inspect) -> None:
    """Ask whether this host has what its checks and movers need."""
    paths = {(router.name, mover.name): mover.path for router in routers(report.file) for mover in router.movers}
    asked: list[tuple[Path, CheckSpec | MoverSpec]] = [
        *((("checks", check.name, check.kind), check) for check in spec.checks),
        *((paths[mover.router, mover.name], mover) for mover in spec.movers),
    ]
    for path, each in asked:
        found = inspect(each)
        if found is not None:
            what, _, right = found.partition("; ")
            report.wrong(path, what, right or "correct it here, or this host")


def _check_specs(file: File, tracked: set[str]) -> Iterable[CheckSpec]:
    for name, keys in file.keys.checks.items():
        for kind, options in file.options.get(name, {}).items():
            if name in tracked:
                yield CheckSpec(
                    name=name,
                    kind=kind,
                    options=options,
                    interval=keys.interval,
                    timeout=keys.timeout if keys.timeout is not None else keys.interval,
                    rise=keys.rise,
                    fall=keys.fall,
                    start_up=keys.start == "up",
                )


def _find_node(report: Report, facts: HostFacts) -> tuple[str | None, Mistake | None]:
    """Which node this host is, by its own addresses.

    Returns:
        The name ("" in a file without nodes), None where it cannot be told; and what an agent would have to say where
        this host is none of them.
    """
    file = report.file
    here = {held.address.ip for held in facts.addresses}
    if not file.keys.nodes:
        bound = [bind for router in routers(file) if not router.nodes for bind in router.own_addresses("")]
        if bound and not here.intersection(bound):
            return None, _none_here(report, "'bind'", bound)
        return "", None
    if not file.sound("nodes"):
        return None, None
    own: dict[str, set[Address]] = {name: set(addresses) for name, addresses in file.keys.nodes.items()}
    for router in routers(file):
        for name, addresses in router.nodes.items():
            own[name].update(addresses)
    found = [name for name, addresses in own.items() if here & addresses]
    if len(found) > 1:
        report.wrong(("nodes",), f"this host has addresses of {listed(found)}", "say with --node or 'node' which it is")
        return None, None
    if not found:
        everywhere = [address for addresses in file.keys.nodes.values() for address in addresses]
        return None, _none_here(report, "nodes", everywhere)
    return found[0], None


def _none_here(report: Report, what: str, addresses: Iterable[Address]) -> Mistake:
    """What an agent says where it is not at home."""
    shown = [str(address) for address in addresses]
    shown = shown if len(shown) <= 6 else [*shown[:5], f"{len(shown) - 5} more"]
    finding = Report(report.file)
    finding.wrong(
        ("nodes",) if report.file.keys.nodes else ("routers",),
        f"none of the addresses of {what} is on this host ({listed(shown)})",
        "correct them, or name the node (--node, 'node') to wait for its address",
        key=True,
    )
    return next(iter(finding.mistakes))
