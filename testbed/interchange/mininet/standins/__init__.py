"""Stand-ins for Mininet's classes. They record calls, and do nothing else.

Names and arguments are those of Mininet. A method without a stand-in is :class:`Anything`.
"""

from __future__ import annotations

from testbed.interchange.mininet.standins.anything import Anything
from testbed.interchange.mininet.standins.interfaces import Intf, TCIntf
from testbed.interchange.mininet.standins.links import Link, OVSLink, TCLink, TCULink
from testbed.interchange.mininet.standins.network import Mininet
from testbed.interchange.mininet.standins.nodes import (
    NAT,
    Controller,
    CPULimitedHost,
    Host,
    Node,
    Process,
    Switch,
)
from testbed.interchange.mininet.standins.noted import COMMANDS, LINKS, NETS, NOTES

__all__ = [
    "COMMANDS",
    "LINKS",
    "NAT",
    "NETS",
    "NOTES",
    "Anything",
    "CPULimitedHost",
    "Controller",
    "Host",
    "Intf",
    "Link",
    "Mininet",
    "Node",
    "OVSLink",
    "Process",
    "Switch",
    "TCIntf",
    "TCLink",
    "TCULink",
]
