"""What moves with a router beside its addresses: from the file to what a mover is told."""

from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_interface

import pytest

from vrrpd.config import CheckSpec, File, HostAddress, HostFacts, MemberSpec, MoverSpec, PeerSpec, examine, resolve
from vrrpd.config.simulate import failures
from vrrpd.errors import ConfigError
from vrrpd.proto.settings import Family

FileOf = Callable[[str], File]

PAIR = "nodes: {lb1: 10.0.0.11, lb2: 10.0.0.12}\n"
LB1 = HostFacts(
    frozenset({"lo", "eth0"}),
    tuple(HostAddress("eth0", ip_interface(each)) for each in ("10.0.0.11/24", "fd00::11/64")),
)


def only(file: File) -> MemberSpec:
    [router] = resolve(file, LB1).routers
    [member] = router.members
    return member


def test_a_mover_is_told_who_this_node_is_and_who_the_others_are(file_of: FileOf) -> None:
    file = file_of(
        "nodes: {lb1: 10.0.0.11, lb2: 10.0.0.12, lb3: 10.0.0.13}\nrouters:\n"
        "  web: {vrid: 51, addresses: [10.0.0.100/24], movers: [ip: {id: a}]}\n"
    )
    [mover] = resolve(file, LB1).movers
    assert mover == MoverSpec(
        router="web",
        name="ip",
        kind="ip",
        options=mover.options,
        own=(ip_address("10.0.0.11"),),
        shared=(ip_address("10.0.0.100"),),
        peers=(
            PeerSpec("lb2", (ip_address("10.0.0.12"),), 240),
            PeerSpec("lb3", (ip_address("10.0.0.13"),), 230),
        ),
    )
    assert mover.options.id == "a"


def test_several_movers_of_one_kind_are_told_apart_by_a_number(file_of: FileOf) -> None:
    file = file_of(PAIR + "routers:\n  web: {vrid: 51, movers: [ip: {id: a}, plain: {}, ip: {id: b}, ip: {id: c}]}\n")
    assert [mover.name for mover in resolve(file, LB1).movers] == ["ip", "plain", "ip-2", "ip-3"]


def test_the_movers_of_a_group_are_those_of_its_routers(file_of: FileOf) -> None:
    file = file_of(
        PAIR + "groups: {edge: [web, lan]}\nrouters:\n"
        "  web: {vrid: 51, addresses: [10.0.0.100], movers: [ip: {id: a}]}\n"
        "  lan: {vrid: 52, addresses: [10.0.0.101], movers: [ip: {id: b}]}\n"
        "  dmz: {vrid: 53, addresses: [10.0.0.102]}\n"
    )
    edge, dmz = resolve(file, LB1).routers
    assert [(mover.router, mover.name, mover.options.id) for mover in edge.movers] == [
        ("web", "ip", "a"),
        ("lan", "ip", "b"),
    ]
    assert dmz.movers == ()


def test_in_a_group_every_mover_ranks_the_nodes_as_the_group_does(file_of: FileOf) -> None:
    file = file_of(
        PAIR + "groups: {edge: [web, lan]}\nrouters:\n"
        "  web: {vrid: 51, addresses: [10.0.0.100], movers: [ip: {id: a}]}\n"
        "  lan: {vrid: 52, addresses: [10.0.0.101], priority: {lb1: 100, lb2: 90}, movers: [ip: {id: b}]}\n"
    )
    [edge] = resolve(file, LB1).routers
    assert [[peer.priority for peer in mover.peers] for mover in edge.movers] == [[90], [90]]


def test_movers_of_the_defaults_are_for_routers_without_their_own(file_of: FileOf) -> None:
    file = file_of(
        PAIR + "defaults: {movers: [plain: {timeout: 3s}]}\nrouters:\n"
        "  web: {vrid: 51}\n  lan: {vrid: 52, movers: [ip: {id: a}]}\n"
        "  dmz: {vrid: 53, addresses: [10.0.0.1], movers: []}\n"
    )
    assert [(mover.router, mover.kind) for mover in resolve(file, LB1).movers] == [("web", "plain"), ("lan", "ip")]


def test_the_nodes_of_another_network_are_known_by_their_addresses_in_it(file_of: FileOf) -> None:
    file = file_of(PAIR + "routers:\n  web: {vrid: 51, movers: [plain: {}], nodes: {lb1: 10.1.0.1, lb2: 10.1.0.2}}\n")
    [mover] = resolve(file, LB1, "lb1").movers
    assert mover.own == (ip_address("10.1.0.1"),)
    assert [peer.addresses for peer in mover.peers] == [(ip_address("10.1.0.2"),)]


def test_without_nodes_the_peers_have_no_names_and_no_priorities(file_of: FileOf) -> None:
    unicast = "unicast: {bind: 10.0.0.11, peers: [10.0.0.11, 10.0.0.12]}"
    file = file_of(f"routers:\n  web: {{vrid: 51, movers: [plain: {{}}], {unicast}}}\n")
    [mover] = resolve(file, LB1).movers
    assert mover.own == (ip_address("10.0.0.11"),)
    assert mover.peers == (PeerSpec("10.0.0.12", (ip_address("10.0.0.12"),), None),)


@pytest.mark.parametrize(
    ("nodes", "family", "advertised"),
    [
        ("lb1: 10.0.0.11, lb2: 10.0.0.12", Family.IPV4, IPv4Address("192.0.0.8")),
        ('lb1: [10.0.0.11, "fd00::11"], lb2: ["fd00::12", 10.0.0.12]', Family.IPV4, IPv4Address("192.0.0.8")),
        ('lb1: [10.0.0.11, "fd00::11"], lb2: "fd00::12"', Family.IPV6, IPv6Address("fe80::200:5eff:fe00:233")),
        ('lb1: "fd00::11", lb2: "fd00::12"', Family.IPV6, IPv6Address("fe80::200:5eff:fe00:233")),
    ],
)
def test_a_router_without_addresses_advertises_one_that_no_host_has_and_holds_none(
    nodes: str, family: Family, advertised: object, file_of: FileOf
) -> None:
    member = only(file_of(f"nodes: {{{nodes}}}\nrouters:\n  web: {{vrid: 51, movers: [plain: {{}}]}}\n"))
    assert member.settings.family is family
    assert member.settings.addresses == (advertised,)
    assert member.addresses == ()


def test_its_family_is_that_of_the_peers_where_nothing_else_is_known(file_of: FileOf) -> None:
    unicast = 'unicast: {bind: [10.0.0.11, "fd00::11"], peers: ["fd00::12"]}'
    member = only(file_of(f"routers:\n  web: {{vrid: 51, {unicast}, movers: [plain: {{}}]}}\n"))
    assert member.settings.family is Family.IPV6


def test_nodes_that_have_no_family_in_common_are_told_to_have_one(file_of: FileOf) -> None:
    file = file_of('nodes: {lb1: 10.0.0.11, lb2: "fd00::12"}\nrouters:\n  web: {vrid: 51, movers: [plain: {}]}\n')
    assert [mistake.text for mistake in file.mistakes] == [
        "a router without addresses is IPv4, but lb2 has no IPv4 address; give all nodes an address of one family"
    ]


@pytest.mark.parametrize(
    ("keys", "mover", "said"),
    [
        ("", "plain: {}", []),
        (
            "advert_interval: 10ms, ",
            "plain: {}",
            ["lb1 (250) does not fall behind lb2 (145) by an unready_weight of -20; write -106 or below, or off"],
        ),
        ("advert_interval: 10ms, ", "plain: {unready_weight: -106}", []),
        ("advert_interval: 10ms, ", "plain: {unready_weight: off}", []),
        (
            "",
            "plain: {unready_weight: -10}",
            ["lb1 (250) does not fall behind lb2 (240) by an unready_weight of -10; write -11 or below, or off"],
        ),
    ],
)
def test_a_weight_that_leaves_an_unready_node_ahead_is_odd(
    keys: str, mover: str, said: list[str], file_of: FileOf
) -> None:
    file = file_of(f"{PAIR}routers:\n  web: {{vrid: 51, {keys}movers: [{mover}]}}\n")
    assert file.mistakes == ()
    assert [warning.text for warning in file.warnings] == said


def test_in_multicast_it_speaks_ipv4_where_nothing_else_is_known(file_of: FileOf) -> None:
    member = only(file_of("routers:\n  web: {vrid: 51, interface: eth0, movers: [plain: {}]}\n"))
    assert (member.settings.family, member.settings.unicast) == (Family.IPV4, False)


def test_an_address_that_a_mover_brings_is_shared_as_one_of_the_file(file_of: FileOf) -> None:
    file = file_of(
        PAIR + "routers:\n  web: {vrid: 51, addresses: [10.0.0.100/24],\n"
        "    movers: [ip: {id: a, address: 10.0.0.101}, ip: {id: b, address: 10.0.0.100},\n"
        "      ip: {id: c, address: 10.0.0.101}]}\n"
    )
    member = only(file)
    assert [str(each.address) for each in member.addresses] == ["10.0.0.100/24", "10.0.0.101/32"]
    assert member.settings.addresses == (ip_address("10.0.0.100"), ip_address("10.0.0.101"))
    assert resolve(file, LB1).movers[0].shared == member.settings.addresses


def test_an_address_that_a_mover_brings_is_enough(file_of: FileOf) -> None:
    member = only(file_of(PAIR + "routers:\n  web: {vrid: 51, movers: [ip: {id: a, address: 10.0.0.101}]}\n"))
    assert member.settings.addresses == (ip_address("10.0.0.101"),)


def test_every_single_failure_can_be_tried_without_addresses(file_of: FileOf) -> None:
    file = file_of(PAIR + "routers:\n  web: {vrid: 51, movers: [plain: {}]}\n")
    assert [(row.node, row.after) for row in failures(file, lambda _kind, _options: None)] == [
        ("lb1", "lb2"),
        ("lb2", "lb1"),
    ]


def test_this_host_is_asked_whether_it_has_what_its_movers_need(file_of: FileOf) -> None:
    def inspect(spec: CheckSpec | MoverSpec) -> str | None:
        return "it is not there; install it" if spec.kind == "plain" else None

    file = file_of(
        PAIR + "defaults:\n  movers:\n    - plain: {}\nrouters:\n  web: {vrid: 51}\n  lan:\n    vrid: 52\n    movers:\n"
        "      - ip: {id: a}\n      - plain: {timeout: 3s}\n"
    )
    said = ["4:7: it is not there; install it", "11:9: it is not there; install it"]
    assert [f"{m.line}:{m.column}: {m.text}" for m in examine(file, LB1, inspect=inspect).mistakes] == said
    with pytest.raises(ConfigError, match="install it"):
        resolve(file, LB1, None, inspect)


def test_what_differs_in_a_mover_differs_in_the_router(file_of: FileOf) -> None:
    def router(options: str) -> object:
        return resolve(file_of(PAIR + f"routers:\n  web: {{vrid: 51, movers: [ip: {{{options}}}]}}\n"), LB1).routers

    assert router("id: a, timeout: 3s") == router("id: a, timeout: 3000ms")
    assert router("id: a, timeout: 3s") != router("id: a")
