"""The configuration files of a case, in the language of each agent."""

from __future__ import annotations

import json

from netns_lab.bench.case import RECEIVER, SENDER, Case

PRIORITY = {SENDER: 200, RECEIVER: 100}
KEY = "a-key-that-all-nodes-of-a-benchmark-have"


def vrrpd(case: Case) -> str:
    """The file of vrrpd, the same for all nodes; the interfaces are found by the addresses."""
    routers: dict[str, object] = {}
    for index, (link, vrid, shared) in enumerate(case.shared()):
        said: dict[str, object] = {
            "vrid": vrid,
            "nodes": {each: case.address(each, link) for each in case.nodes},
            "priority": {each: PRIORITY.get(each, 50 - place) for place, each in enumerate(case.nodes)},
            "addresses": [f"{shared}/32"],
            "advert_interval": f"{case.interval_ms}ms",
        }
        if case.transport == "multicast":
            said["transport"] = "multicast"
        if case.signed:
            said["auth"] = {"hmac": {"keys": {"1": KEY}}}
        routers[f"r{index + 1}"] = said
    own = {each: case.address(each, 0) for each in case.nodes}
    return json.dumps({"nodes": own, "routers": routers}, indent=1)  # which is YAML, and quick to write


def keepalived(case: Case, node: str) -> str:
    """The file of keepalived, with nothing in it that was not asked for."""
    lines = [f"global_defs {{\n    router_id {node}\n}}"]
    for index, (link, vrid, shared) in enumerate(case.shared()):
        body = [
            f"vrrp_instance r{index + 1} {{",
            "    state BACKUP",
            f"    interface eth{link}",
            f"    virtual_router_id {vrid}",
            "    version 3",
            f"    priority {PRIORITY[node]}",
            f"    advert_int {case.interval_ms / 1000:g}",
        ]
        if case.transport == "unicast":
            peers = [case.address(each, link) for each in case.nodes if each != node]
            body += [f"    unicast_src_ip {case.address(node, link)}", "    unicast_peer {"]
            body += [*(f"        {peer}" for peer in peers), "    }"]
        body += ["    virtual_ipaddress {", f"        {shared}/32", "    }", "}"]
        lines += body
    return "\n".join(lines) + "\n"
