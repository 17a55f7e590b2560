"""Every example is a complete, right file, and says in its comments what it does."""

from functools import partial
from ipaddress import IPv4Interface, IPv6Interface, ip_interface
from pathlib import Path

import pytest

from tests.movers.bare import Bare
from vrrpd.checks.base import Host
from vrrpd.checks.registry import KINDS, build
from vrrpd.config import AgentSpec, HostAddress, HostFacts, load, resolve
from vrrpd.config.routers import routers
from vrrpd.config.simulate import failures
from vrrpd.kinds import kinds, mover
from vrrpd.movers.registry import MODULES

_FOLDER = Path(__file__).parents[1] / "examples"
_EXAMPLES = sorted(_FOLDER.glob("*.yaml"))
_INTERFACES = {"10.0.0.": "eth0", "192.0.2.": "eth0", "fd00::": "eth0", "10.1.0.": "eth1", "fd00:1::": "eth1"}


class _Machine(Bare):
    """What a check of an example would use, if it were asked to do something."""

    def carrier(self, interface: str) -> str | None:
        raise NotImplementedError(interface)

    async def changed(self) -> None:
        raise NotImplementedError


def _host(*addresses: str) -> HostFacts:
    """A host with interfaces as the examples call them, and some addresses."""
    held: list[IPv4Interface | IPv6Interface] = [ip_interface(address) for address in addresses]
    found = [
        HostAddress(next(name for start, name in _INTERFACES.items() if str(address).startswith(start)), address)
        for address in held
    ]
    return HostFacts(frozenset({"lo", "eth0", "eth1", "ens7"}), tuple(found))


def _resolved(name: str, *addresses: str) -> AgentSpec:
    return resolve(load(str(_FOLDER / name), kinds()), _host(*addresses))


@pytest.mark.parametrize("path", _EXAMPLES, ids=lambda path: path.stem)
def test_an_example_is_right_and_odd_in_nothing(path: Path) -> None:
    file = load(str(path), kinds())
    assert file.warnings == ()
    assert file.keys.routers


@pytest.mark.parametrize("path", _EXAMPLES, ids=lambda path: path.stem)
def test_an_example_resolves_on_each_of_its_nodes_and_its_checks_and_movers_can_be_built(path: Path) -> None:
    file = load(str(path), kinds())
    for node, own in [*file.keys.nodes.items()] or [(None, ())]:
        own_networks = [router.nodes.get(node or "", ()) for router in routers(file) if router.keys.nodes]
        more = [address for addresses in own_networks for address in addresses]
        lengths = {4: 24, 6: 64}
        spec = resolve(file, _host(*{f"{address}/{lengths[address.version]}" for address in (*own, *more)}), node)
        assert all(router.members for router in spec.routers)
        for check in spec.checks:
            build(check.kind, check.options, Host(_Machine(), _Machine()))
        for each in spec.movers:
            bare = Bare()
            use = partial(mover, programs=bare, routes=bare, port=bare.port, watch=bare, look=bare.look)
            use(each, spec.node, lambda: None)


def test_the_smallest_example_has_five_lines() -> None:
    assert len((_FOLDER / "minimal.yaml").read_text().splitlines()) == 5


def test_the_fast_example_keeps_its_promise_about_priorities() -> None:
    for number, priority in (("11", 250), ("12", 145), ("13", 40)):
        [member] = _resolved("fast-10ms.yaml", f"10.0.0.{number}/24").routers[0].members
        assert member.settings.priority == priority


def test_the_two_files_of_the_story_without_multicast_name_each_other() -> None:
    one, two = (
        _resolved(f"vps-unicast-node{number}.yaml", f"192.0.2.1{number}/24").routers[0].members[0] for number in (1, 2)
    )
    assert one.settings.peers == (two.source,)
    assert two.settings.peers == (one.source,)
    assert one.settings.priority > two.settings.priority


def test_the_owner_holds_its_own_address_and_sends_to_the_group() -> None:
    [member] = _resolved("address-owner.yaml", "10.0.0.1/24").routers[0].members
    assert member.settings.priority == 255
    assert not member.settings.unicast


def test_the_old_version_counts_in_whole_seconds_on_the_wire() -> None:
    [member] = _resolved("lan-multicast-beside-keepalived.yaml", "10.0.0.11/24").routers[0].members
    assert member.settings.version == 2
    assert not member.settings.unicast


def test_one_example_shows_every_kind_of_check() -> None:
    file = load(str(_FOLDER / "every-check.yaml"), kinds())
    assert {kind for options in file.options.values() for kind in options} == set(KINDS)


def test_every_kind_of_mover_of_a_cloud_has_an_example() -> None:
    shown = {kind for path in _EXAMPLES for kind in MODULES if f"{kind}:" in path.read_text()}
    assert shown >= {*MODULES} - {"http", "ec2-ipv6", "route"}


@pytest.mark.parametrize("name", ["cloud-address-only.yaml", "cloud-ec2-elastic-ip.yaml", "cloud-azure-probe.yaml"])
def test_where_nothing_but_a_cloud_s_address_moves_nothing_is_on_an_interface(name: str) -> None:
    [member] = _resolved(name, "10.0.0.12/24").routers[0].members
    assert member.addresses == ()


def test_the_address_outside_the_network_is_on_the_node_that_the_route_leads_to() -> None:
    spec = _resolved("cloud-ec2-route.yaml", "10.1.0.11/24")
    [member] = spec.routers[0].members
    assert [str(each.address) for each in member.addresses] == ["10.9.9.9/32"]
    assert member.settings.max_hops == 1
    assert spec.movers[0].shared == (ip_interface("10.9.9.9").ip,)


def test_what_the_example_of_weights_says_about_them_is_what_they_do() -> None:
    file = load(str(_FOLDER / "weights.yaml"), kinds())
    rows = {(row.check, row.node): row for row in failures(file, lambda _kind, _options: None)}
    assert [rows[check, "lb1"].after for check in ("proxy", "servers", "uplink", None)] == ["lb2"] * 4
    [member] = _resolved("weights.yaml", "10.0.0.11/24").routers[0].members
    assert {track.check: track.weight for track in member.track} == {
        "proxy": None, "servers": -55, "uplink": -25, "wish": 0,
    }  # fmt: skip


def test_the_two_networks_of_the_group_move_together() -> None:
    [router] = _resolved("group-two-networks.yaml", "10.0.0.11/24", "10.1.0.11/24").routers
    assert router.name == "edge"
    assert [(member.router, member.interface) for member in router.members] == [("outside", "eth0"), ("inside", "eth1")]
