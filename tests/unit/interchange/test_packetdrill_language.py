"""The grammar of packetdrill's scripts, and the messages about mistakes in them."""

from __future__ import annotations

import pytest

from testbed.errors import InputError
from testbed.interchange.packetdrill.model import (
    Anything,
    Assertion,
    Call,
    Ends,
    Fields,
    Icmp,
    Items,
    Kind,
    Packet,
    Range,
    Script,
    Shell,
    UnsupportedError,
    When,
    Word,
)
from testbed.interchange.packetdrill.notation import of_packet
from testbed.interchange.packetdrill.parser import parse_text

MS = 1_000_000


def parsed(text: str, **defines: str) -> Script:
    return parse_text(text, "some.pkt", defines)


def only(text: str, **defines: str):
    (timed,) = parsed(text, **defines).events
    return timed.event


@pytest.mark.parametrize(
    ("text", "when"),
    [
        ("0.5", When(Kind.ABSOLUTE, 500 * MS)),
        ("+0", When(Kind.RELATIVE, 0)),
        ("+.01", When(Kind.RELATIVE, 10 * MS)),
        ("*", When(Kind.ANY)),
        ("+0.2~+0.3", When(Kind.RELATIVE, 200 * MS, until=300 * MS)),
        ("+0...0.4", When(Kind.RELATIVE, 0, ends=400 * MS)),
    ],
)
def test_times(text: str, when: When) -> None:
    (timed,) = parsed(f"{text} close(3) = 0").events
    assert timed.when == when


def test_first_lines_are_options_and_commands() -> None:
    script = parsed("--tolerance_usecs=100000\n`one\ntwo`\n+0 `three`")
    assert script.options == {"tolerance_usecs": "100000"}
    assert [one.text for one in script.setup] == ["one\ntwo"]
    assert script.events[0].event == Shell(line=4, text="three")


def test_comments_and_lines() -> None:
    script = parsed("// one\n/* two\n */ # three\n0 close(3) = 0 // four\n\n+0 close(4) = 0")
    assert [timed.event.line for timed in script.events] == [4, 6]


def test_call() -> None:
    call = only("0 connect(3, ..., ...) = -1 EINPROGRESS (Operation now in progress)")
    assert call == Call(
        line=1,
        name="connect",
        arguments=(3, Anything(), Anything()),
        result=-1,
        errno="EINPROGRESS",
        note="Operation now in progress",
    )


def test_values_of_calls() -> None:
    call = only(
        '0 f(A|B, [1], {fd=3, events=POLLIN}, "text", {..., 10}, 0x10, {msg_name(...)=...}) = 2 * 3'
    )
    words, items, named, text, unnamed, number, message = call.arguments
    assert words == Word(("A", "B"))
    assert items == Items((1,))
    assert named == Fields((("fd", 3), ("events", Word(("POLLIN",)))))
    assert (text, number, call.result) == ("text", 16, 6)
    assert unnamed == Fields((("0", Anything()), ("1", 10)))
    assert message == Fields((("msg_name", Anything()),))


def test_star_after_a_result_is_a_time() -> None:
    first, second = parsed("0 accept(3, ..., ...) = 4\n* > . 1:1(0) ack 1").events
    assert first.event.result == 4
    assert second.when == When(Kind.ANY)


def test_code() -> None:
    assert only("+0 %{ assert tcpi_lost == 1 }%") == Assertion(
        line=1, text=" assert tcpi_lost == 1 "
    )


def test_packet() -> None:
    packet = only("+0 < [ect0] addr[a] > addr[b] SP. 1:101(100) ack 7 win 50 urg 3 <mss 1460>")
    assert isinstance(packet, Packet)
    assert packet.inbound
    assert (packet.flags, packet.range) == ("SP.", Range(1, 101, 100))
    assert (packet.ack, packet.window, packet.urgent) == (7, 50, 3)
    assert packet.ends == Ends("a", "b")
    assert packet.ip == {"ecn": "ect0"}


def test_any_options() -> None:
    assert only("+0 > S 0:0(0) <...>").options is None
    assert only("+0 > S 0:0(0)").options == ()


def test_icmp() -> None:
    icmp = only("+0 < icmp unreachable frag_needed mtu 1200 [1:1461(1460)]")
    assert icmp == Icmp(
        line=1,
        version=4,
        type="unreachable",
        code="frag_needed",
        mtu=1200,
        range=Range(1, 1461, 1460),
    )


# `of_packet` writes each line, so reading and writing agree.
OPTIONS = (
    "mss 1460, nop, wscale 8, sackOK",
    "TS val 100 ecr 700",
    "sack 1:2 3:4",
    "FO",
    "FO 9b57e9a81b0d4005",
    "FO TFO_COOKIE",
    "FOexp abcd",
    "mpcapable v1 flags 0x1 nokey",
    "mpcapable v1 flags 0x81 key[skey=2]",
    "mpcapable v1 flags 0x1 key[ckey=2, skey] mpcdatalen 100",
    "mp_join_syn backup=1 address_id=1 token=sha256_32(skey)",
    "mp_join_syn_ack address_id=0 sender_hmac=auto",
    "mp_join_ack sender_hmac=auto",
    "dss dack8=1 dsn8=1 ssn=0 dll=1 nocs fin",
    "dss dack4=5 dsn4=3 ssn=3 dll=2 cksum=77",
    "add_address address_id=1 addr[saddr1] port=4321 hmac=auto",
    "add_address address_id=1 addr[saddr1] addr_echo",
    "remove_address address_id=[1,2]",
    "mp_prio backup=1",
    "mp_fail dsn8=1",
    "mp_fastclose ckey=42",
    "mp_reset 6 flags[flag_t]",
)


@pytest.mark.parametrize("options", OPTIONS)
def test_options_are_written_as_they_are_read(options: str) -> None:
    text = f"< . 1:1(0) ack 1 <{options}>"
    assert of_packet(only(f"+0 {text}")) == text


def test_flags_of_mpcapable_have_names() -> None:
    (option,) = only("+0 < S 0:0(0) <mpcapable v1 flags[flag_a, flag_h] nokey>").options
    assert option.number("flags") == 0x81


def test_words_that_are_defined() -> None:
    (option,) = only("+0 < S 0:0(0) <FO COOKIE>", COOKIE="abcd").options
    assert option.cookie == b"\xab\xcd"


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("+0 close(3) = 0\n+0 close(3 = 0", 2, "')' is expected, not '='"),
        ("\n+0 > S 0:0 ack 1", 2, "'(' is expected, not 'ack'"),
        ("+0 > S. 0:0(0) <speed 3>\n", 1, "speed"),
        ("+x close(3) = 0", 1, "a time is expected, not 'x'"),
        ("+0 ^", 1, "packetdrill has no such character: '^'"),
        ("+0 `true", 1, "packetdrill has no such character: '`'"),
        ("+0 close(3) =", 1, "a value is expected, not the end of the script"),
        ("+0 < Q 0:0(0)", 1, "flags of FSRPUEW and . is expected, not 'Q'"),
        ("+0 < . 1:11(9) ack 1", 1, "1:11(9) has another length between its numbers"),
        ("+0 < . 1:1(0) ack 1 win 65536", 1, "a window of 16 bits is expected, not '65536'"),
        (
            '+0 < . 1:1(0) <add_address addr[a=inet_addr("1.2")] hmac=1>',
            1,
            "an address in quotes is expected",
        ),
    ],
)
def test_mistakes_have_their_line(text: str, line: int, said: str) -> None:
    with pytest.raises((InputError, UnsupportedError)) as raised:
        parsed(text)
    assert said in str(raised.value)
    assert vars(raised.value)["line"] == line
    if isinstance(raised.value, InputError):
        assert str(raised.value).startswith(f"some.pkt:{line}: ")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("+0 < udp (1000)", "packets of udp"),
        ("+0 < SEWA 0:0(0) win 1", "accurate ECN"),
        ("+0 < . 1:1(0) <md5 00>", "the TCP option 'md5'"),
        ("+0 < S 0:0(0) <FO COOKIE>", "the cookie COOKIE without a value"),
        ("+0 > [flowlabel 1] . 1:1(0)", "'flowlabel' of IP's header"),
    ],
)
def test_what_is_not_known_is_unsupported(text: str, said: str) -> None:
    with pytest.raises(UnsupportedError, match=said) as raised:
        parsed(text)
    assert raised.value.line == 1
