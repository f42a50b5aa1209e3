"""The meaning of each key of a topology file, for its JSON Schema."""

from __future__ import annotations

from typing import Any, Final

from testbed.topology import spec

_KEYS: Final[dict[type[spec.Spec], dict[str, str]]] = {
    spec.TopologySpec: {
        "description": "what the topology is for, in a sentence",
        "nodes": "hosts, relays, routers and switches by name",
        "links": "links by name, which their interfaces have as well",
        "tunnels": "tunnels by name, which their interfaces have as well",
        "addressing": "the pools of automatic addresses",
        "routing": "where computed routes lead: to all subnets, or to those of hosts",
        "multipath": "routers use all ways of the fewest hops, by a hash of the flow",
        "sysctls": "sysctls (net.*) of all nodes",
        "mptcp": "MPTCP of the whole topology",
        "generate": "nodes and links made by rule",
    },
    spec.NodeSpec: {
        "kind": "host, relay (a host that forwards), router, or switch (a bridge)",
        "sysctls": "sysctls (net.*) of this node",
        "policy_routing": "a host with several interfaces routes by source address",
        "routes": "routes beside, or in place of, the computed ones",
        "mptcp": "limits and endpoints; false: the kernel's own limits and no endpoints",
        "run": "commands once the network is built: lines for the shell, or lists of words",
        "vrf": "VRFs of a router: the interfaces of each, by its name",
    },
    spec.RouteSpec: {
        "to": "a prefix, or default",
        "via": "the address of the gateway, which is on link",
        "interface": "the interface that packets leave by",
        "table": "the routing table; 254 is main",
        "kind": "unicast, or unreachable: the kernel answers that there is no way",
    },
    spec.NodeMptcpSpec: {
        "limits": "ip mptcp limits",
        "endpoints": "one set of flags for all interfaces, or a list of flags or endpoints",
    },
    spec.LimitsSpec: {
        "subflows": "further subflows of a connection; above 8 for kernels that take it",
        "add_addr_accepted": "announced addresses that a connection takes up",
    },
    spec.EndpointSpec: {
        "interface": "all addresses of this interface",
        "address": "this address, which the node need not have",
        "flags": "flags of ip-mptcp(8)",
        "port": "announced with the address",
        "id": "of the address; 1 to 255",
    },
    spec.LinkOptions: {
        "netem": "shaping of both directions; even an empty block makes a wire",
        "mtu": "octets",
        "offload": "segments larger than the MTU may cross",
        "duplex": "half: both directions share one medium",
        "shaper": "where frames are shaped: in the middle, or at the interface that sends them",
    },
    spec.LinkSpec: {
        "between": "the two nodes, or of each what is to be said of its end",
        "toward": "shaping of the direction to a node, beside what both have",
        "middlebox": "boxes that change what passes, the first one nearest to the first end",
        "vlan": "numbers of VLANs, or of each number what is to be said of its ends",
    },
    spec.EndSpec: {
        "interface": "its name; by default that of the link, the VLAN or the tunnel",
        "addresses": "all its addresses, with prefix length; ipv4 and ipv6 are automatic ones",
        "endpoint": "flags of its MPTCP endpoints, or none",
    },
    spec.TunnelSpec: {
        "between": "the two nodes, or of each what is to be said of its end",
        "kind": "gre (over IPv4), ip6gre (over IPv6) or wireguard (over UDP)",
        "key": "of GRE, which both ends must have",
        "port": "of WireGuard, at both ends; by default the first from 51820 on that is free there",
        "mtu": "octets; by default what fits the cards of its ends",
    },
    spec.TunnelEndSpec: {
        "local": "the interface, or the address there, that its own packets leave from",
    },
    spec.AddressingSpec: {
        "ipv4": "the pool of IPv4 subnets; null: none",
        "ipv6": "the pool of IPv6 subnets; null: none",
    },
    spec.TopologyMptcpSpec: {
        "family": "of endpoints; by default IPv4 where the topology has it",
    },
    spec.GenerateSpec: {
        "star": "hosts h1, h2, ... around a hub",
        "line": "nodes n1, n2, ... in a row: routers between two hosts",
        "fat_tree": "a fat tree of routers, with hosts h1, h2, ...",
        "bcube": "servers h1, h2, ... that forward, and switches of several levels",
    },
    spec.StarSpec: {"count": "of hosts", "hub": "the node in the middle"},
    spec.LineSpec: {"count": "of nodes"},
    spec.FatTreeSpec: {"ports": "of each router; there are ports^3 / 4 hosts"},
    spec.BCubeSpec: {
        "ports": "of each switch",
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
