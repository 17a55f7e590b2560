"""From a right file and a host to what the agent is to do there."""

from collections.abc import Callable
from ipaddress import IPv6Interface, ip_address, ip_interface
from pathlib import Path

import pytest

from vrrpd.config import (
    AgentSpec,
    Announce,
    CheckSpec,
    File,
    HostAddress,
    HostFacts,
    Kinds,
    MemberSpec,
    MoverSpec,
    SharedAddress,
    TrackSpec,
    examine,
    load,
    resolve,
)
from vrrpd.errors import ConfigError
from vrrpd.proto.settings import Checksum, Family, OnAllFailed, Settings
from vrrpd.proto.timers import MS, SECOND

FileOf = Callable[[str], File]

PRODUCT = """\
nodes:                         # order = preference: the first healthy one is Active
  lb1: 10.0.0.11
  lb2: 10.0.0.12
  lb3: [10.0.0.13, "fd00::13"] # a list where a node has both families

checks:
  haproxy:
    http: {url: "http://127.0.0.1:8404/healthz"}
    interval: 500ms
    timeout: 300ms
    fall: 2
    rise: 2

routers:
  web:
    vrid: 51
    addresses: [10.0.0.100/24]
    advert_interval: 200ms
    track: [haproxy]
"""
NODES = 'nodes: {lb1: [10.0.0.11, "fd00::11"], lb2: [10.0.0.12, "fd00::12"]}\n'
PAIR = "nodes: {lb1: 10.0.0.11, lb2: 10.0.0.12}\n"


def host(*held: str, more: tuple[str, ...] = ()) -> HostFacts:
    """A host with addresses written as `eth0=10.0.0.11/24`."""
    pairs = [item.split("=") for item in held]
    addresses = tuple(HostAddress(interface, ip_interface(address)) for interface, address in pairs)
    return HostFacts(frozenset({"lo", *more, *(interface for interface, _ in pairs)}), addresses)


LB1 = host("lo=127.0.0.1/8", "eth0=10.0.0.11/24", "eth0=fd00::11/64", "eth0=fe80::1/64")


def only(spec: AgentSpec) -> MemberSpec:
    [router] = spec.routers
    [member] = router.members
    return member


def refused(file: File, facts: HostFacts, node: str | None = None) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        resolve(file, facts, node)
    return [f"{mistake.line}:{mistake.column}: {mistake.text}" for mistake in caught.value.mistakes]


def warned(spec: AgentSpec) -> list[str]:
    return [f"{warning.line}:{warning.column}: {warning.text}" for warning in spec.warnings]


def test_the_complete_file_of_the_manual_becomes_one_virtual_router(file_of: FileOf) -> None:
    file = file_of(PRODUCT)
    spec = resolve(file, LB1)
    lb1, lb2, lb3 = (ip_address(f"10.0.0.1{number}") for number in (1, 2, 3))
    assert spec.node == "lb1"
    assert spec.path == file.path
    assert (spec.control, spec.log_level, spec.log_format, spec.warnings) == (None, None, None, ())
    [check] = spec.checks
    assert check == CheckSpec("haproxy", "http", check.options, 500 * MS, 300 * MS, 2, 2, start_up=False)
    assert check.options.url == "http://127.0.0.1:8404/healthz"
    assert spec.routers[0].name == "web"
    assert spec.routers[0].checks == {"haproxy"}
    assert only(spec) == MemberSpec(
        router="web",
        interface="eth0",
        settings=Settings(
            vrid=51,
            family=Family.IPV4,
            version=3,
            priority=250,
            interval=200 * MS,
            phase=150 * MS,
            addresses=(ip_address("10.0.0.100"),),
            unicast=True,
            peers=(lb2, lb3),
            max_hops=0,
            checksum=Checksum.AUTO,
            preempt=True,
            preempt_delay=0,
            hear_first=30 * SECOND,
            on_all_failed=OnAllFailed.KEEP,
            down_adverts=3,
            highest_other=240,
        ),
        source=lb1,
        addresses=(SharedAddress(ip_interface("10.0.0.100/24"), "", None, 0, advertise=True),),
        announce=Announce((0, 50 * MS, 100 * MS, 300 * MS), 60 * SECOND),
        names={lb1: "lb1", lb2: "lb2", lb3: "lb3"},
        track=(TrackSpec("haproxy"),),
        neighbours=(lb2, lb3),
        home=lb1,
        lease=3 * SECOND,
    )


def test_a_right_file_can_be_loaded(tmp_path: Path, kinds: Kinds) -> None:
    path = tmp_path / "vrrpd.yaml"
    path.write_text(PRODUCT)
    assert resolve(load(str(path), kinds), LB1).routers[0].name == "web"


def test_a_named_node_in_a_file_without_nodes_still_has_its_routers(file_of: FileOf) -> None:
    file = file_of("node: me\nrouters:\n  web: {vrid: 51, interface: eth0, priority: 7, addresses: [10.0.0.100]}\n")
    spec = resolve(file, LB1)
    assert spec.node == "me"
    assert (only(spec).settings.priority, only(spec).settings.highest_other) == (7, None)


def test_the_same_file_resolves_to_equal_states_so_that_a_reload_sees_no_change(file_of: FileOf) -> None:
    assert resolve(file_of(PRODUCT), LB1) == resolve(file_of(PRODUCT), LB1)
    changed = resolve(file_of(PRODUCT.replace("10.0.0.100/24", "10.0.0.101/24")), LB1)
    assert changed.routers != resolve(file_of(PRODUCT), LB1).routers
    assert changed.checks == resolve(file_of(PRODUCT), LB1).checks


def test_each_node_finds_its_own_priority_and_peers_in_the_same_file(file_of: FileOf) -> None:
    member = only(resolve(file_of(PRODUCT), host("ens3=10.0.0.13/24")))
    assert member.interface == "ens3"
    assert member.source == ip_address("10.0.0.13")
    assert member.settings.priority == 230
    assert member.settings.highest_other == 250
    assert member.settings.peers == (ip_address("10.0.0.11"), ip_address("10.0.0.12"))


def test_both_families_make_two_virtual_routers_with_one_vrid(file_of: FileOf) -> None:
    file = file_of(NODES + 'routers:\n  web: {vrid: 51, addresses: ["fd00::100/64", auto, 10.0.0.100]}\n')
    [router] = resolve(file, LB1).routers
    v4, v6 = router.members
    assert (v4.settings.family, v6.settings.family) == (Family.IPV4, Family.IPV6)
    assert v4.settings.vrid == v6.settings.vrid == 51
    assert v4.addresses[0].address == ip_interface("10.0.0.100/32")
    assert v6.source == ip_address("fd00::11")
    assert v6.settings.peers == (ip_address("fd00::12"),)
    assert v6.settings.addresses == (ip_address("fd00::100"), ip_address("fe80::200:5eff:fe00:233"))
    assert [shared.scope for shared in v6.addresses] == [0, 253]
    assert v6.addresses[1].address == IPv6Interface("fe80::200:5eff:fe00:233/128")


def test_multicast_takes_names_and_priorities_from_nodes_and_no_source(file_of: FileOf) -> None:
    file = file_of(
        NODES + 'routers:\n  web: {vrid: 51, transport: multicast, addresses: [10.0.0.100, auto, "fd00::100"]}\n'
    )
    v4, v6 = resolve(file, LB1).routers[0].members
    assert (v4.source, v6.source, v4.settings.peers, v4.settings.unicast) == (None, None, (), False)
    assert v4.names == {ip_address("10.0.0.11"): "lb1", ip_address("10.0.0.12"): "lb2"}
    assert v6.names == {}, "nodes give no link-local address, so nobody can be called unlisted"
    assert v6.interface == "eth0"


def test_multicast_over_ipv6_knows_nodes_by_their_link_local_addresses(file_of: FileOf) -> None:
    file = file_of(
        'nodes: {lb1: "fe80::1", lb2: "fe80::2"}\nrouters:\n  web: {vrid: 7, transport: multicast, addresses: [auto]}\n'
    )
    assert only(resolve(file, LB1)).names == {ip_address("fe80::1"): "lb1", ip_address("fe80::2"): "lb2"}


def test_an_ipv6_multicast_router_may_find_its_interface_by_the_node_s_ipv4_address(file_of: FileOf) -> None:
    file = file_of(PAIR + "routers:\n  web: {vrid: 7, transport: multicast, addresses: [auto]}\n")
    assert only(resolve(file, LB1)).interface == "eth0"


def test_multicast_without_nodes_needs_an_interface_and_gets_priority_100(file_of: FileOf) -> None:
    file = file_of("routers:\n  web: {vrid: 51, interface: eth0, addresses: [10.0.0.100/24]}\n")
    spec = resolve(file, LB1)
    member = only(spec)
    assert spec.node == ""
    assert (member.interface, member.names) == ("eth0", {})
    assert (member.settings.priority, member.settings.highest_other, member.settings.unicast) == (100, None, False)


def test_one_file_per_node_names_itself_and_its_peers(file_of: FileOf) -> None:
    file = file_of(
        (
            "routers:\n  web:\n    vrid: 51\n    addresses: [10.0.0.100]\n    priority: 150\n"
            "    unicast: {bind: 10.0.0.11, peers: [10.0.0.11, 10.0.0.12], max_hops: 2}\n"
        ),
    )
    member = only(resolve(file, LB1))
    assert member.interface == "eth0"
    assert member.source == ip_address("10.0.0.11")
    assert member.settings.peers == (ip_address("10.0.0.12"),), "a shared list may hold the own address"
    assert (member.settings.max_hops, member.settings.priority, member.settings.highest_other) == (2, 150, None)
    assert member.names == {}


def test_unicast_stands_above_nodes(file_of: FileOf) -> None:
    file = file_of(
        PAIR + "routers:\n  web:\n    vrid: 51\n    addresses: [10.0.0.100]\n    interface: eth0\n"
        "    unicast: {peers: [10.0.0.11, 10.0.0.12, 10.0.0.99]}\n"
    )
    member = only(resolve(file, LB1))
    assert member.source == ip_address("10.0.0.11")
    assert member.settings.peers == (ip_address("10.0.0.12"), ip_address("10.0.0.99"))
    assert member.names == {ip_address("10.0.0.11"): "lb1", ip_address("10.0.0.12"): "lb2"}


def test_unicast_may_only_say_how_far_the_nodes_are(file_of: FileOf) -> None:
    file = file_of(PAIR + "routers:\n  web: {vrid: 51, addresses: [10.0.0.100], unicast: {max_hops: 3}}\n")
    settings = only(resolve(file, LB1)).settings
    assert (settings.max_hops, settings.peers) == (3, (ip_address("10.0.0.12"),))


def test_a_router_overrides_the_defaults_and_the_defaults_the_built_in(file_of: FileOf) -> None:
    file = file_of(
        PAIR + "control: /tmp/v.sock\nlog: {level: debug, format: json}\n"
        "defaults: {preempt: no, preempt_delay: 2m, down_adverts: 5, unicast: {peers: [10.0.0.12]}, "
        "on_all_failed: release}\n"
        "routers:\n  web:\n    vrid: 51\n    addresses: [10.0.0.100]\n    preempt: yes\n    transport: multicast\n"
        "    interface: eth0\n    checksum: rfc9568\n    hear_first: off\n    announce: {every: off}\n"
    )
    spec = resolve(file, LB1)
    settings = only(spec).settings
    assert (settings.preempt, settings.preempt_delay, settings.down_adverts) == (True, 120 * SECOND, 5)
    assert (settings.checksum, settings.hear_first) == (Checksum.RFC9568, None)
    assert (settings.on_all_failed, settings.unicast) == (OnAllFailed.RELEASE, False)
    assert only(spec).announce == Announce((0, 50 * MS, 100 * MS, 300 * MS), None)
    assert (spec.control, spec.log_level, spec.log_format) == ("/tmp/v.sock", "debug", "json")


def test_announcing_can_be_off(file_of: FileOf) -> None:
    file = file_of(PAIR + "routers:\n  web: {vrid: 51, addresses: [10.0.0.100], announce: off}\n")
    assert only(resolve(file, LB1)).announce == Announce((), None)


def test_an_address_may_say_device_label_scope_and_whether_it_is_advertised(file_of: FileOf) -> None:
    file = file_of(
        PAIR + "routers:\n  web:\n    vrid: 51\n    addresses:\n      - 10.0.0.100\n"
        "      - {address: 10.9.0.1/24, device: eth1, label: 'eth1:in', scope: site, advertise: no}\n"
        "      - {address: 10.0.0.102, scope: 77}\n"
    )
    member = only(resolve(file, host("eth0=10.0.0.11/24", "eth1=10.9.0.9/24")))
    assert member.addresses[1] == SharedAddress(ip_interface("10.9.0.1/24"), "eth1", "eth1:in", 200, advertise=False)
    assert member.addresses[2].scope == 77
    assert member.settings.addresses == (ip_address("10.0.0.100"), ip_address("10.0.0.102"))


def test_a_router_may_have_other_addresses_and_interfaces_of_the_nodes(file_of: FileOf) -> None:
    file = file_of(
        PAIR + "routers:\n  inside:\n    vrid: 51\n    addresses: [10.1.0.100]\n"
        "    nodes: {lb2: 10.1.0.12, lb1: 10.1.0.11}\n    interface: {lb1: eth1, lb2: ens7}\n"
    )
    member = only(resolve(file, host("ens3=10.0.0.12/24", "ens7=10.1.0.12/24")))
    assert (member.interface, member.source) == ("ens7", ip_address("10.1.0.12"))
    assert member.settings.priority == 240, "the order stays that of the file's nodes"


def test_a_node_can_be_found_by_its_address_in_a_router_s_network_alone(file_of: FileOf) -> None:
    file = file_of(
        PAIR + "routers:\n  in: {vrid: 51, addresses: [10.1.0.100], nodes: {lb1: 10.1.0.11, lb2: 10.1.0.12}}\n"
    )
    assert resolve(file, host("eth1=10.1.0.12/24")).node == "lb2"


def test_priorities_may_be_written_for_each_node(file_of: FileOf) -> None:
    file = file_of(PAIR + "routers:\n  web: {vrid: 51, addresses: [10.0.0.12], priority: {lb2: 255, lb1: 7}}\n")
    settings = only(resolve(file, LB1)).settings
    assert (settings.priority, settings.highest_other) == (7, 255)


def test_a_check_that_starts_up_and_needs_no_timeout(file_of: FileOf) -> None:
    file = file_of(
        PAIR + "checks: {a: {tcp: 'h:1', start: up, interval: 2s}, b: {tcp: 'h:2'}}\n"
        "defaults: {track: [a, b]}\nrouters:\n  web: {vrid: 51, addresses: [10.0.0.100]}\n"
    )
    first, second = resolve(file, LB1).checks
    assert first == CheckSpec("a", "tcp", "h:1", 2 * SECOND, 2 * SECOND, 2, 2, start_up=True)
    assert second.timeout == SECOND


def test_a_host_that_is_none_of_the_nodes_is_refused_in_one_line(file_of: FileOf) -> None:
    assert refused(
        file_of(PAIR + "routers:\n  web: {vrid: 51, addresses: [10.0.0.100]}\n"), host("eth0=10.0.0.9/24")
    ) == [
        (
            "1:1: none of the addresses of nodes is on this host (10.0.0.11 and 10.0.0.12); correct them, "
            "or name the node (--node, 'node') to wait for its address"
        ),
    ]


def test_a_long_list_of_nodes_is_cut_in_that_line(file_of: FileOf) -> None:
    nodes = ", ".join(f"n{i}: 10.0.0.{i}" for i in range(1, 9))
    file = file_of(f"nodes: {{{nodes}}}\nrouters:\n  web: {{vrid: 51, addresses: [10.0.0.100]}}\n")
    [line] = refused(file, host())
    assert "(10.0.0.1, 10.0.0.2, 10.0.0.3, 10.0.0.4, 10.0.0.5 and 3 more)" in line


def test_a_host_with_addresses_of_two_nodes_must_be_told_which_it_is(file_of: FileOf) -> None:
    file = file_of(PAIR + "routers:\n  web: {vrid: 51, addresses: [10.0.0.100]}\n")
    both = host("eth0=10.0.0.11/24", "eth0=10.0.0.12/24")
    assert refused(file, both) == ["1:1: this host has addresses of lb1 and lb2; say with --node or 'node' which it is"]
    assert resolve(file, both, "lb2").node == "lb2"


def test_a_node_named_by_hand_is_one_of_the_nodes(file_of: FileOf) -> None:
    file = file_of(PAIR + "routers:\n  web: {vrid: 51, addresses: [10.0.0.100]}\n")
    assert refused(file, LB1, "lb3") == ["1:1: 'lb3' (--node) is not one of the nodes; did you mean 'lb2'?"]
    assert refused(file, LB1, "x") == ["1:1: 'x' (--node) is not one of the nodes; the nodes are lb1 and lb2"]


def test_the_command_line_stands_above_the_file_in_naming_the_node(file_of: FileOf) -> None:
    file = file_of("node: lb1\n" + PAIR + "routers:\n  web: {vrid: 51, addresses: [10.0.0.100]}\n")
    assert resolve(file, LB1).node == "lb1"
    assert resolve(file, LB1, "lb2").node == "lb2"


@pytest.mark.parametrize("by_file", [True, False])
def test_an_address_that_is_not_there_yet_is_waited_for_where_the_node_was_named(
    by_file: bool, file_of: FileOf
) -> None:
    text = PAIR + "routers:\n  web: {vrid: 51, addresses: [10.0.0.100/24]}\n"
    file = file_of(("node: lb2\n" if by_file else "") + text)
    member = only(resolve(file, host(more=("eth0",)), None if by_file else "lb2"))
    assert member.interface == "", "the interface that will hold the source"
    assert member.source == ip_address("10.0.0.12")
    assert member.addresses[0].device == ""


def test_an_address_that_is_not_there_yet_is_waited_for_on_a_named_interface(file_of: FileOf) -> None:
    file = file_of(PAIR + "routers:\n  web: {vrid: 51, addresses: [10.0.0.100], interface: eth0}\n")
    assert only(resolve(file, host(more=("eth0",)), "lb2")).interface == "eth0"


def test_an_address_of_this_node_in_another_network_must_be_there(file_of: FileOf) -> None:
    file = file_of(
        PAIR + "routers:\n  in:\n    vrid: 51\n    addresses: [10.1.0.100]\n"
        "    nodes: {lb1: 10.1.0.11, lb2: 10.1.0.12}\n"
    )
    assert refused(file, LB1) == [
        (
            "6:18: 10.1.0.11, the address of 'lb1', is not on this host; add it to an interface, correct it here, "
            "or name the node (--node, 'node') to wait for it"
        ),
    ]


def test_a_bound_address_must_be_on_the_host_unless_the_node_is_named(file_of: FileOf) -> None:
    text = (
        "routers:\n  a: {vrid: 51, addresses: [10.0.0.100], unicast: {bind: 10.0.0.11, peers: [10.0.0.12]}}\n"
        "  b: {vrid: 52, addresses: [10.0.0.101], unicast: {bind: 10.0.0.21, peers: [10.0.0.12]}}\n"
    )
    assert refused(file_of(text), LB1) == [
        (
            "3:58: 10.0.0.21, this node's own address, is not on this host; add it to an interface, correct it here, "
            "or name the node (--node, 'node') to wait for it"
        ),
    ]
    assert refused(file_of(text), host())[0].startswith("1:1: none of the addresses of 'bind' is on this host")
    assert resolve(file_of("node: me\n" + text), LB1).routers[1].members[0].interface == ""


def test_an_address_on_two_interfaces_needs_the_interface_named(file_of: FileOf) -> None:
    file = file_of(PAIR + "routers:\n  web: {vrid: 51, addresses: [10.0.0.100]}\n")
    twice = host("eth0=10.0.0.11/24", "eth1=10.0.0.11/24")
    assert refused(file, twice) == ["1:14: 10.0.0.11 is on eth0 and eth1; say with 'interface' which one is meant"]


def test_an_interface_the_host_does_not_have_is_refused(file_of: FileOf) -> None:
    file = file_of(
        PAIR + "routers:\n  web: {vrid: 51, interface: eth9, addresses: [{address: 10.0.0.100, device: eth8}]}\n"
        "  map: {vrid: 52, interface: {lb1: eth7, lb2: eth1}, addresses: [10.0.0.101]}\n"
    )
    has, wait = "(it has eth0 and lo)", "name the node (--node, 'node') to wait for it"
    assert refused(file, LB1) == [
        f"3:30: this host has no interface 'eth9' {has}; correct it, or {wait}",
        f"3:78: this host has no interface 'eth8' {has}; correct it, or {wait}",
        f"4:36: this host has no interface 'eth7' {has}; correct it, or {wait}",
    ]


def test_an_interface_that_is_not_there_yet_is_waited_for_where_the_node_is_named(file_of: FileOf) -> None:
    file = file_of(PAIR + "routers:\n  web: {vrid: 51, interface: eth9, addresses: [10.0.0.100]}\n")
    spec = resolve(file, HostFacts(frozenset(), ()), "lb1")
    assert spec.routers[0].members[0].interface == "eth9"
    assert [warning.text for warning in spec.warnings] == [
        "this host has no interface 'eth9' (it has none); correct it unless it is to come, the agent waits for it"
    ]


def test_an_own_address_on_another_interface_than_the_named_one_is_a_warning(file_of: FileOf) -> None:
    file = file_of(PAIR + "routers:\n  web: {vrid: 51, addresses: [10.0.0.100], interface: eth1}\n")
    assert warned(resolve(file, host("eth0=10.0.0.11/24", more=("eth1",)))) == [
        (
            "1:14: 10.0.0.11 is on eth0, and not on eth1, where the IPv4 router is; move the address, or write "
            "'interface: eth0'"
        ),
    ]


def test_a_prefix_that_fits_no_network_of_the_interface_is_a_warning(file_of: FileOf) -> None:
    text = 'routers:\n  web: {vrid: 51, addresses: [10.0.9.100/24, 10.0.0.101/24, 10.7.0.1, "fd01::1/64"]}\n'
    has4, has6 = "which has 10.0.0.0/24", "which has fd00::/64 and fe80::/64"
    assert warned(resolve(file_of(NODES + text), LB1)) == [
        f"3:31: 10.0.9.100/24 fits no network of eth0, {has4}; write 10.0.9.100, which is always right",
        f"3:71: fd01::1/64 fits no network of eth0, {has6}; write fd01::1, which is always right",
    ]
    bare = file_of("routers:\n  web: {vrid: 51, interface: eth5, addresses: [10.0.0.100/24]}\n")
    [warning] = warned(resolve(bare, host(more=("eth5",))))
    assert "fits no network of eth5, which has no IPv4 network" in warning


def test_one_vrid_on_two_interfaces_is_right_and_shows_only_on_the_host_where_it_is_not(file_of: FileOf) -> None:
    text = (
        PAIR + "routers:\n  web: {vrid: 51, addresses: [10.0.0.100], interface: eth0}\n"
        "  in: {vrid: 51, addresses: [10.1.0.100], nodes: {lb1: 10.1.0.11, lb2: 10.1.0.12}}\n"
    )
    file = file_of(text)
    assert len(resolve(file, host("eth0=10.0.0.11/24", "eth1=10.1.0.11/24")).routers) == 2
    assert refused(file, host("eth0=10.0.0.11/24", "eth0=10.1.0.11/24")) == [
        "4:14: VRID 51 is the IPv4 router 'web' on the same interface already; give router 'in' another one"
    ]


def test_one_vrid_in_both_families_is_two_virtual_routers(file_of: FileOf) -> None:
    text = 'routers:\n  a: {vrid: 51, addresses: [10.0.0.100]}\n  b: {vrid: 51, addresses: ["fd00::100"]}\n'
    file = file_of(NODES + text)
    assert len(resolve(file, LB1).routers) == 2


def test_one_link_local_address_may_be_shared_on_several_links(file_of: FileOf) -> None:
    file = file_of(
        "defaults: {vrid: 51, addresses: [auto]}\nrouters:\n  a: {interface: eth0}\n  b: {interface: eth1}\n"
    )
    assert len(resolve(file, host(more=("eth0", "eth1"))).routers) == 2


def test_mistakes_of_the_file_and_of_the_host_are_listed_together(file_of: FileOf) -> None:
    file = file_of(
        PAIR + "routers:\n  web: {vrid: 51, addresses: [10.0.0.100], interface: eth9, advert_interval: 15ms}\n"
        "  lan: {vrid: 300, addresses: [10.0.0.101]}\n"
    )
    found = examine(file, LB1)
    assert [(mistake.line, mistake.text.partition(";")[0]) for mistake in found.mistakes] == [
        (3, "this host has no interface 'eth9' (it has eth0 and lo)"),
        (3, "15ms is no multiple of 10ms, the unit in the packet"),
        (4, "300 is out of range"),
    ]


def test_a_file_for_other_hosts_is_no_mistake_on_a_desk(file_of: FileOf) -> None:
    found = examine(file_of(PRODUCT), host("eth0=192.0.2.1/24"))
    assert found.mistakes == ()
    assert found.spec is None
    assert found.elsewhere is not None


def test_a_wrong_node_in_the_file_is_reported_once(file_of: FileOf) -> None:
    found = examine(file_of("node: lb9\n" + PRODUCT), LB1)
    assert [mistake.text for mistake in found.mistakes] == ["'lb9' is not one of the nodes; did you mean 'lb3'?"]


def test_a_host_is_not_looked_for_among_nodes_that_could_not_be_read(file_of: FileOf) -> None:
    found = examine(file_of(PRODUCT.replace("10.0.0.11", "10.0.0.1l")), LB1)
    assert [mistake.text.partition(";")[0] for mistake in found.mistakes] == ["'10.0.0.1l' is no IP address"]


def test_a_router_follows_checks_with_and_without_a_weight(file_of: FileOf) -> None:
    file = file_of(
        PAIR + "checks: {a: {tcp: 'h:1'}, b: {tcp: 'h:2'}, c: {tcp: 'h:3'}, f: {file: /f}}\n"
        "routers:\n  web: {vrid: 51, addresses: [10.0.0.100], "
        "track: [a, {check: b, weight: -20}, {check: c, weight: '+12'}, {check: f}]}\n"
    )
    assert only(resolve(file, LB1)).track == (
        *(TrackSpec("a"), TrackSpec("b", -20)),
        *(TrackSpec("c", 12), TrackSpec("f", 0)),
    )


@pytest.mark.parametrize(
    ("track", "highest"),
    [
        ("a", 240),
        ("{check: a, weight: -99}", 240),
        ("{check: a, weight: 12}", 252),
        ("{check: a, weight: 12}, {check: b, weight: 12}", 254),
        ("{check: a, weight: -99}, f", 254),
    ],
)
def test_the_highest_priority_of_another_node_counts_what_its_checks_can_add(
    track: str, highest: int, file_of: FileOf
) -> None:
    checks = "checks: {a: {tcp: 'h:1'}, b: {tcp: 'h:2'}, f: {file: /f}}\ndefaults: {track: [a, b, f]}\n"
    file = file_of(
        PAIR + checks + f"routers:\n  web: {{vrid: 51, addresses: [10.0.0.100], track: [{track}]}}\n"
        "  lan: {vrid: 52, addresses: [10.0.0.101]}\n"
    )
    assert resolve(file, LB1).routers[0].members[0].settings.highest_other == highest


def test_an_owner_stays_the_highest_whatever_its_weights(file_of: FileOf) -> None:
    file = file_of(
        "nodes: {lb1: 10.0.0.11, lb2: 10.0.0.12, lb3: 10.0.0.13}\nchecks: {f: {file: /f}}\nrouters:\n"
        "  web: {vrid: 51, addresses: [10.0.0.12], priority: {lb1: 7, lb2: 255, lb3: 9}, track: [f]}\n"
    )
    assert only(resolve(file, LB1)).settings.highest_other == 255
    assert only(resolve(file, host("eth0=10.0.0.12/24"))).settings.highest_other == 254


def test_a_peer_that_the_file_does_not_name_may_have_any_priority(file_of: FileOf) -> None:
    router = "routers:\n  web: {vrid: 51, addresses: [10.0.0.100], unicast: {peers: [10.0.0.11, 10.0.0.12%s]}}\n"
    assert only(resolve(file_of(PAIR + router % ""), LB1)).settings.highest_other == 240
    assert only(resolve(file_of(PAIR + router % ", 10.0.0.13"), LB1)).settings.highest_other is None
    multicast = (
        "defaults: {unicast: {peers: [10.0.0.13]}}\nrouters:\n"
        "  web: {vrid: 51, addresses: [10.0.0.100], transport: multicast}\n"
    )
    assert only(resolve(file_of(PAIR + multicast), LB1)).settings.highest_other == 240


GROUPED = (
    NODES + "checks: {a: {tcp: 'h:1'}, b: {tcp: 'h:2'}}\ngroups: {edge: [lan, web]}\nrouters:\n"
    "  web: {vrid: 51, addresses: ['fd00::100', 10.0.0.100], track: [a]}\n"
    "  alone: {vrid: 52, addresses: [10.0.0.101], track: [a]}\n"
    "  lan: {vrid: 53, addresses: [10.1.0.100], interface: eth1, nodes: {lb1: 10.1.0.11, lb2: 10.1.0.12}, "
    "priority: {lb1: 60, lb2: 50}, track: [{check: b, weight: 90}]}\n"
)


def test_the_routers_of_a_group_become_one_that_moves(file_of: FileOf) -> None:
    spec = resolve(file_of(GROUPED), host("eth0=10.0.0.11/24", "eth0=fd00::11/64", "eth1=10.1.0.11/24"))
    assert [(router.name, [member.router for member in router.members]) for router in spec.routers] == [
        ("edge", ["web", "web", "lan"]),
        ("alone", ["alone"]),
    ]
    members = spec.routers[0].members
    assert [(member.settings.vrid, member.settings.family, member.interface) for member in members] == [
        (51, Family.IPV4, "eth0"),
        (51, Family.IPV6, "eth0"),
        (53, Family.IPV4, "eth1"),
    ]
    assert spec.routers[0].checks == {"a", "b"}
    assert [member.track for member in members] == [(TrackSpec("a"),), (TrackSpec("a"),), (TrackSpec("b", 90),)]
    assert [member.settings.priority for member in members] == [250, 250, 60]
    assert {member.settings.highest_other for member in members} == {140}, "that of the lowest router, alike for all"


def test_a_group_may_have_the_name_of_one_of_its_routers(file_of: FileOf) -> None:
    file = file_of(
        PAIR + "groups: {web: [web, lan]}\nrouters:\n  web: {vrid: 51, addresses: [10.0.0.100]}\n"
        "  lan: {vrid: 52, addresses: [10.0.0.101]}\n"
    )
    [router] = resolve(file, LB1).routers
    assert (router.name, len(router.members)) == ("web", 2)


def test_this_host_is_asked_whether_it_has_what_its_checks_need(file_of: FileOf) -> None:
    asked: list[tuple[str, object]] = []

    def inspect(spec: CheckSpec | MoverSpec) -> str | None:
        asked.append((spec.kind, spec.options))
        return {"h:2": "it is not there; install it", "h:3": "it is not there"}.get(str(spec.options))

    checks = "checks:\n  a: {tcp: 'h:1'}\n  b: {tcp: 'h:2', fall: 3}\n  c: {fall: 3, tcp: 'h:3'}\n"
    file = file_of(PAIR + checks + "routers:\n  web: {vrid: 51, addresses: [10.0.0.100], track: [c, a, b]}\n")
    said = ["4:12: it is not there; install it", "5:21: it is not there; correct it here, or this host"]
    assert [f"{m.line}:{m.column}: {m.text}" for m in examine(file, LB1, inspect=inspect).mistakes] == said
    assert asked == [("tcp", "h:1"), ("tcp", "h:2"), ("tcp", "h:3")]
    with pytest.raises(ConfigError, match="install it"):
        resolve(file, LB1, None, inspect)
    assert examine(file, host("eth0=192.0.2.1/24"), inspect=inspect).mistakes == (), "a desk is none of the nodes"
    assert examine(file, LB1).mistakes == ()


def test_the_routers_of_a_host_speak_in_bursts_and_other_nodes_between_them(file_of: FileOf) -> None:
    """Four bursts in 400 ms: one interval has room for many routers, and two hosts never speak at once."""
    routers = "".join(f"  r{n}: {{vrid: {n}, addresses: [10.0.1.{n}], advert_interval: 400ms}}\n" for n in range(1, 9))
    file = file_of(f"nodes: {{lb1: 10.0.0.11, lb2: 10.0.0.12}}\nrouters:\n{routers}")
    spec = resolve(file, LB1)
    phases = [router.members[0].settings.phase for router in spec.routers]
    assert phases == [100 * MS, 200 * MS, 300 * MS, 0] * 2
    other = resolve(file, LB1, "lb2")
    assert [router.members[0].settings.phase for router in other.routers] == [
        p + 50 * MS for p in phases if p is not None
    ]


def test_a_long_interval_has_five_bursts(file_of: FileOf) -> None:
    routers = "".join(f"  r{n}: {{vrid: {n}, addresses: [10.0.1.{n}], advert_interval: 10s}}\n" for n in range(1, 9))
    file = file_of(f"nodes: {{lb1: 10.0.0.11, lb2: 10.0.0.12}}\nrouters:\n{routers}")
    phases = [router.members[0].settings.phase for router in resolve(file, LB1).routers]
    assert phases == [n * 2 * SECOND for n in (1, 2, 3, 4, 0, 1, 2, 3)]
