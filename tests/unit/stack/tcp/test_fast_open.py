"""RFC 7413: data on SYN for who has a cookie, on both sides, by hand and over a wire that loses."""

from __future__ import annotations

import pytest

from testbed.packet.address import Address, Flow
from testbed.packet.icmp import IcmpError, IcmpKind
from testbed.packet.options import FastOpen, MaximumSegmentSize, Option, Timestamps, find
from testbed.packet.segment import SYN
from testbed.stack.connection import Closed, Connected, Readable
from testbed.stack.options import SocketOptions
from testbed.stack.tcp.config import TcpConfig
from testbed.stack.tcp.connection import TcpConnection
from testbed.stack.tcp.fast_open import CookieCache, Grants, Verdict
from testbed.stack.tcp.state import State

from .network import CLIENT, FLOW, SERVER, Network
from .script import MS, SECOND, Script, bare

COOKIE = b"8 octets"
MSS = MaximumSegmentSize(1000)
SYN_DATA = 32  # TCPI_OPT_SYN_DATA
CONFIG = TcpConfig(fast_open=True)


class Client(Script):
    """An endpoint that connects again and again to the same peer."""

    def __init__(self, **settings: bool | int) -> None:
        super().__init__(bare(fast_open=True, **settings))

    def dial(self, data: bytes = b"question") -> list[str]:
        """Connect, and return the SYN."""
        self.base = None
        self.flow = Flow(Address("10.0.0.1", self.flow.local.port + 1), self.flow.remote)
        self.endpoint.connect(self.flow, self.now, data=data)
        return self.out()

    @property
    def asked(self) -> FastOpen | None:
        """The option of the last segment."""
        option: FastOpen | None = find(self.last[-1].options, FastOpen)
        return option

    def learn(self, cookie: bytes = COOKIE) -> None:
        """Have a first connection bring a cookie."""
        self.dial()
        self.inject("S.", 0, 1, options=(MSS, FastOpen(cookie)))
        self.connection.abort()
        self.out()


class Server(Script):
    """An endpoint that listens, and a peer that has a cookie."""

    def __init__(self, **settings: object) -> None:
        super().__init__(bare(fast_open=True, **settings))
        self.endpoint.listen(self.flow.local)
        self.cookie = Grants(b"k" * 16).grant(self.flow)

    def meet(self, port: int) -> None:
        """Go on with another connection of the peer."""
        self.flow = Flow(self.flow.local, Address(self.flow.remote.host, port))
        self.base = None

    def ask(self, *, payload: bytes = b"question", cookie: FastOpen | None = None) -> list[str]:
        """Have a SYN arrive."""
        return self.inject("S", 0, payload=payload, options=(MSS, cookie or self.cookie))


# Section 4.1: the option, and cookies.


@pytest.mark.parametrize("size", [0, 4, 6, 8, 16])
def test_option_layout(size: int) -> None:
    assert FastOpen(bytes(size)).encode() == bytes((34, 2 + size)) + bytes(size)


def test_cookies_are_of_both_addresses_and_the_key() -> None:
    """Section 4.1.2; not of the ports."""
    grants = Grants(b"a" * 16)
    cookie = grants.grant(FLOW)
    assert len(cookie.cookie) == 8
    other_port = Flow(SERVER, Address(CLIENT.host, 7))
    assert Grants(b"a" * 16).judge(Flow(SERVER, CLIENT), Grants(b"a" * 16).grant(other_port)) is (
        Verdict.CURRENT
    )
    other_host = Flow(SERVER, Address("10.0.0.9", CLIENT.port))
    assert grants.judge(other_host, grants.grant(Flow(SERVER, CLIENT))) is Verdict.WRONG
    assert Grants(b"b" * 16).judge(FLOW, cookie) is Verdict.WRONG
    assert grants.judge(FLOW, FastOpen()) is Verdict.WRONG


@pytest.mark.parametrize(
    ("server", "client", "cookie"),
    [
        ("192.168.0.1", "192.0.2.1", "3021b9d889017eeb"),
        ("fd3d:a0b:17d6::1", "fd3d:fa7b:d17d::1", "c1d1e9742a47a9bc"),
    ],
)
def test_cookies_are_those_of_linux(server: str, client: str, cookie: str) -> None:
    """The kernel's own tests have them for the key a1a1a1a1-b2b2b2b2-c3c3c3c3-d4d4d4d4."""
    flow = Flow(Address(server, 8080), Address(client, 49_000))
    grants = Grants(bytes.fromhex("a1a1a1a1b2b2b2b2c3c3c3c3d4d4d4d4"))
    assert grants.grant(flow).cookie.hex() == cookie


def test_keys_may_be_given() -> None:
    """So that several servers accept each other's cookies."""
    server = Server(fast_open_keys=(b"a" * 16, b"b" * 16))
    server.ask(payload=b"", cookie=FastOpen())
    assert find(server.last[0].options, FastOpen) == Grants(b"a" * 16).grant(server.flow)
    server.meet(7)
    answers = server.ask(cookie=Grants(b"b" * 16).grant(server.flow))
    assert answers == ["S. 0:0 9"]


def test_keys_are_rotated() -> None:
    """Section 4.1.2: the last key still counts, the one before it does not."""
    grants = Grants(b"a" * 16)
    cookie = grants.grant(FLOW)
    grants.rotate(b"b" * 16)
    assert grants.judge(FLOW, cookie) is Verdict.OLD
    grants.rotate(b"c" * 16)
    assert grants.judge(FLOW, cookie) is Verdict.WRONG


# Section 4.2.1: clients.


def test_first_connection_asks_for_a_cookie() -> None:
    """Its data leaves after the handshake."""
    client = Client()
    assert client.dial() == ["S 0:0"]
    assert client.asked == FastOpen()
    assert client.inject("S.", 0, 1, options=(MSS, FastOpen(COOKIE))) == ["P. 1:9 1"]


def test_known_server_gets_data_with_the_syn() -> None:
    client = Client()
    client.learn()
    assert client.dial() == ["S 0:8"]
    assert client.last[0].payload == b"question"
    assert client.asked == FastOpen(COOKIE)
    assert client.inject("S.", 0, 9, options=(MSS,)) == [". 9:9 1"]
    assert client.connection.state is State.ESTABLISHED
    assert client.connection.unsent == 0
    assert client.connection.info()["options"] & SYN_DATA


@pytest.mark.parametrize(("acked", "rest"), [(1, "P. 1:9 1"), (4, "P. 4:9 1")])
def test_data_that_is_not_acknowledged_leaves_again_at_once(acked: int, rest: str) -> None:
    """Section 4.2.1: the server takes none of it, or not all; that is no loss."""
    client = Client()
    client.learn()
    client.dial()
    assert client.inject("S.", 0, acked, options=(MSS,)) == [rest]
    assert not client.connection.info()["options"] & SYN_DATA
    assert client.connection.cwnd == 10 * client.connection.mss
    client.inject(".", 1, 9)
    assert client.connection.unsent == 0


def test_more_than_fits_follows_after_the_handshake() -> None:
    """Section 4.1.3: as much as the MSS that came with the cookie leaves room for."""
    client = Client()
    client.learn()
    assert client.dial(bytes(2500)) == ["S 0:960"]
    assert client.inject("S.", 0, 961, options=(MSS,)) == [". 961:1961 1", "P. 1961:2501 1"]


def test_mss_of_each_answer_is_kept() -> None:
    """Section 4.2.1, step 1: also of a SYN/ACK without a cookie, whatever this side's own is."""
    client = Client()
    client.learn()
    client.dial()
    client.inject("S.", 0, 9, options=(MaximumSegmentSize(600),))
    assert client.dial(bytes(2500)) == ["S 0:560"]
    assert client.asked == FastOpen(COOKIE)
    client.inject("S.", 0, 561, options=(MaximumSegmentSize(9000),))
    assert client.dial(bytes(2500)) == ["S 0:1420"]
    client.base = None
    client.flow = Flow(Address("10.0.0.1", 7), client.flow.remote)
    options = SocketOptions(mss=700)
    client.endpoint.connect(client.flow, client.now, data=bytes(900), options=options)
    assert client.out() == ["S 0:660"]
    client.inject("S.", 0, 661, options=(MSS,))
    assert client.dial(bytes(2500)) == ["S 0:960"]


def test_data_of_a_syn_keeps_to_the_mss_of_this_side() -> None:
    """TCP_MAXSEG, and the reported MTU of the path, as in Linux."""
    client = Client()
    client.learn()
    limit = client.endpoint.early_limit
    assert limit(client.flow, client.now) == 960
    assert limit(client.flow, client.now, SocketOptions(mss=700)) == 660
    client.dial(bytes(960))
    assert client.base is not None
    error = IcmpError(kind=IcmpKind.TOO_BIG, flow=client.flow, seq=client.base, mtu=600)
    client.endpoint.receive_icmp(error, client.now)
    assert client.out() == ["S 0:0"]
    assert limit(client.flow, client.now) == 520
    client.now += 600 * SECOND
    assert limit(client.flow, client.now) == 960


def test_syn_too_big_for_the_path_leaves_again_at_once_without_data() -> None:
    """RFC 1191, section 6.4.  The connection keeps to the size that the router reported."""
    client = Client()
    client.learn()
    client.dial(bytes(960))
    assert client.base is not None
    outside = IcmpError(kind=IcmpKind.TOO_BIG, flow=client.flow, seq=client.base + 961, mtu=600)
    error = IcmpError(kind=IcmpKind.TOO_BIG, flow=client.flow, seq=client.base, mtu=600)
    client.endpoint.receive_icmp(outside, client.now)
    assert client.out() == []
    client.endpoint.receive_icmp(error, client.now)
    assert client.out() == ["S 0:0"]
    client.endpoint.receive_icmp(error, client.now)  # about the same packet
    assert client.out() == []
    assert client.inject("S.", 0, 1, options=(MSS,)) == [". 1:561 1", "P. 561:961 1"]


def test_no_router_drops_a_syn_without_data_for_its_size() -> None:
    client = Client()
    client.dial()
    assert client.base is not None
    error = IcmpError(kind=IcmpKind.TOO_BIG, flow=client.flow, seq=client.base, mtu=600)
    client.endpoint.receive_icmp(error, client.now)
    assert client.out() == []
    assert client.inject("S.", 0, 1, options=(MSS,)) == ["P. 1:9 1"]
    assert client.connection.mss == 1000


def test_new_cookie_takes_the_place_of_the_old_one() -> None:
    client = Client()
    client.learn()
    client.dial()
    client.inject("S.", 0, 1, options=(MSS, FastOpen(b"new one.")))
    client.dial()
    assert client.asked == FastOpen(b"new one.")


def test_server_that_grants_nothing_any_more_is_asked_again() -> None:
    """Section 4.1.3: neither data is acknowledged, nor does a cookie come."""
    client = Client()
    client.learn()
    client.dial()
    client.inject("S.", 0, 1, options=(MSS,))
    assert client.dial() == ["S 0:0"]
    assert client.asked == FastOpen()


def test_lost_syn_leaves_again_without_data_and_option() -> None:
    """Section 4.2.1: and the next connections do without for a while, ever longer."""
    client = Client()
    client.learn()
    client.dial()
    assert client.wait(SECOND) == ["S 0:0"]
    assert client.asked is None
    assert client.inject("S.", 0, 1, options=(MSS,)) == ["P. 1:9 1"]
    for pause in (60, 120):
        client.now += (pause - 1) * SECOND
        client.dial()
        assert client.asked is None
        client.now += SECOND
        client.dial()
        assert client.asked == FastOpen(COOKIE)
        client.wait(SECOND)
        client.inject("S.", 0, 1, options=(MSS,))


def test_close_waits_for_the_handshake() -> None:
    """FIN does not go with SYN."""
    client = Client()
    client.learn()
    client.dial()
    client.connection.shutdown()
    assert client.out() == []
    assert client.inject("S.", 0, 9, options=(MSS,)) == ["F. 9:9 1"]


def test_refused_connection_with_data() -> None:
    client = Client()
    client.learn()
    client.dial()
    client.inject("R.", 0, 9)
    ending = [event for event in client.events if isinstance(event, Closed)][-1]
    assert "refused" in str(ending.failure)


@pytest.mark.parametrize("ack", [10, 0xFFFF_FFFF])
def test_ack_of_what_was_not_sent_is_refused(ack: int) -> None:
    """RFC 9293, section 3.10.7.3."""
    client = Client()
    client.learn()
    client.dial()
    assert client.inject("S.", 0, ack, options=(MSS,))[0].startswith("R")
    assert client.connection.state is State.SYN_SENT


def test_simultaneous_open_takes_the_data_back() -> None:
    """Both SYNs cross: data leaves once the handshake is over."""
    client = Client()
    client.learn()
    client.dial()
    assert client.inject("S", 0, options=(MSS,)) == ["S. 0:0 1"]
    sent = client.inject(".", 1, 1)
    assert sent == ["P. 1:9 1"]


def test_nothing_is_asked_without_data_or_the_option() -> None:
    client = Client()
    client.dial(b"")
    assert client.asked is None
    plain = Script(bare())
    plain.endpoint.connect(plain.flow, plain.now, data=b"question")
    assert plain.out() == ["S 0:0"]
    assert plain.last[0].options == (MaximumSegmentSize(1460),)
    assert plain.inject("S.", 0, 1) == ["P. 1:9 1"]


def test_cookie_is_asked_for_without_data() -> None:
    """Section 4.2.1: a SYN that asks need not be one of a connection with data."""
    client = Client()
    client.base = None
    client.endpoint.connect(client.flow, client.now, ask_cookie=True)
    assert client.out() == ["S 0:0"]
    assert client.asked == FastOpen()
    assert client.endpoint.early_limit(client.flow, client.now) == 0
    client.inject("S.", 0, 1, options=(MSS, FastOpen(COOKIE)))
    assert client.endpoint.early_limit(client.flow, client.now) == 960


def test_data_leaves_without_a_cookie_where_none_is_needed() -> None:
    """Once: SYN that is sent again is alone."""
    client = Client(fast_open_cookies=False)
    assert client.dial(bytes(600)) == ["S 0:600"]
    assert client.asked is None
    assert client.wait(SECOND) == ["S 0:0"]
    assert client.inject("S.", 0, 1, options=(MSS,)) == ["P. 1:601 1"]


def test_servers_mss_is_known_without_a_cookie() -> None:
    """As in Linux; before it is, the path's MTU counts.  A cookie that comes unasked does not."""
    client = Client(fast_open_cookies=False)
    assert client.dial(bytes(2500)) == ["S 0:1420"]
    client.inject("S.", 0, 1421, options=(MSS, FastOpen(COOKIE)))
    assert client.dial(bytes(2500)) == ["S 0:960"]
    assert client.asked is None


def test_cache_is_bounded() -> None:
    """The server that was heard of longest ago is forgotten."""
    cache = CookieCache(cookies=True)
    flows = [Flow(CLIENT, Address(f"10.1.{n // 256}.{n % 256}", 80)) for n in range(2000)]
    for flow in flows:
        cache.answered(flow, FastOpen(COOKIE), 1000)
    assert len(cache) == 1024
    first, last = cache.early(flows[0], 0, 1460), cache.early(flows[-1], 0, 1460)
    assert first is not None
    assert last is not None
    assert (first.limit, last.limit) == (0, 960)


# Section 4.2.2: servers.


def test_request_is_granted() -> None:
    server = Server()
    assert server.ask(payload=b"", cookie=FastOpen()) == ["S. 0:0 1"]
    assert find(server.last[0].options, FastOpen) == server.cookie
    assert server.connection.state is State.SYN_RECEIVED
    assert server.events == []


def test_cookie_lets_data_in_before_the_handshake_ends() -> None:
    """The application can read at once, and its answer leaves without waiting."""
    server = Server()
    assert server.ask() == ["S. 0:0 9"]
    assert find(server.last[0].options, FastOpen) is None
    assert [type(event) for event in server.events] == [Connected, Readable]
    assert server.connection.read(100) == b"question"
    server.connection.send(b"answer")
    assert server.out() == ["P. 1:7 9"]
    assert server.connection.state is State.SYN_RECEIVED
    assert server.inject(".", 9, 7) == []
    assert server.connection.state is State.ESTABLISHED
    assert server.connection.unsent == 0
    assert sum(isinstance(event, Connected) for event in server.events) == 1


def test_cookie_without_data_lets_the_answer_out_before_the_handshake_ends() -> None:
    """As in Linux: a server may speak first."""
    server = Server()
    assert server.ask(payload=b"") == ["S. 0:0 1"]
    assert [type(event) for event in server.events] == [Connected]
    server.connection.send(b"welcome")
    assert server.out() == ["P. 1:8 1"]
    assert not server.connection.info()["options"] & SYN_DATA
    assert server.inject("P.", 1, 8, b"question") == [". 8:8 9"]
    assert server.connection.state is State.ESTABLISHED


def test_answer_keeps_to_the_windows() -> None:
    """The initial one, of which SYN takes an octet, and what the client's SYN allows."""
    server = Server()
    server.ask()
    server.connection.send(bytes(50_000))
    assert len(server.out()) == 9
    small = Server()
    small.inject("S", 0, payload=b"question", options=(MSS, small.cookie), win=2001)
    small.connection.send(bytes(50_000))
    assert sum(len(one.payload) for one in (small.out(), small.last)[1]) == 2000


def test_close_of_the_server_waits_for_the_handshake() -> None:
    server = Server()
    server.ask()
    server.connection.send(b"answer")
    server.connection.shutdown()
    assert server.out() == ["P. 1:7 9"]
    assert server.inject(".", 9, 1) == ["F. 7:7 9"]
    assert server.connection.state is State.FIN_WAIT_1


def test_lost_answer_is_not_sent_before_the_handshake_ends() -> None:
    """As in Linux: until then SYN,ACK alone leaves again."""
    server = Server()
    server.ask()
    server.connection.send(b"answer")
    server.out()
    assert server.wait(SECOND) == ["S. 0:0 9"]
    server.connection.send(b" and more")
    assert server.out() == []
    assert server.inject(".", 9, 1)[0] == "P. 1:7 9"


@pytest.mark.parametrize("wrong", [b"not this", b"four", bytes(16)])
def test_wrong_cookie_gets_a_right_one(wrong: bytes) -> None:
    """Only SYN is acknowledged; the data comes again after the handshake."""
    server = Server()
    assert server.ask(cookie=FastOpen(wrong)) == ["S. 0:0 1"]
    assert find(server.last[0].options, FastOpen) == server.cookie
    assert server.events == []
    server.inject(".", 1, 1, payload=b"question")
    assert server.connection.read(100) == b"question"


@pytest.mark.parametrize("options", [(MSS,), (MSS, FastOpen()), (MSS, FastOpen(bytes(8)))])
def test_any_data_gets_in_where_no_cookie_is_needed(options: tuple[Option, ...]) -> None:
    server = Server(fast_open_cookies=False)
    assert server.inject("S", 0, payload=b"question", options=options) == ["S. 0:0 9"]
    assert find(server.last[0].options, FastOpen) is None
    assert server.connection.read(100) == b"question"
    assert server.connection.info()["options"] & SYN_DATA


def test_request_without_data_is_granted_where_no_cookie_is_needed() -> None:
    server = Server(fast_open_cookies=False)
    server.inject("S", 0, options=(MSS, FastOpen()))
    assert find(server.last[0].options, FastOpen) == server.cookie


def test_cookie_of_the_key_before_is_replaced() -> None:
    server = Server()
    server.endpoint.rotate_fast_open_key(b"n" * 16)
    assert server.ask() == ["S. 0:0 9"]
    assert find(server.last[0].options, FastOpen) == Grants(b"n" * 16).grant(server.flow)


def test_cookie_goes_with_the_first_syn_ack_only() -> None:
    server = Server()
    server.ask(payload=b"", cookie=FastOpen())
    assert server.wait(SECOND) == ["S. 0:0 1"]
    assert find(server.last[0].options, FastOpen) is None


def test_port_without_fast_open_ignores_the_option() -> None:
    server = Script(bare())
    server.endpoint.listen(server.flow.local)
    server.inject("S", 0, options=(MSS, FastOpen()))
    assert find(server.last[0].options, FastOpen) is None


def test_pending_connections_are_bounded() -> None:
    """Section 5.1: those beyond the limit go through the whole handshake."""
    server = Server(fast_open_pending=2)
    answers = []
    for port in range(2000, 2004):
        server.meet(port)
        answers += server.ask()
    assert answers == ["S. 0:0 9"] * 2 + ["S. 0:0 1"] * 2
    server.meet(2000)
    server.base = server.connection.sender.base - 1
    server.inject(".", 9, 1)  # one is through: there is room again
    server.meet(2005)
    assert server.ask() == ["S. 0:0 9"]


def test_reset_connections_stay_counted_for_a_while() -> None:
    """Section 5.1: SYN and RST in turn would get around the limit."""
    server = Server(fast_open_pending=2)
    for port in (2000, 2001):
        server.meet(port)
        assert server.ask() == ["S. 0:0 9"]
        server.inject("R", 9)
    server.meet(2002)
    assert server.ask() == ["S. 0:0 1"]
    server.now += 61 * SECOND
    server.meet(2003)
    assert server.ask() == ["S. 0:0 9"]


def test_reset_is_told_to_the_application() -> None:
    """The program has the connection already."""
    server = Server()
    server.ask()
    server.inject("R", 9)
    ending = server.ending()
    assert ending is not None
    assert "reset" in str(ending.failure)


def test_syn_that_comes_again_gets_the_same_answer() -> None:
    server = Server()
    server.ask()
    assert server.ask() == ["S. 0:0 9"]
    assert server.connection.read(100) == b"question"


# Both, over a wire.


def _exchange(network: Network, question: bytes, answer: bytes) -> tuple[int, bytes, bytes]:
    """Ask and answer on a new connection; return how long that took, and what arrived."""
    flow = Flow(Address(CLIENT.host, CLIENT.port + len(network.transcript)), SERVER)
    asked, answered = bytearray(), bytearray()

    def work(endpoint: object, connection: TcpConnection, _: object) -> None:
        if endpoint is network.server:
            before = len(asked)
            asked.extend(connection.read(1 << 20))
            if before < len(question) <= len(asked):
                connection.send(answer)
                connection.shutdown()
        else:
            answered.extend(connection.read(1 << 20))

    network.on_event = work
    began = network.now
    connection = network.client.connect(flow, network.now, data=question)
    network.run(until=lambda: len(answered) >= len(answer))
    took = network.now - began
    connection.shutdown()
    network.run_for(300 * SECOND)
    return took, bytes(asked), bytes(answered)


def test_second_request_takes_a_round_trip_less() -> None:
    """10 ms each way: two round trips with the handshake, one without."""
    network = Network(CONFIG)
    network.server.listen(SERVER)
    assert _exchange(network, b"question", b"answer") == (40 * MS, b"question", b"answer")
    assert _exchange(network, b"question", b"answer") == (20 * MS, b"question", b"answer")


@pytest.mark.parametrize("seed", range(8))
def test_everything_arrives_over_a_bad_wire(seed: int) -> None:
    """With losses, reordering and duplicates in any part of the handshake."""
    network = Network(CONFIG, seed=seed, loss=0.25, jitter=30 * MS, duplication=0.1)
    network.server.listen(SERVER)
    question, answer = bytes(range(256)) * 20, bytes(reversed(range(256))) * 60
    for _ in range(3):
        _, asked, answered = _exchange(network, question, answer)
        assert asked == question
        assert answered == answer


def test_timestamps_stay_without_an_extension() -> None:
    """The options have room for timestamps and a cookie."""
    network = Network(CONFIG)
    network.server.listen(SERVER)
    _exchange(network, b"question", b"answer")
    syns = [one for _, one in network.transcript if one.flags & SYN]
    assert [find(one.options, FastOpen) is not None for one in syns] == [True, True]
    assert [find(one.options, Timestamps) is not None for one in syns] == [True, True]
