"""The verdicts on scripts: the runner finds each difference and its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from testbed.errors import InputError
from testbed.interchange import packetdrill
from testbed.interchange.packetdrill import Outcome, Verdict
from testbed.packet.address import pack
from testbed.stack.tcp.siphash import siphash

TCP = """0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3
+0 bind(3, ..., ...) = 0
+0 listen(3, 1) = 0
+0 < S 0:0(0) win 1000 <mss 1000, sackOK, nop, wscale 0>
+0 > S. 0:0(0) ack 1 <mss 1460, sackOK, nop, wscale 8>
+.1 < . 1:1(0) ack 1 win 1000
+0 accept(3, ..., ...) = 4
"""
MPTCP = """0 socket(..., SOCK_STREAM, IPPROTO_MPTCP) = 3
+0 bind(3, ..., ...) = 0
+0 listen(3, 1) = 0
+0 < S 0:0(0) win 1000 <mss 1000, mpcapable v1 flags[flag_h] nokey>
+0 > S. 0:0(0) ack 1 <mss 1460, mpcapable v1 flags[flag_h] key[skey]>
+.1 < . 1:1(0) ack 1 win 1000 <mpcapable v1 flags[flag_h] key[ckey=2, skey]>
+0 accept(3, ..., ...) = 4
"""
LAST = 8  # the line after either of them


@pytest.fixture
def run(tmp_path: Path):
    def run(text: str, ip_version: str = "ipv4", **defines: str) -> Outcome:
        path = tmp_path / "some.pkt"
        path.write_text(text)
        return packetdrill.run(path, ip_version, defines=defines)

    return run


@pytest.mark.parametrize("ip_version", packetdrill.VERSIONS)
def test_pass(run, ip_version: str) -> None:
    outcome = run(TCP, ip_version)
    assert (outcome.verdict, outcome.line, outcome.reason) == (Verdict.PASS, None, "")
    assert outcome.ip_version == ip_version


@pytest.mark.parametrize(
    ("packet", "wrong"),
    [
        ("P. 1:11(10) ack 1", []),
        ("P. 1:11(10) ack 1 <...>", []),
        (". 1:11(10) ack 1", ["flags"]),
        ("P. 2:12(10) ack 1", ["sequence numbers"]),
        ("P. 1:12(11) ack 1", ["sequence numbers"]),
        ("P. 1:11(10) ack 2", ["ack"]),
        ("P. 1:11(10) ack 1 win 7", ["win"]),
        ("P. 1:11(10) ack 1 <sackOK>", ["options"]),
        ("[ect0] P. 1:11(10) ack 1", ["ECN"]),
        ("PU. 1:11(10) ack 1 urg 3", ["flags", "urg"]),
    ],
)
def test_each_part_of_a_packet_is_compared(run, packet: str, wrong: list[str]) -> None:
    outcome = run(f"{TCP}+0 write(4, ..., 10) = 10\n+0 > {packet}")
    if not wrong:
        assert outcome.verdict is Verdict.PASS
        return
    assert (outcome.verdict, outcome.line) == (Verdict.FAIL, LAST + 1)
    assert outcome.reason == f"another packet: {', '.join(wrong)}"
    assert outcome.expected == f"> {packet}"
    assert outcome.got == "> P. 1:11(10) ack 1 win 61440"


@pytest.mark.parametrize(
    ("option", "wrong"),
    [
        ("dss dack4=1 dsn8=1 ssn=1 dll=10 nocs", ""),
        ("dss dack4=1 dsn8=1 nocs", ""),  # fields that the script omits are not compared
        ("dss dack8=1 dsn8=1 ssn=1 dll=10 nocs", "dss"),
        ("dss dack4=2 dsn8=1 ssn=1 dll=10 nocs", "dss"),
        ("dss dack4=1 dsn8=2 ssn=1 dll=10 nocs", "dss"),
        ("dss dack4=1 dsn4=1 ssn=1 dll=10 nocs", "dss"),
        ("dss dack4=1 dsn8=1 ssn=2 dll=10 nocs", "dss"),
        ("dss dack4=1 dsn8=1 ssn=1 dll=11 nocs", "dss"),
        ("dss dack4=1 dsn8=1 ssn=1 dll=10 cksum=1", "dss"),
        ("dss dack4=1 dsn8=1 ssn=1 dll=10 nocs fin", "dss"),
        ("dss dack4=1 nocs", "dss"),
        ("mp_reset 1", "options"),
    ],
)
def test_each_part_of_dss_is_compared(run, option: str, wrong: str) -> None:
    outcome = run(f"{MPTCP}+0 write(4, ..., 10) = 10\n+0 > P. 1:11(10) ack 1 <{option}>")
    assert outcome.reason == (f"another packet: {wrong}" if wrong else "")
    assert outcome.verdict is (Verdict.FAIL if wrong else Verdict.PASS)


@pytest.mark.parametrize(
    ("option", "wrong"),
    [
        ("add_address address_id=9 addr[a=inet_addr(\"192.0.2.77\")] hmac=auto", ""),
        ("add_address addr[a] hmac=auto", ""),
        ("add_address address_id=8 addr[a] hmac=auto", "add_address"),
        ("add_address addr[a=inet_addr(\"192.0.2.78\")] hmac=auto", "add_address"),
        ("add_address addr[a] hmac=1", "add_address"),
        ("add_address addr[a] port=80 hmac=auto", "add_address"),
        ("add_address addr[a] addr_echo", "add_address"),
    ],
)  # fmt: skip
def test_each_part_of_add_address_is_compared(run, option: str, wrong: str) -> None:
    announced = "`ip mptcp endpoint add 192.0.2.77 id 9 signal`\n"
    outcome = run(f"{announced}{MPTCP}+0 > . 1:1(0) ack 1 <{option}>")
    assert outcome.reason == (f"another packet: {wrong}" if wrong else "")


def test_keys_have_to_be_the_right_ones(run) -> None:
    outcome = run(
        "0 socket(..., SOCK_STREAM|SOCK_NONBLOCK, IPPROTO_MPTCP) = 3\n"
        "+0 connect(3, ..., ...) = -1 EINPROGRESS\n"
        "+0 > S 0:0(0) <...>\n"
        "+0 < S. 0:0(0) ack 1 win 1000 <mpcapable v1 flags[flag_h] key[skey=2]>\n"
        "+0 > . 1:1(0) ack 1 <mpcapable v1 flags[flag_h] key[skey, ckey]>"
    )
    assert (outcome.reason, outcome.line) == ("another packet: mp_capable", 5)


def test_wrong_hmac_of_a_join_is_told(run) -> None:
    """The script's own HMACs are right where it says auto: the join gets in."""
    join = (
        "+0 < P. 1:2(1) ack 1 win 1000 <dss dack4=1 dsn4=1 ssn=1 dll=1 nocs>\n"
        "+0 > . 1:1(0) ack 2 <...>\n"
        "+0 < addr[b] > addr[c] S 0:0(0) win 1 <mp_join_syn address_id=3 token=sha256_32(skey)>\n"
        "+0 > S. 0:0(0) ack 1 <mss 1460, mp_join_syn_ack sender_hmac={hmac}>\n"
    )
    limits = "`ip mptcp limits set subflows 2`\n"
    assert run(limits + MPTCP + join.format(hmac="auto")).verdict is Verdict.PASS
    wrong = run(limits + MPTCP + join.format(hmac="1"))
    assert wrong.reason == "another packet: mp_join_syn_ack"
    assert "sender_hmac=auto" in wrong.got


def test_nothing_sent(run) -> None:
    outcome = run(f"{TCP}+.5 > P. 1:11(10) ack 1")
    assert (outcome.verdict, outcome.line) == (Verdict.FAIL, LAST)
    assert (outcome.reason, outcome.got) == ("nothing was sent", "nothing until 0.604000")


@pytest.mark.parametrize(
    ("when", "passes"),
    [
        ("+.2", True),  # within the tolerance of 4 ms
        ("+.194", False),
        ("+.206", False),
        ("+.1~+.3", True),
        ("+.3~+.4", False),
        ("*", True),
    ],
)
def test_times_are_compared(run, when: str, passes: bool) -> None:
    """The retransmission is due after the RTO: 300 ms, as the handshake took 100 ms."""
    first = f"{TCP}+0 write(4, ..., 10) = 10\n+0 > P. 1:11(10) ack 1\n+.1 `true`\n"
    outcome = run(f"{first}{when} > P. 1:11(10) ack 1")
    assert outcome.verdict is (Verdict.PASS if passes else Verdict.FAIL)
    if not passes and not outcome.got.startswith("nothing until"):
        assert outcome.reason == "another packet: time"
        assert outcome.got.startswith("0.400000 > P.")


def test_times_are_told_beside_other_differences(run) -> None:
    outcome = run(f"{TCP}+0 write(4, ..., 10) = 10\n+.2 > . 1:11(10) ack 1")
    assert outcome.reason == "another packet: flags, time"
    assert outcome.expected == "0.300000 > . 1:11(10) ack 1"
    assert outcome.got.startswith("0.100000 > P. 1:11(10) ack 1")


def test_what_calls_write_is_told_as_scripts_say_it(run) -> None:
    outcome = run(f"{TCP}+0 poll([{{fd=4, events=POLLIN|POLLOUT, revents=POLLIN}}], 1, 0) = 1")
    assert outcome.expected == "value 1: [{fd=4, events=POLLIN|POLLOUT, revents=POLLIN}]"
    assert outcome.got == "1, value 1: [POLLOUT]"


def test_an_empty_script_is_none(run) -> None:
    """Such a script would pass with any behaviour of the stack."""
    with pytest.raises(InputError, match="a script without events"):
        run("// to be written\n")


def test_tolerance_is_the_scripts(run) -> None:
    late = f"{TCP}+0 write(4, ..., 10) = 10\n+.05 > P. 1:11(10) ack 1"
    assert run(late).verdict is Verdict.FAIL
    assert run(f"--tolerance_usecs=60000\n{late}").verdict is Verdict.PASS


@pytest.mark.parametrize(
    ("call", "expected", "got"),
    [
        ("read(4, ..., 100) = 10", "10", "-1 EAGAIN"),
        ("read(4, ..., 100) = -1 EPIPE", "-1 EPIPE", "-1 EAGAIN"),
        ("write(4, ..., 10) = 11", "11", "10"),
        ("close(9) = 0", "0", "-1 EBADF"),
        ("close(4) = -1 EBADF", "-1 EBADF", "0"),
        ("getsockopt(4, SOL_SOCKET, SO_ERROR, [3], [4]) = 0", "value 4: [3]",
         "0, value 4: 0"),
    ],
)  # fmt: skip
def test_results_of_calls_are_compared(run, call: str, expected: str, got: str) -> None:
    outcome = run(f"{TCP}+0 fcntl(4, F_SETFL, O_NONBLOCK) = 0\n+0 {call}")
    assert (outcome.verdict, outcome.line) == (Verdict.FAIL, LAST + 1)
    assert (outcome.expected, outcome.got) == (expected, got)


def test_call_that_is_as_in_linux(run) -> None:
    data = "+0 < P. 1:11(10) ack 1 win 1000\n+0 > . 1:1(0) ack 11\n"
    calls = (
        "getsockopt(4, SOL_TCP, TCP_KEEPIDLE, [7200], [4]) = 0",
        "getsockopt(4, SOL_TCP, TCP_KEEPINTVL, [75], [4]) = 0",
        "getsockopt(4, SOL_TCP, TCP_KEEPCNT, [9], [4]) = 0",
        "setsockopt(4, SOL_TCP, TCP_MAXSEG, [100], 4) = 0",
        "write(4, NULL, 10) = -1 EFAULT",
        "read(4, NULL, 10) = -1 EFAULT",
        "recv(4, ..., 4, MSG_PEEK) = 4",
        "recv(4, ..., 10, MSG_PEEK | MSG_WAITALL) = 10",
        "recv(4, ..., 20, MSG_WAITALL | MSG_DONTWAIT) = 10",
    )
    for protocol in (TCP, MPTCP):
        sent = (
            data
            if protocol is TCP
            else data.replace("1000", "1000 <dss dack4=1 dsn4=1 ssn=1 dll=10 nocs>", 1).replace(
                "ack 11", "ack 11 <...>"
            )
        )
        outcome = run(protocol + sent + "".join(f"+0 {call}\n" for call in calls))
        assert outcome.verdict is Verdict.PASS, outcome


def test_peek_that_waits_for_everything_waits(run) -> None:
    outcome = run(
        f"{TCP}+0...0.5 recv(4, ..., 20, MSG_PEEK | MSG_WAITALL) = 20\n"
        "+.1 < P. 1:11(10) ack 1 win 1000\n+0 > . 1:1(0) ack 11\n"
        "+.4 < P. 11:21(10) ack 1 win 1000\n+0 > . 1:1(0) ack 21\n"
        "+0 read(4, ..., 30) = 20"
    )
    assert outcome.verdict is Verdict.PASS, outcome


@pytest.mark.parametrize(
    ("flags", "sent"),
    [
        ("0", "+0 > P. 1:31(30) ack 1"),
        (
            "MSG_EOR",
            "+0 > P. 1:11(10) ack 1\n+0 < . 1:1(0) ack 11 win 1000\n+0 > P. 11:31(20) ack 1",
        ),
    ],
)
def test_records_end_at_their_flag(run, flags: str, sent: str) -> None:
    outcome = run(
        f"{TCP}+0 setsockopt(4, SOL_TCP, TCP_CORK, [1], 4) = 0\n"
        f"+0 send(4, ..., 10, {flags}) = 10\n+0 send(4, ..., 20, 0) = 20\n"
        f"+0 setsockopt(4, SOL_TCP, TCP_CORK, [0], 4) = 0\n{sent}"
    )
    assert outcome.verdict is Verdict.PASS, outcome


def test_keys_of_fast_open_are_those_of_a_program(run) -> None:
    outcome = run(
        "0 `sysctl -q net.ipv4.tcp_fastopen=3`\n"
        "+0 socket(..., SOCK_STREAM, IPPROTO_MPTCP) = 3\n"
        '+0 setsockopt(3, SOL_TCP, TCP_FASTOPEN_KEY, "0123456789abcdef", 15) = 0\n'
        '+0 getsockopt(3, SOL_TCP, TCP_FASTOPEN_KEY, "0123456789abcdef", [16]) = 0\n'
        '+0 setsockopt(3, SOL_TCP, TCP_FASTOPEN_KEY, "too short", 9) = -1 EINVAL\n'
        "+0 setsockopt(3, SOL_TCP, TCP_FASTOPEN, [2], 4) = 0\n"
        "+0 bind(3, ..., ...) = 0\n+0 listen(3, 1) = 0\n"
        "+0 < S 0:0(0) win 1000 <mss 1000, FO, nop, nop>\n"
        "+0 > S. 0:0(0) ack 1 <mss 1460, FO COOKIE, nop, nop>\n",
        COOKIE=siphash(b"0123456789abcdef", pack("192.0.2.1") + pack("192.168.0.1")).hex(),
    )
    assert outcome.verdict is Verdict.PASS, outcome


def test_connection_that_lost_its_subflow_before_accept_is_closed(run) -> None:
    opened, accept = MPTCP.rsplit("+0 accept", 1)
    outcome = run(
        f"{opened}+0 < P. 1:3(2) ack 1 win 9 <dss dack4=1 dsn4=1 ssn=1 dll=2 nocs>\n"
        f"+0 > . 1:1(0) ack 3 <...>\n+0 < R. 3:3(0) ack 1 win 9\n+0 accept{accept}"
        "+0 write(4, ..., 10) = -1 EPIPE"
    )
    assert outcome.verdict is Verdict.PASS, outcome


def test_loss_of_all_subflows_is_no_error(run) -> None:
    """As in Linux: the connection waits for a join until ``close_timeout``."""
    outcome = run(
        f"0 `sysctl -q net.mptcp.close_timeout=1`\n{MPTCP}+0 < R. 1:1(0) ack 1 win 9\n"
        "+0...1 read(4, ..., 10) = -1 ENOTCONN\n"
        "+1.1 getsockopt(4, SOL_SOCKET, SO_ERROR, [0], [4]) = 0\n"
        "+0 write(4, ..., 10) = -1 EPIPE\n+0 read(4, ..., 10) = -1 ENOTCONN"
    )
    assert outcome.verdict is Verdict.PASS, outcome


def test_fastclose_is_an_error(run) -> None:
    outcome = run(
        f"{MPTCP}+0 < R. 1:1(0) ack 1 win 9 <mp_fastclose>\n"
        "+0 read(4, ..., 10) = -1 ECONNRESET\n+0 read(4, ..., 10) = -1 ENOTCONN"
    )
    assert outcome.verdict is Verdict.PASS, outcome


def test_call_that_waits_and_must_not(run) -> None:
    outcome = run(f"{TCP}+0 read(4, ..., 100) = 10")
    assert (outcome.verdict, outcome.reason) == (Verdict.FAIL, "read waits")


@pytest.mark.parametrize("wrong", ["tos", "ttl"])
def test_fields_of_the_ip_header_are_compared(run, wrong: str) -> None:
    right = {"tos": "0", "ttl": "64"}
    packets = "+0 write(4, ..., 10) = 10\n+0 > [tos {tos}, ttl {ttl}] P. 1:11(10) ack 1"
    assert run(TCP + packets.format(**right)).verdict is Verdict.PASS
    outcome = run(TCP + packets.format(**{**right, wrong: "8"}))
    assert outcome.reason == f"another packet: {wrong}"
    assert f"{wrong} {right[wrong]}" in outcome.got


def test_times_of_tcp_info_count_until_the_assertion(run) -> None:
    closed = TCP.replace("ack 1 win 1000", "ack 1 win 0")
    text = f"{closed}+0 write(4, ..., 10) = 10\n+.1 %{{ assert tcpi_rwnd_limited == 100000 }}%"
    assert run(text).verdict is Verdict.PASS


def test_wrong_assertion(run) -> None:
    outcome = run(f"{TCP}+0 %{{ assert tcpi_snd_cwnd == 11, tcpi_snd_cwnd }}%")
    assert (outcome.verdict, outcome.line) == (Verdict.FAIL, LAST)
    assert (outcome.expected, outcome.got) == ("tcpi_snd_cwnd == 11", "tcpi_snd_cwnd = 10")


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("+0 mmap(3) = 0", "the system call mmap"),
        ("+0 socket(..., SOCK_DGRAM, IPPROTO_UDP) = 5", "sockets of IPPROTO_UDP, SOCK_DGRAM"),
        ("+0 setsockopt(4, SOL_TCP, TCP_ULP, [1], 4) = 0", "the socket option TCP_ULP"),
        (
            "+0 setsockopt(4, SOL_TCP, TCP_SYNCNT, [1], 4) = 0",
            "TCP_SYNCNT of a connection that has begun",
        ),
        (
            "+0 `tc qdisc add dev tun0 root pfifo limit 0`",
            "the command 'tc qdisc add dev tun0 root pfifo limit 0'",
        ),
        ("+0 send(4, ..., 10, MSG_ZEROCOPY) = 10", "MSG_ZEROCOPY"),
        (
            "+0 epoll_create(1) = 5\n+0 epoll_ctl(5, EPOLL_CTL_ADD, 4, {events=EPOLLET, fd=4}) = 0",
            "EPOLLET",
        ),
        ("+0 `iptables -F`", "the command 'iptables -F'"),
        (
            "+0 < S 0:9(9) win 1 <FO TFO_COOKIE>",
            "a cookie of TCP Fast Open, of a port that grants none",
        ),
        ("+0 `sysctl -q net.ipv4.tcp_mtu_probing=2`", "sysctl net.ipv4.tcp_mtu_probing=2"),
        ("+0 `ip mptcp monitor`", "ip mptcp monitor"),
        ("+0 %{ print(1) }%", "Python other than assertions"),
        ("+0 %{ assert len('x') }%", "Python as \"len('x')\""),
        ("+0 %{ assert tcpi_magic }%", "tcpi_magic of TCP_INFO"),
        ("+0 `test $(nstat -zjs | jq '.kernel.TcpOutRsts') -eq 0`", "the counter TcpOutRsts"),
    ],
)
def test_what_there_is_not_is_unsupported_with_its_line(run, line: str, reason: str) -> None:
    outcome = run(f"{TCP}{line}")
    assert (outcome.verdict, outcome.line) == (Verdict.UNSUPPORTED, LAST + line.count("\n"))
    assert outcome.reason == reason


@pytest.mark.parametrize("said", ["{events=EPOLLIN, fd=4}", "{events=EPOLLOUT, fd=3}", "{fd=4}"])
def test_events_of_epoll_are_compared(run, said: str) -> None:
    outcome = run(
        f"{TCP}+0 epoll_create(1) = 5\n"
        "+0 epoll_ctl(5, EPOLL_CTL_ADD, 4, {events=EPOLLIN|EPOLLOUT, fd=4}) = 0\n"
        f"+0 epoll_wait(5, {said}, 1, 0) = 1"
    )
    assert (outcome.verdict, outcome.line) == (Verdict.FAIL, LAST + 2)


def test_command_that_does_not_hold_fails(run) -> None:
    outcome = run(f"{MPTCP}+0 `ss -Mn | grep -q LAST-ACK`")
    assert (outcome.verdict, outcome.reason) == (Verdict.FAIL, "a command fails")
    assert run(f"{MPTCP}+0 `ss -Mn | grep -q ESTAB`").verdict is Verdict.PASS
    assert run(f"{MPTCP}+0 `! ss -Mtn | grep tcp`").verdict is Verdict.FAIL


def test_segments_that_follow_one_another_are_one_packet(run) -> None:
    outcome = run(f"{TCP}+0 write(4, ..., 900) = 900\n+0 > P. 1:901(900) ack 1")
    assert outcome.verdict is Verdict.PASS
    wide = TCP.replace("win 1000", "win 30000").replace("<mss 1000", "<mss 500")
    whole = f"{wide}+0 write(4, ..., 2000) = 2000\n"
    assert run(f"{whole}+0 > P. 1:2001(2000) ack 1").verdict is Verdict.PASS
    assert run(f"{whole}+0 > . 1:501(500) ack 1\n+0 > P. 501:2001(1500) ack 1").verdict is (
        Verdict.PASS
    )
    # In Linux, a packet that is segmented late has PSH.
    assert run(f"{whole}+0 > P. 1:1001(1000) ack 1\n+0 > P. 1001:2001(1000) ack 1").verdict is (
        Verdict.PASS
    )
    assert run(f"{whole}+0 > P. 1:501(500) ack 1").reason == "another packet: flags"


def test_bad_input_is_an_error_with_its_line(run, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"some\.pkt:8: a time is expected"):
        run(f"{TCP}+x")
    with pytest.raises(InputError, match=r"--tolerance_usecs=soon is not a number"):
        run(f"--tolerance_usecs=soon\n{TCP}")
    with pytest.raises(InputError, match=r"some\.pkt:8: an invalid command"):
        run(f"{TCP}+0 `sysctl -q net.ipv4.tcp_syn_retries=many`")
    with pytest.raises(InputError, match="no key is named 'nokey'"):
        run(f"{MPTCP}+0 < S 0:0(0) win 1 <mp_join_syn address_id=1 token=sha256_32(nokey)>")
    with pytest.raises(InputError, match="there is no IP version 'ipx'"):
        run(TCP, "ipx")
    with pytest.raises(InputError, match="cannot be read"):
        packetdrill.run(tmp_path / "none.pkt")
    with pytest.raises(InputError, match="has no scripts"):
        packetdrill.scripts(
            [tmp_path / ".." / tmp_path.name / "empty"]
            if (tmp_path / "empty").mkdir() is None
            else []
        )


@pytest.mark.parametrize(
    ("name", "text", "versions"),
    [
        ("a.pkt", "", ("ipv4", "ipv4-mapped-ipv6", "ipv6")),
        ("a_v4.pkt", "", ("ipv4", "ipv4-mapped-ipv6")),
        ("a_v6.pkt", "", ("ipv6",)),
        ("a.pkt", "--mtu=9000\n--ip_version=ipv6\n", ("ipv6",)),
    ],
)
def test_versions_of_a_script(tmp_path: Path, name: str, text: str, versions: tuple) -> None:
    path = tmp_path / name
    path.write_text(text)
    assert packetdrill.versions_of(path) == versions


def test_assertions_may_have_several_lines(run) -> None:
    outcome = run(
        f"{TCP}+0 %{{ assert tcpi_state == TCP_ESTABLISHED, tcpi_state; \\\n"
        "      assert 1 <= tcpi_snd_cwnd <= 20 and not tcpi_lost; \\\n"
        "      assert (tcpi_options & TCPI_OPT_SACK) != 0 }%"
    )
    assert outcome.verdict is Verdict.PASS
