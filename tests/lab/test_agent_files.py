"""The configuration that each agent gets from the same description."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from netns_lab.agents.base import Agent
from netns_lab.agents.frr import Frr
from netns_lab.agents.keepalived import Keepalived
from netns_lab.agents.registry import agent_class
from netns_lab.agents.vrrpd import Vrrpd
from netns_lab.errors import CannotRunError
from netns_lab.node import Node
from netns_lab.service import Check, Mover, Service, Track
from netns_lab.topology import Role, Topology

HOSTS = [host for host in Topology(nodes=("a", "b")).hosts() if host.role is Role.NODE]


def text(kind: type[Agent], tmp_path: Path, service: Service, node: int = 0) -> str:
    host = HOSTS[node]
    return kind(Node(host, f"none-{host.name}", tmp_path / host.name), service, HOSTS, tmp_path).configuration()


def words(configuration: str) -> str:
    return " ".join(configuration.split())


def test_keepalived_gets_its_peers_its_priority_and_a_hop_limit_that_others_accept(tmp_path: Path) -> None:
    got = words(text(Keepalived, tmp_path, Service(family="ipv6", interval_ms=100, preempt=False), node=1))
    for part in (
        "virtual_router_id 51 version 3 priority 240 advert_int 0.1 nopreempt",
        "unicast_src_ip fd88::12 unicast_ttl 255 unicast_peer { fd88::11 }",
        "virtual_ipaddress { fd88::100/64 }",
    ):
        assert part in got


def test_keepalived_on_multicast_names_no_peers_and_lists_a_link_local_address_first(tmp_path: Path) -> None:
    got = words(text(Keepalived, tmp_path, Service(family="ipv6", transport="multicast")))
    assert "unicast" not in got
    assert "virtual_ipaddress { fe80::200:5eff:fe00:233/64 fd88::100/64 }" in got


PROXY = Check("proxy", "process", {"name": "haproxy", "grace": "5ms"})
HEALTH = Check("health", "exec", ["/bin/grep", "-q", "0 1", "/health"], {"interval": "200ms", "fall": 3})
UPLINK = Check("uplink", "link", "eth1")
NUMBER = Check("number", "file", "/number")


def test_keepalived_watches_the_proxy_by_a_script(tmp_path: Path) -> None:
    got = words(text(Keepalived, tmp_path, Service(checks=(PROXY,), track=(Track("proxy"),))))
    assert "pgrep --exact haproxy --pidfile /run/netns-lab/node/proxy.pid" in got
    assert "track_script { proxy }" in got


def test_keepalived_tracks_a_program_an_interface_and_a_file(tmp_path: Path) -> None:
    track = (Track("health", -20), Track("uplink"), Track("number"))
    got = words(text(Keepalived, tmp_path, Service(checks=(HEALTH, UPLINK, NUMBER), track=track)))
    for part in (
        """vrrp_script health { script "/bin/grep -q '0 1' /health" interval 1 timeout 1 fall 3 rise 2 }""",
        "track_file number { file /number }",
        "track_script { health weight -20 } track_interface { eth1 } track_file { number weight 1 }",
    ):
        assert part in got


def test_keepalived_moves_a_group_over_two_networks_together(tmp_path: Path) -> None:
    got = words(text(Keepalived, tmp_path, Service(group=True)))
    for part in (
        "vrrp_sync_group edge { group { web inside } }",
        "interface eth1 virtual_router_id 52",
        "unicast_src_ip 10.89.0.11 unicast_ttl 255 unicast_peer { 10.89.0.12 }",
        "virtual_ipaddress { 10.89.0.100/24 }",
    ):
        assert part in got


def test_what_keepalived_cannot_do_is_told_in_one_line() -> None:
    ping = Service(checks=(Check("gateway", "ping", "10.0.0.1"),))
    assert Keepalived.unable(ping, set()) == "keepalived has no ping check of its own"
    assert Keepalived.unable(Service(), {"agent-drained"}) == "keepalived cannot be drained"
    assert Keepalived.unable(Service(checks=(PROXY, UPLINK)), {"proxy-killed"}) is None
    assert Vrrpd.unable(ping, {"agent-drained"}) is None


def test_vrrpd_gets_one_file_that_is_the_same_on_every_node(tmp_path: Path) -> None:
    service = Service(checks=(PROXY, UPLINK), track=(Track("proxy"), Track("uplink", -50)))
    first, second = (text(Vrrpd, tmp_path, service, node) for node in (0, 1))
    assert first == second
    assert yaml.safe_load(first) == {
        "nodes": {"a": "10.88.0.11", "b": "10.88.0.12"},
        "checks": {"proxy": {"process": {"name": "haproxy", "grace": "5ms"}}, "uplink": {"link": "eth1"}},
        "routers": {
            "web": {
                "vrid": 51,
                "addresses": ["10.88.0.100/24"],
                "advert_interval": "1s",
                "track": ["proxy", {"check": "uplink", "weight": -50}],
            },
        },
    }


def test_vrrpd_moves_a_group_over_two_networks_together(tmp_path: Path) -> None:
    got = yaml.safe_load(text(Vrrpd, tmp_path, Service(group=True)))
    assert got["groups"] == {"edge": ["web", "inside"]}
    assert got["routers"]["inside"] == {
        "vrid": 52,
        "addresses": ["10.89.0.100/24"],
        "advert_interval": "1s",
        "nodes": {"a": "10.89.0.11", "b": "10.89.0.12"},
    }


def test_checks_by_the_dozen_are_dealt_out_to_the_routers_in_turn(tmp_path: Path) -> None:
    service = Service(routers=3, checks=(Check("tcp", "tcp", "127.0.0.1:9", times=5),), track=(Track("tcp", -1),))
    got = text(Vrrpd, tmp_path, service)
    assert "&id" not in got  # no aliases: a person reads this file
    file = yaml.safe_load(got)
    assert list(file["checks"]) == ["tcp-1", "tcp-2", "tcp-3", "tcp-4", "tcp-5"]
    assert {name: router["addresses"] for name, router in file["routers"].items()} == {
        "web": ["10.88.0.100/24"],
        "web-2": ["10.88.0.101/24"],
        "web-3": ["10.88.0.102/24"],
    }
    tracked = [[track["check"] for track in router["track"]] for router in file["routers"].values()]
    assert tracked == [["tcp-1", "tcp-4"], ["tcp-2", "tcp-5"], ["tcp-3"]]


def test_vrrpd_is_told_what_differs_from_its_defaults_only(tmp_path: Path) -> None:
    service = Service(
        family="ipv6", transport="multicast", interval_ms=200, priorities={"a": 100, "b": 200}, preempt=False
    )
    got = yaml.safe_load(text(Vrrpd, tmp_path, service))
    assert got["nodes"] == {"a": "fd88::11", "b": "fd88::12"}
    assert got["routers"]["web"] == {
        "vrid": 51,
        "addresses": ["auto", "fd88::100/64"],
        "advert_interval": "200ms",
        "transport": "multicast",
        "priority": {"a": 100, "b": 200},
        "preempt": False,
    }
    old = yaml.safe_load(text(Vrrpd, tmp_path, Service(version=2)))
    assert old["routers"]["web"]["version"] == 2


def test_frr_gets_its_lines_in_its_order(tmp_path: Path) -> None:
    got = text(Frr, tmp_path, Service(transport="multicast", preempt=False, priorities={"a": 200, "b": 100}))
    assert [line.strip() for line in got.splitlines()] == [
        "interface eth0",
        "vrrp 51 version 3",
        "vrrp 51 priority 200",
        "vrrp 51 advertisement-interval 1000",
        "no vrrp 51 preempt",
        "vrrp 51 ip 10.88.0.100",
        "!",
    ]


@pytest.mark.parametrize(
    ("interval_ms", "nodes", "priorities"),
    [(1000, "abc", [250, 240, 230]), (100, "abc", [250, 240, 230]), (10, "abc", [250, 145, 40])],
)
def test_priorities_follow_from_the_order_of_the_nodes(interval_ms: int, nodes: str, priorities: list[int]) -> None:
    service = Service(interval_ms=interval_ms)
    assert [service.priority(list(nodes), node) for node in nodes] == priorities


def test_an_unknown_agent_is_told_with_those_that_exist() -> None:
    with pytest.raises(CannotRunError, match="vrrpd, keepalived, frr"):
        agent_class("ucarp")


def test_a_key_is_an_hmac_for_us_and_a_password_of_version_2_for_keepalived(tmp_path: Path) -> None:
    service = Service(interval_ms=200, key="a-key-that-all-nodes-of-a-lab-have")
    router = yaml.safe_load(text(Vrrpd, tmp_path, service))["routers"]["web"]
    assert router["auth"] == {"hmac": {"keys": {1: "a-key-that-all-nodes-of-a-lab-have"}}}
    assert router["advert_interval"] == "200ms"
    got = words(text(Keepalived, tmp_path, service))
    assert "version 2 priority 250 advert_int 1 authentication { auth_type PASS auth_pass a-key-th }" in got
    assert "version 2" in (Keepalived.remark(service) or "")
    assert Keepalived.unable(Service(family="ipv6", key="x"), ()) is not None
    assert Keepalived.remark(Service()) is None


def test_a_mover_goes_with_the_first_router_of_vrrpd_and_nothing_else_has_one(tmp_path: Path) -> None:
    service = Service(routers=2, mover=Mover("ec2-elastic-ip", {"allocation_id": "eipalloc-1", "on_deadline": "yield"}))
    routers = yaml.safe_load(text(Vrrpd, tmp_path, service))["routers"]
    assert routers["web"]["movers"] == [{"ec2-elastic-ip": {"allocation_id": "eipalloc-1", "on_deadline": "yield"}}]
    assert "movers" not in routers["web-2"]
    assert Vrrpd.unable(service, ()) is None
    assert Keepalived.unable(service, ()) == "keepalived moves nothing in a cloud by itself"
