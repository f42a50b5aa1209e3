"""The meaning of each key of a topology file, for its JSON Schema."""

from __future__ import annotations

from typing import Any, Final

from testbed.topology import spec

_KEYS: Final[dict[type[spec.Spec], dict[str, str]]] = {
    spec.TopologySpec: {
        "description": "the purpose of the topology, in one sentence",
        "nodes": "hosts, relays, routers and switches by name",
        "links": "links by name; the name is also that of their interfaces",
        "tunnels": "tunnels by name; the name is also that of their interfaces",
        "addressing": "the pools of automatic addresses",
        "routing": "destinations of the computed routes: all subnets, or the subnets of hosts",
        "multipath": "routers spread flows over all shortest paths, by a hash of the flow",
        "sysctls": "sysctls (net.*) of all nodes",
        "mptcp": "MPTCP settings of the whole topology",
        "generate": "generated nodes and links, for example a star",
    },
    spec.NodeSpec: {
        "kind": "host, relay (a host that forwards), router, or switch (a bridge)",
        "sysctls": "sysctls (net.*) of this node",
        "policy_routing": "whether a host with several interfaces routes by source address",
        "routes": "routes that are added to the computed ones, or replace them",
        "mptcp": "limits and endpoints; false: the kernel's own limits and no endpoints",
        "run": "commands that run in the built network: lines for the shell, or lists of words",
        "vrf": "VRFs of a router by name, with the interfaces of each",
    },
    spec.RouteSpec: {
        "to": "a prefix, or default",
        "via": "the address of the gateway, on a subnet of the node",
        "interface": "the outgoing interface",
        "table": "the routing table; 254 is main",
        "kind": "unicast, or unreachable: the kernel answers with an ICMP error",
    },
    spec.NodeMptcpSpec: {
        "limits": "the limits, as in ip mptcp limits",
        "endpoints": "one set of flags for all interfaces, or a list of flags or endpoints",
    },
    spec.LimitsSpec: {
        "subflows": "most additional subflows of a connection; above 8 where the kernel allows it",
        "add_addr_accepted": "most announced addresses that a connection accepts",
    },
    spec.EndpointSpec: {
        "interface": "an interface; the endpoints are all its addresses",
        "address": "an address; the node need not have it",
        "flags": "flags of ip-mptcp(8)",
        "port": "the port that is announced with the address",
        "id": "the address ID, from 1 to 255",
    },
    spec.LinkOptions: {
        "netem": "shaping of both directions; even an empty block makes a wire",
        "mtu": "the MTU in octets",
        "offload": "whether segments larger than the MTU may cross the link",
        "duplex": "half: both directions share one medium",
        "shaper": "where frames are shaped: in the middle, or at the interface that sends them",
    },
    spec.LinkSpec: {
        "between": "the two nodes, or a mapping from each node to the options of its end",
        "toward": "shaping of the direction to a node, added to that of both directions",
        "middlebox": "boxes that change packets, in order from the first end",
        "vlan": "VLAN numbers: a list, or a mapping from each number to the options of its ends",
    },
    spec.EndSpec: {
        "interface": "the interface name; by default that of the link, the VLAN or the tunnel",
        "addresses": "all its addresses, with prefix length; ipv4 and ipv6 request automatic ones",
        "endpoint": "flags of its MPTCP endpoints, or none",
    },
    spec.TunnelSpec: {
        "between": "the two nodes, or a mapping from each node to the options of its end",
        "kind": "gre (over IPv4), ip6gre (over IPv6) or wireguard (over UDP)",
        "key": "the GRE key of both ends",
        "port": "the WireGuard port of both ends; by default the first free one from 51820 on",
        "mtu": "the MTU in octets; by default the largest that fits the interfaces below",
    },
    spec.TunnelEndSpec: {
        "local": "the interface, or its address, that the tunnel's packets leave from",
    },
    spec.AddressingSpec: {
        "ipv4": "the pool of IPv4 subnets; null: none",
        "ipv6": "the pool of IPv6 subnets; null: none",
    },
    spec.TopologyMptcpSpec: {
        "family": "the address family of endpoints; by default IPv4 if the topology has it",
    },
    spec.GenerateSpec: {
        "star": "hosts h1, h2, ... around a hub",
        "line": "nodes n1, n2, ... in a row: routers between two hosts",
        "fat_tree": "a fat tree of routers, with hosts h1, h2, ...",
        "bcube": "servers h1, h2, ... that forward, and switches of several levels",
    },
    spec.StarSpec: {"count": "number of hosts", "hub": "the node in the middle"},
    spec.LineSpec: {"count": "number of nodes"},
    spec.FatTreeSpec: {"ports": "ports of each router; there are ports^3 / 4 hosts"},
    spec.BCubeSpec: {
        "ports": "ports of each switch",
        "levels": "interfaces of each server; there are ports^levels of them",
    },
}


def describe(components: dict[str, Any]) -> None:
    """Add the meaning of each key to the parts of a schema."""
    for struct, keys in _KEYS.items():
        for part in (struct, *_derived(struct)):
            fields = components.get(part.__name__, {}).get("properties", {})
            for key, text in keys.items():
                if key in fields:
                    fields[key] = {"description": text, **fields[key]}


def _derived(struct: type[spec.Spec]) -> list[type[spec.Spec]]:
    return [each for each in _KEYS if issubclass(each, struct) and each is not struct]
