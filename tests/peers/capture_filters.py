#!/usr/bin/env python3
"""Do sockwire's capture filters take and select the same as libpcap's?

For each link type, thousands of expressions are compiled by both, and both programs run over the same packets: a zoo made
here, and the capture files of --corpus. Ours are compiled by tests/filter_programs.rs, many in one go.

    tests/peers/capture_filters.py [--seed N] [--count N] [--link NAME,…] [--corpus DIR] [--read N] [--self] [--show N]

--self compares libpcap's optimised programs with its plain ones instead: a check of this harness.
Exit code 1: a difference that is not in KNOWN below. Python 3.11, its own library, and libpcap.so.0.8.
"""

import argparse
import ctypes
import glob
import itertools
import os
import random
import re
import struct
import subprocess
import sys
import tempfile

# ------------------------------------------------------------------------------------------------- libpcap


class Instruction(ctypes.Structure):
    _fields_ = [("code", ctypes.c_ushort), ("jt", ctypes.c_ubyte), ("jf", ctypes.c_ubyte), ("k", ctypes.c_uint)]


class Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_uint), ("instructions", ctypes.POINTER(Instruction))]


class PacketHeader(ctypes.Structure):
    _fields_ = [("seconds", ctypes.c_long), ("micros", ctypes.c_long), ("caplen", ctypes.c_uint), ("len", ctypes.c_uint)]


pcap = ctypes.CDLL("libpcap.so.0.8")
libc = ctypes.CDLL("libc.so.6")
for library, name, result, arguments in [
    (pcap, "pcap_open_offline", ctypes.c_void_p, [ctypes.c_char_p, ctypes.c_char_p]),
    (pcap, "pcap_close", None, [ctypes.c_void_p]),
    (pcap, "pcap_compile", ctypes.c_int, [ctypes.c_void_p, ctypes.POINTER(Program), ctypes.c_char_p, ctypes.c_int, ctypes.c_uint]),
    (pcap, "pcap_freecode", None, [ctypes.POINTER(Program)]),
    (pcap, "pcap_setfilter", ctypes.c_int, [ctypes.c_void_p, ctypes.POINTER(Program)]),
    (pcap, "pcap_geterr", ctypes.c_char_p, [ctypes.c_void_p]),
    (pcap, "pcap_dump_fopen", ctypes.c_void_p, [ctypes.c_void_p, ctypes.c_void_p]),
    (pcap, "pcap_dump_close", None, [ctypes.c_void_p]),
    (pcap, "pcap_loop", ctypes.c_int, [ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p]),
    (pcap, "pcap_next_ex", ctypes.c_int, [ctypes.c_void_p, ctypes.POINTER(ctypes.POINTER(PacketHeader)), ctypes.POINTER(ctypes.c_void_p)]),
    (pcap, "pcap_datalink", ctypes.c_int, [ctypes.c_void_p]),
    (pcap, "pcap_is_swapped", ctypes.c_int, [ctypes.c_void_p]),
    (pcap, "pcap_lib_version", ctypes.c_char_p, []),
    (libc, "open_memstream", ctypes.c_void_p, [ctypes.POINTER(ctypes.c_void_p), ctypes.POINTER(ctypes.c_size_t)]),
    (libc, "free", None, [ctypes.c_void_p]),
]:
    function = getattr(library, name)
    function.restype, function.argtypes = result, arguments
DUMP = ctypes.cast(pcap.pcap_dump, ctypes.c_void_p)
LOADS_OF_MEMORY = (0x60, 0x61)
UNKNOWN_NETMASK = 0xFFFFFFFF


class Zoo:
    """A capture file of one link type, on which programs run in C."""

    def __init__(self, link, packets, big=False):
        self.link, self.packets, self.big = link, packets, big
        order = ">" if big else "<"
        handle, self.path = tempfile.mkstemp(prefix="filters-", suffix=".pcap", dir="/dev/shm" if os.path.isdir("/dev/shm") else None)
        with os.fdopen(handle, "wb") as file:
            file.write(struct.pack(order + "IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, link))
            for number, (data, wire) in enumerate(packets):
                # The number of the packet is its time.
                file.write(struct.pack(order + "IIII", number, 0, len(data), wire) + data)

    def open(self):
        error = ctypes.create_string_buffer(256)
        handle = pcap.pcap_open_offline(self.path.encode(), error)
        if not handle:
            sys.exit(f"{self.path}: {error.value.decode()}")
        return handle

    def compile(self, handle, expression, optimise, netmask):
        """A program, or why there is none."""
        program = Program()
        if pcap.pcap_compile(handle, program, expression.encode(), optimise, netmask) < 0:
            return pcap.pcap_geterr(handle).decode(errors="replace")
        lines = [(i.code, i.jt, i.jf, i.k) for i in program.instructions[: program.length]]
        pcap.pcap_freecode(program)
        return lines

    def select(self, lines):
        """What the program selects, as the bytes of a capture file; text when libpcap refuses the program."""
        handle = self.open()
        if any(code in LOADS_OF_MEMORY for code, _, _, _ in lines):
            # On packets that are no Geneve, libpcap's programs read memory that they never wrote, and libpcap's machine does
            # not clear it. Ours is zero there.
            lines = [(0x00, 0, 0, 0), *[(0x02, 0, 0, word) for word in range(16)], *lines]
        array = (Instruction * len(lines))(*lines)
        if pcap.pcap_setfilter(handle, Program(len(lines), array)) < 0:
            why = pcap.pcap_geterr(handle).decode()
            pcap.pcap_close(handle)
            return why
        data, size = ctypes.c_void_p(), ctypes.c_size_t()
        dump = pcap.pcap_dump_fopen(handle, libc.open_memstream(data, size))
        pcap.pcap_loop(handle, -1, DUMP, dump)
        pcap.pcap_dump_close(dump)
        pcap.pcap_close(handle)
        found = ctypes.string_at(data, size.value)
        libc.free(data)
        return found


def numbers(dumped):
    """The numbers of the packets in a capture file in memory."""
    at, found = 24, set()
    while at < len(dumped):
        number, _, caplen, _ = struct.unpack_from("<IIII", dumped, at)
        found.add(number)
        at += 16 + caplen
    return found


# ------------------------------------------------------------------------------------------------- packets

MACS = [bytes.fromhex(m) for m in ("020000000001", "020000000002", "ffffffffffff", "01005e000001", "333300000001", "0180c2000000", "030000000001", "aabbccddeeff")]
A4 = ["10.0.0.1", "10.0.0.2", "192.168.1.5", "192.168.1.255", "224.0.0.1", "255.255.255.255", "127.0.0.1", "0.0.0.0", "172.16.31.9", "239.1.2.3"]
A6 = ["fe80::1", "2001:db8::1", "2001:db8::2", "ff02::1", "::1", "::", "ff02::1:ff00:1", "2001:db8:1:2:3:4:5:6"]
PORTS = [53, 80, 443, 22, 5000, 1024, 6081, 4789, 0, 65535, 33000]


def a4(text):
    return bytes(int(p) for p in text.split("."))


def a6(text):
    head, _, tail = text.partition("::")
    parts = [[int(p, 16) for p in side.split(":") if p] for side in (head, tail)]
    if "::" not in text:
        return struct.pack(">8H", *parts[0])
    return struct.pack(">8H", *parts[0], *[0] * (8 - len(parts[0]) - len(parts[1])), *parts[1])


def ip4(proto, payload=b"", src="10.0.0.1", dst="10.0.0.2", options=b"", fragment=0, first=0x45, length=None):
    ihl = 5 + len(options) // 4
    first = (first & 0xF0) | ihl if first == 0x45 else first
    total = 4 * ihl + len(payload) if length is None else length
    return struct.pack(">BBHHHBBH", first, 0, total, 0x1234, fragment, 64, proto, 0) + a4(src) + a4(dst) + options + payload


def ip6(following, payload=b"", src="2001:db8::1", dst="2001:db8::2"):
    return struct.pack(">IHBB", 0x60012345, len(payload), following, 64) + a6(src) + a6(dst) + payload


def tcp(sport, dport, flags=0x10, payload=b"", options=b""):
    return struct.pack(">HHIIBBHHH", sport, dport, 0x01020304, 5, (5 + len(options) // 4) << 4, flags, 512, 0, 0) + options + payload


def udp(sport, dport, payload=b""):
    return struct.pack(">HHHH", sport, dport, 8 + len(payload), 0) + payload


def sctp(sport, dport):
    return struct.pack(">HHII", sport, dport, 7, 0) + bytes.fromhex("01000014") + bytes(16)


def icmp(kind, code=0):
    return struct.pack(">BBHHH", kind, code, 0, 1, 2) + b"ping"


def extension(following, kind):
    if kind == 44:
        return struct.pack(">BBHI", following, 0, 1, 99)
    if kind == 51:
        return struct.pack(">BBHII", following, 2, 0, 7, 8) + bytes(4)
    return struct.pack(">BB", following, 1) + bytes(14)


def ethernet(kind, payload, dst=MACS[1], src=MACS[0]):
    return dst + src + struct.pack(">H", kind) + payload


def mpls(*labels):
    return b"".join(struct.pack(">I", label << 12 | (i == len(labels) - 1) << 8 | 64) for i, label in enumerate(labels))


def llc(dsap, ssap, *control):
    return bytes([dsap, ssap, *control])


def arp(operation, spa, tpa):
    return struct.pack(">HHBBH", 1, 0x800, 6, 4, operation) + MACS[0] + a4(spa) + bytes(6) + a4(tpa)


def geneve(vni, kind, payload, options=b"", version=0):
    return struct.pack(">BBHI", version << 6 | len(options) // 4, 0, kind, vni << 8) + options + payload


def vxlan(vni, payload):
    return struct.pack(">II", 0x08000000, vni << 8) + payload


def transports():
    """Headers over IP: protocol number and bytes."""
    yield from [(6, tcp(a, b)) for a, b in [(33000, 80), (80, 33000), (443, 22), (5000, 5001), (0, 65535), (53, 1024)]]
    yield from [(6, tcp(33000, 80, flags)) for flags in (1, 2, 4, 8, 0x12, 0x11, 0x18, 0x29, 0, 0xC2, 0xFF)]
    yield (6, tcp(33000, 80, 0x18, b"GET / HTTP/1.1\r\n\r\n"))
    yield (6, tcp(33000, 80, 0x18, b"GET / HTTP/1.1\r\n\r\n", bytes.fromhex("0101080a0000000100000002")))
    yield from [(17, udp(a, b, b"payload")) for a, b in [(33000, 53), (53, 33000), (5000, 5001), (67, 68), (0, 0), (123, 123)]]
    yield (17, udp(33000, 53, bytes.fromhex("123401000001000000000000") + b"\3www\7example\0\0\1\0\1"))
    yield from [(132, sctp(a, b)) for a, b in [(80, 5000), (36412, 36412)]]
    yield from [(1, icmp(kind, code)) for kind, code in [(0, 0), (8, 0), (3, 3), (3, 1), (11, 0), (5, 1), (13, 0)]]
    yield from [(58, icmp(kind, code)) for kind, code in [(128, 0), (129, 0), (135, 0), (136, 0), (1, 4), (3, 0), (133, 0), (134, 0)]]
    yield from [(2, bytes.fromhex("1600fa01") + a4("239.1.2.3")), (2, bytes.fromhex("1164ee9b00000000"))]
    yield from [(50, bytes(range(16))), (103, bytes.fromhex("2000dd")), (112, bytes.fromhex("21016401")), (9, bytes(8)), (47, bytes.fromhex("00000800") + ip4(6, tcp(1, 2)))]
    yield from [(51, extension(6, 51) + tcp(33000, 80)), (51, extension(50, 51) + bytes(8)), (4, ip4(17, udp(33000, 53))), (41, ip6(6, tcp(33000, 443))), (89, bytes(24)), (255, b"x"), (0, b"")]


def tunnels():
    inner4, inner6 = ip4(6, tcp(33000, 80, 2)), ip6(17, udp(33000, 53))
    for vni in (0, 5, 0xB, 0xFFFFFF):
        yield 17, udp(40000, 6081, geneve(vni, 0x6558, ethernet(0x800, inner4)))
        yield 17, udp(40000, 6081, geneve(vni, 0x800, inner4))
        yield 17, udp(40000, 4789, vxlan(vni, ethernet(0x800, inner4)))
    yield 17, udp(40000, 6081, geneve(5, 0x6558, ethernet(0x86DD, inner6), bytes(8)))
    yield 17, udp(40000, 6081, geneve(5, 0x86DD, inner6, bytes(4)))
    yield 17, udp(40000, 6081, geneve(5, 0x6558, ethernet(0x8100, b"\0\7\x08\0" + inner4)))
    yield 17, udp(40000, 6081, geneve(5, 0x6558, ethernet(0x8847, mpls(100) + inner4)))
    yield 17, udp(40000, 6081, geneve(5, 0x6558, ethernet(0x8864, pppoe(0x27, 0x21, inner4))))
    yield 17, udp(40000, 6081, geneve(5, 0x6558, ethernet(0x806, arp(1, "10.0.0.1", "10.0.0.2"))))
    yield 17, udp(40000, 6081, geneve(5, 0x800, inner4, version=1))
    yield 17, udp(40000, 6081, geneve(5, 0x800, ip4(17, udp(1, 6081, geneve(9, 0x800, inner4)))))
    yield 17, udp(6081, 40000, geneve(5, 0x800, inner4))
    yield 17, udp(40000, 4789, vxlan(5, ethernet(0x86DD, inner6)))


def pppoe(session, protocol, payload, code=0):
    body = struct.pack(">H", protocol) + payload
    return struct.pack(">BBHH", 0x11, code, session, len(body)) + body


def networks():
    """What stands behind a link header: EtherType and bytes."""
    for proto, body in transports():
        yield 0x800, ip4(proto, body)
        yield 0x86DD, ip6(proto, body)
    for proto, body in tunnels():
        yield 0x800, ip4(proto, body)
        yield 0x86DD, ip6(proto, body)
    for src, dst in itertools.product(A4[:4], A4):
        yield 0x800, ip4(17, udp(33000, 53), src, dst)
    for src, dst in itertools.product(A6[:4], A6):
        yield 0x86DD, ip6(6, tcp(33000, 80), src, dst)
    for body in (tcp(33000, 80), udp(33000, 53)):
        proto = 6 if len(body) >= 20 else 17
        for fragment in (0x4000, 0x2000, 0x2001, 0x0064, 0x1FFF, 0x8000):
            yield 0x800, ip4(proto, body, fragment=fragment)
        yield 0x800, ip4(proto, body, options=bytes.fromhex("94040000"))
        yield 0x800, ip4(proto, body, options=bytes(40))
        yield 0x800, ip4(proto, body, first=0x4F)
        yield 0x800, ip4(proto, body, first=0x41)
        yield 0x800, ip4(proto, body, first=0x65)
        yield 0x800, ip4(proto, body, length=0)
        for kind in (0, 43, 44, 51, 60, 135, 50):
            yield 0x86DD, ip6(kind, extension(proto, kind) + body)
            yield 0x86DD, ip6(0, extension(kind, 0) + extension(proto, kind) + body)
        yield 0x86DD, ip6(0, extension(60, 0) + extension(43, 60) + extension(44, 43) + extension(proto, 44) + body)
        yield 0x800, ip4(51, extension(proto, 51) + body)
        yield 0x800, ip4(51, extension(51, 51) + extension(proto, 51) + body)
    yield 0x86DD, ip6(59)
    yield 0x86DD, ip6(0, extension(59, 0))
    yield 0x86DD, b"\x45" + ip6(6, tcp(33000, 80))[1:]
    yield 0x800, ip6(6, tcp(33000, 80))
    yield 0x86DD, ip4(6, tcp(33000, 80))
    for kind in (0x806, 0x8035):
        for operation, spa, tpa in [(1, "10.0.0.1", "10.0.0.2"), (2, "10.0.0.2", "10.0.0.1"), (1, "192.168.1.5", "192.168.1.255"), (3, "0.0.0.0", "10.0.0.1")]:
            yield kind, arp(operation, spa, tpa)
    for labels in [(100,), (100000, 1024), (1, 2, 3), (0,), (1024,)]:
        for inner in (ip4(6, tcp(33000, 80)), ip6(17, udp(33000, 53)), b"\0\1\2\3"):
            yield 0x8847, mpls(*labels) + inner
            yield 0x8848, mpls(*labels) + inner
    for session in (0x27, 1, 0):
        for protocol, inner in [(0x21, ip4(6, tcp(33000, 80))), (0x57, ip6(17, udp(33000, 53))), (0xC021, b"\1\1\0\4"), (0x281, mpls(100) + ip4(17, udp(5000, 53)))]:
            yield 0x8864, pppoe(session, protocol, inner)
    yield 0x8863, struct.pack(">BBHH", 0x11, 9, 0, 4) + b"\1\1\0\0"
    # DECnet: two length bytes, flags, destination and source.
    yield 0x6003, bytes.fromhex("1600020000aa000400010400000000aa00040002040000000000")
    yield 0x6003, bytes.fromhex("0c0006000104020400000000")
    yield 0x6003, bytes.fromhex("0c000281060104020400000000")
    for kind in (0x809B, 0x80F3, 0x8137, 0x6004, 0x6001, 0x6002, 0x6007, 0x9000, 0x88CC, 0x888E, 0x22F0, 0x600):
        yield kind, bytes(range(30))


def tagged(kind, body):
    """The same behind one and two VLAN tags: EtherType and bytes."""
    for tpid, tag in [(0x8100, 100), (0x8100, 0x2007), (0x88A8, 7), (0x9100, 0), (0x8100, 4095)]:
        inner = struct.pack(">HH", tag, kind) + body
        yield tpid, inner
        for outer, outer_tag in [(0x8100, 7), (0x88A8, 100), (0x9100, 300)]:
            yield outer, struct.pack(">HH", outer_tag, tpid) + inner


def llc_frames():
    """What stands in an 802.3 frame."""
    snap = llc(0xAA, 0xAA, 3)
    inner = ip4(6, tcp(33000, 80))
    yield from [snap + bytes(3) + struct.pack(">H", kind) + inner for kind in (0x800, 0x8137, 0x80F3, 0x809B)]
    yield snap + bytes.fromhex("080007809b") + bytes(16)
    yield snap + bytes.fromhex("00000c2000") + bytes(16)
    yield from [llc(0x42, 0x42, 3) + bytes(35), llc(0x42, 0x43, 3) + bytes(20), llc(0xE0, 0xE0, 3) + b"\xff\xff" + bytes(28), llc(0xF0, 0xF0, 3) + bytes(12), llc(0xF0, 0xF1, 0x3F)]
    yield b"\xff\xff" + bytes(28)
    for first, pdu in [(0x81, 0), (0x82, 0), (0x83, 15), (0x83, 16), (0x83, 17), (0x83, 18), (0x83, 20), (0x83, 24), (0x83, 25), (0x83, 26), (0x83, 27), (0x83, 0x32)]:
        yield llc(0xFE, 0xFE, 3, first, 27, 1, 0, pdu) + bytes(20)
    for control in (0x00, 0x02, 0x01, 0x05, 0x09, 0x0D, 0x03, 0x13, 0x63, 0x73, 0x43, 0x53, 0x6F, 0x7F, 0xE3, 0xF3, 0xAF, 0xBF, 0x87, 0x97, 0x0F, 0x1F):
        yield llc(0x04, 0x05, control, 0x10) + bytes(4)
        yield llc(0xFE, 0xFE, control, 0x01) + bytes(4)
    yield llc(0x06, 0x06, 3) + inner
    yield llc(0x98, 0x98, 3) + arp(1, "10.0.0.1", "10.0.0.2")


ETHERNET, NULL, PPP, PPP_SERIAL, RAW, LOOP, SLL, IPV4, IPV6, SLL2 = 1, 0, 9, 50, 101, 108, 113, 228, 229, 276
LINKS = {"EN10MB": (ETHERNET, False), "LINUX_SLL": (SLL, False), "LINUX_SLL2": (SLL2, False), "NULL": (NULL, False), "NULL-big": (NULL, True),
         "LOOP": (LOOP, False), "RAW": (RAW, False), "IPV4": (IPV4, False), "IPV6": (IPV6, False), "PPP": (PPP, False), "PPP_SERIAL": (PPP_SERIAL, False)}
PPP_NUMBERS = {0x800: 0x21, 0x86DD: 0x57, 0x8847: 0x281, 0x8848: 0x283, 0x809B: 0x29, 0x8137: 0x2B, 0x6003: 0x27, 0x6007: 0x31}


def behind(link, big, kind, body, turn):
    """A packet behind the header of a link type; nothing where it cannot be."""
    if link == ETHERNET:
        return ethernet(kind, body, MACS[(turn * 7 + 1) % len(MACS)] if turn % 3 == 0 else MACS[1], MACS[turn % 2])
    if link == SLL:
        return struct.pack(">HHH", (turn // 2) % 5, (1, 772, 65534)[turn % 3], 6) + MACS[turn % 2] + b"\0\0" + struct.pack(">H", kind)
    if link == SLL2:
        return struct.pack(">HHIHBB", kind, 0, (1, 2, 7, 0x10002)[turn % 4], (1, 772, 65534)[turn % 3], (turn // 2) % 5, 6) + MACS[turn % 2] + b"\0\0"
    if link in (NULL, LOOP):
        family = {0x800: [2], 0x86DD: [24, 28, 30], 0x8137: [23], 0x809B: [16], 0x6003: [12]}.get(kind)
        return family and struct.pack(">I" if link == LOOP or big else "<I", family[turn % len(family)])
    if link in (PPP, PPP_SERIAL):
        number = PPP_NUMBERS.get(kind, 0xC021 if kind == 0x806 else 0x23 if kind == 0x8035 else None)
        if link == PPP_SERIAL and turn % 4 == 0:
            return (b"\x0f\0" if turn % 8 else b"\x8f\0") + struct.pack(">H", kind)
        return number and b"\xff\3" + struct.pack(">H", number)
    return b"" if kind in (0x800, 0x86DD) else None


def packets(link, big, seed):
    """All packets of the zoo for one link type: bytes, and bytes on the wire."""
    chance = random.Random(seed * 1000 + link)
    whole = []
    plain = list(networks())
    kinds = list(plain)
    if link in (ETHERNET, SLL, SLL2):
        for kind, body in plain[::5]:
            kinds.extend(tagged(kind, body))
    for turn, (kind, body) in enumerate(kinds):
        head = behind(link, big, kind, body, turn)
        if head is not None:
            whole.append(head if link == ETHERNET else head + body)
    frames = list(llc_frames())
    if link == ETHERNET:
        for body in frames:
            whole.append(ethernet(len(body), body, MACS[5]))
            whole.append(ethernet(0x8100, struct.pack(">HH", 7, len(body)) + body))
    elif link == SLL:
        for kind in (1, 4):
            whole += [struct.pack(">HHH", 0, 1, 6) + MACS[0] + b"\0\0" + struct.pack(">H", kind) + body for body in frames]
    elif link == SLL2:
        for kind in (1, 4):
            whole += [struct.pack(">HHIHBB", kind, 0, 1, 1, 4, 6) + MACS[0] + b"\0\0" + body for body in frames]
    elif link in (PPP, PPP_SERIAL):
        for body in frames:
            whole += [b"\xff\3\0\x23" + body[3:], b"\xff\3\0\x4b" + body, b"\xff\3\2\x07" + body]
        for number in (0x2D, 0x2F, 0x25, 0x31, 0x8021, 0xC021, 0xC023):
            whole.append(b"\xff\3" + struct.pack(">H", number) + bytes(range(40)))
        whole.append(b"\0\x21" + ip4(6, tcp(33000, 80)))
    elif link in (RAW, IPV4, IPV6):
        whole += [bytes([first]) + bytes(60) for first in (0, 0x10, 0x4F, 0x5F, 0x6F, 0xFF)]
    zoo = [(frame, len(frame)) for frame in whole]
    # The first packets are cut at every length, the others at some.
    for index, frame in enumerate(whole):
        lengths = range(len(frame)) if index % 9 == 0 else chance.sample(range(len(frame)), min(len(frame), 6))
        zoo += [(frame[:length], len(frame) if chance.random() < 0.7 else length) for length in lengths]
    for _ in range(4000):
        frame = bytearray(chance.choice(whole))
        for _ in range(chance.randint(1, 4)):
            frame[chance.randrange(min(len(frame), 64))] = chance.choice([0, 1, 4, 5, 6, 17, 58, 0x45, 0x60, 0x81, 0x88, 0xAA, 0xFE, 0xFF, chance.randrange(256)])
        zoo.append((bytes(frame), len(frame) + chance.choice([0, 0, 4, 1500])))
    return zoo


def corpus(folder, wanted):
    """Packets of capture files by link type and byte order, at most so many a file."""
    dlts = {12: RAW, 14: RAW}
    found = {}
    for path in sorted(glob.glob(os.path.join(folder, "**", "*"), recursive=True)):
        if not os.path.isfile(path):
            continue
        handle = pcap.pcap_open_offline(path.encode(), ctypes.create_string_buffer(256))
        if not handle:
            continue
        link = pcap.pcap_datalink(handle)
        link = dlts.get(link, link)
        big = link == NULL and bool(pcap.pcap_is_swapped(handle))
        header, data = ctypes.POINTER(PacketHeader)(), ctypes.c_void_p()
        for _ in range(100 if link in wanted else 0):
            if pcap.pcap_next_ex(handle, header, data) != 1:
                break
            found.setdefault((link, big), {})[ctypes.string_at(data, header[0].caplen)] = header[0].len
        pcap.pcap_close(handle)
    return {key: list(packets.items()) for key, packets in found.items()}


# ------------------------------------------------------------------------------------------------- expressions

# From course hand-outs and from the manual pages of tcpdump and pcap-filter.
HANDOUT = r"""
tcp
udp
icmp
icmp6
arp
ip
ip6
host 10.0.0.1
src host 10.0.0.1
dst host 10.0.0.2
net 10.0.0.0/8
src net 192.168.1
net 10
host 192.168.10
port 53
tcp port 80
tcp dst port 80 or 443
tcp port 443 and host 10.0.0.1
port domain
tcp port https
portrange 5000-6000
tcp portrange 5000-5010
udp port 53 or udp port 67
not port 22
not tcp port 22 and not icmp
(tcp or udp) and (port 53 or port 80)
tcp[tcpflags] & (tcp-syn|tcp-fin) != 0
tcp[tcpflags] & tcp-syn != 0
tcp[tcpflags] == tcp-syn
tcp[tcpflags] == tcp-syn|tcp-ack
tcp[tcpflags] & (tcp-syn|tcp-ack) == tcp-syn
tcp[tcpflags] & tcp-rst != 0
tcp[13] == 2
tcp[13] & 2 == 2
tcp[((tcp[12] & 0xf0) >> 2):4] = 0x47455420
tcp port 80 and (((ip[2:2] - ((ip[0]&0xf)<<2)) - ((tcp[12]&0xf0)>>2)) != 0)
tcp[tcpflags] & (tcp-syn|tcp-fin) != 0 and not src and dst net 10.0.0.0/8
gateway snup and (port ftp or ftp-data)
gateway snup and ip[2:2] > 576
ip[2:2] > 576
ether[0] & 1 = 0 and ip[16] >= 224
icmp[icmptype] != icmp-echo and icmp[icmptype] != icmp-echoreply
icmp[icmptype] == icmp-echo
icmp[0] == 8
icmp6 and ip6[40] == 135
icmp6[icmp6type] == icmp6-echo
icmp6[0] == 128
ip[6:2] & 0x1fff != 0
ip[6] & 0x20 != 0 or ip[6:2] & 0x1fff != 0
ip[8] < 5
ip[0] & 0xf != 5
ip and udp[0:2] > 1024 or arp[6:2] = 1
arp[6:2] = 1
ether broadcast
broadcast
multicast
ether multicast
ip multicast
ip6 multicast
ip broadcast
ether host 02:00:00:00:00:01
ether src 02:00:00:00:00:01
ether dst ff:ff:ff:ff:ff:ff
ether proto 0x800
ether proto \ip
ether proto \arp
ip proto \tcp
ip proto 17
ip6 proto 58
proto 6
proto \udp
ip protochain 6
ip6 protochain 6
protochain 6
ip protochain 51
vlan
vlan 100
vlan 100 and tcp port 443
vlan 7 and vlan 100 and ip
vlan and vlan 300 and ip
vlan 100 or host 10.0.0.1
not vlan and ip
(vlan and ip) or ip
mpls
mpls 100000 and mpls 1024
mpls and mpls 1024 and host 10.0.0.1
mpls and udp port 53
pppoed
pppoes
pppoes 0x27 and ip
pppoes and tcp port 80
geneve
geneve 0xb and ip
geneve and tcp port 80
vxlan
vxlan 5
sctp and port 80
sctp port 80
iso or stp
llc
llc i
llc u
llc ui
llc xid
llc rr
inbound
outbound
ifindex 1
less 60
greater 100
len > 500
length <= 60
len = ip[2:2] + 14
igmp or esp or ah
pim or vrrp or igrp or carp
host fe80::1 or net 2001:db8::/32
ip6 host 2001:db8::1
dst net ff02::/16
host 10.0.0.1 and not (port 80 or 25)
src 10.0.0.1 and dst 10.0.0.2
src or dst host 10.0.0.1
src and dst host 10.0.0.1
ip host 10.0.0.1 and not 10.0.0.2
arp host 10.0.0.1
arp net 10.0.0.0/24
rarp host 10.0.0.1
ip and not net 10.0.0.0/8
net 10.0.0.0 mask 255.0.0.0
net 10.0.0.1 mask 255.0.0.255
net 10.0.0.1/8
localhost
host localhost
port http or https
tcp port http and dst host localhost
net loopback
src net link-local
atalk
aarp
ipx
netbeui
stp
decnet
decnet src 1.1
decnet host 1.2
decnet dst 1.1
lat or moprc or mopdl or sca
esis or isis or clnp
isis proto 16
iso proto 0x83
iso proto \isis
l1 or l2
iih or lsp or snp or csnp or psnp
byte 0 = 2
byte 0 < 5
link[0] = 2
ether[12:2] = 0x800
ppp[0] = 0xff
ether[12:2] > 1500 and not ip
tcp[2:2] = 80
udp[8:4] = 0x12340100
udp[10] & 0x80 = 0
ip[9] = 6 and ip[20:2] = 33000
1 = 1
1 = 2
tcp and tcp
tcp or not tcp
tcp and not tcp
ip[0:3] = 4
tcp[13] = tcp-syn and port 80 or port 443
""".strip().splitlines() + [""]

PROTO_WORDS = "ip ip6 arp rarp tcp udp sctp icmp icmp6 igmp igrp pim vrrp carp ah esp atalk aarp decnet lat sca moprc mopdl iso esis isis clnp stp ipx netbeui".split()
ISIS_WORDS = "l1 l2 iih lsp snp csnp psnp".split()
LOADS = ["ip"] * 6 + ["tcp"] * 6 + ["udp"] * 4 + ["ether"] * 4 + ["ip6"] * 3 + ["icmp", "icmp6", "link", "arp", "sctp", "igmp", "pim", "vrrp", "carp", "igrp", "rarp", "ppp", "wlan", "fddi", "tr", "slip", "atalk", "aarp", "decnet", "lat", "sca", "moprc", "mopdl", "esp", "ah", "radio", "iso", "stp", "isis", "ipx", "netbeui"]
DIRECTIONS = [""] * 6 + ["src "] * 3 + ["dst "] * 3 + ["src or dst ", "dst or src ", "src and dst ", "dst and src "]
CONSTANTS = "tcpflags tcp-fin tcp-syn tcp-rst tcp-push tcp-ack tcp-urg tcp-ece tcp-cwr icmptype icmpcode icmp-echoreply icmp-unreach icmp-echo icmp-timxceed icmp-redirect icmp6type icmp6code icmp6-echo icmp6-neighborsolicit icmp6-routeradvert".split()
MAC_WORDS = ["02:00:00:00:00:01", "2:0:0:0:0:2", "02-00-00-00-00-01", "ff:ff:ff:ff:ff:ff", "0200.0000.0001", "020000000002", "01:00:5e:00:00:01", "02.00.00.00.00.01", "aabb.ccdd.eeff"]
NET4 = ["10.0.0.0/8", "10.0.0.0/24", "10.0.0.0/31", "10", "10.0", "10.0.0", "192.168.1", "192.168.1.0/24", "192.168.0.0/16", "0.0.0.0/0", "224.0.0.0/4", "127", "10.0.0.1/32", "172.16.0.0/12", "10.0.0.0", "10/8", "192.168/16", "10.0.0.1/24", "10.0.0.0/33", "loopback", "0/0", "255.255.255.255"]
NET6 = ["2001:db8::/32", "2001:db8::/64", "fe80::/10", "ff02::/16", "::/0", "2001:db8::1/128", "::1", "2001:db8::2", "2001:db8:1:2::/63", "2001:db8::1/64", "2001:db8:1:2:3:4:5:6/127", "::/1", "::/129"]
SERVICES = ["http", "https", "domain", "ssh", "ftp", "ntp", "bootps", "telnet", "syslog", "nosuchport"]
REFUSED = ["tcp host 10.0.0.1", "udp net 10", "arp port 80", "ip proto tcp", "ether port 80", "icmp host 10.0.0.1", "wlan host 02:00:00:00:00:01", "type mgt", "subtype beacon", "dir tods", "vpi 3", "vci 5", "lane", "oam", "fisu", "sio 3", "ifname eth0", "on eth0", "rnr 3", "reason match", "action pass", "rset x", "host", "port", "port 65536", "port -1", "tcp port", "and", "tcp and", "not", "(tcp", "tcp)", "host 10.0.0.256", "host 1.2.3.4.5", "net 10.0.0.0 mask", "net 2001:db8:: mask 255.0.0.0", "ether 10.0.0.1", "portrange 5-", "portrange 80", "portrange 1-70000", "vlan 4096", "vlan -1", "mpls 1048576", "mpls 1048575", "pppoes 65536", "geneve 16777216", "vlan vlan", "tcp udp", "tcp[0", "tcp[0:5] = 1", "tcp[0:0] = 1", "tcp[] = 1", "1", "ip = 5", "ip[0]", "len", "len 5", "ip6[0", "host nosuchhost.invalid", "port nosuch", "ether host 02:00:00:00:00", "ether proto foo", "ip proto foo", "ip proto 256", "proto 300", "ether proto 65536", "less", "less -5", "byte 0", "byte 0 = 256", "icmp[icmptype] = foo", "ra 02:00:00:00:00:01", "wlan addr1 02:00:00:00:00:01", "stp host 10.0.0.1", "decnet 1", "decnet host 64.1", "iso proto tcp", "isis proto x", "llc foo", "llc", "tcp & udp", "tcp | udp", "a", "10", "10.0.0.1", "fe80::1", "80", "http", "ip and 80", "port 80 or http", "tcp port 80 or host", "host 10.0.0.1 or 80", "port 80 or 10.0.0.1", "ip6 net 10.0.0.0/8", "ip net 2001:db8::/32", "ip host fe80::1", "ip6 host 10.0.0.1", "arp host fe80::1", "src tcp", "src proto 6", "dst multicast", "tcp broadcast", "arp multicast", "udp multicast", "dst port 80 src", "src dst port 80", "tcp port 80 and udp", "ip[4294967295] = 1", "ip[4294967296] = 1", "ip[0x100000000] = 1", "1/0 = 1", "ip[0]/0 = 1", "ip[0] % 0 = 1", "ip[0] << 33 = 1", "ip[0] << 32 = 0", "1 << 40 = 1", "ip[0] >> 40 = 0", "ether[-1] = 0", "ip[0-1] = 0", "ip[0-20] = 0", "@", "tcp port 80;", "tcp # x", "tcp\tport\n80", "TCP", "Port 80", "host  10.0.0.1", "tcp&&udp", "tcp||udp", "!tcp", "not not tcp", "!!tcp", "! ( tcp )", "not(tcp)", "(((tcp)))", "()", "tcp()", "\\tcp", "host \\tcp", "proto tcp", "proto \\tcp", "ip proto \\icmp", "ip6 proto \\ipv6-icmp", "ip proto \\sctp", "ether proto \\ip6", "ether proto \\stp", "ether proto \\netbeui", "ether proto \\ipx", "ether proto loopback", "proto \\nosuch", "protochain \\tcp", "ip6 protochain \\icmp6", "010 = 8", "08 = 8", "0x1G = 1", "0xg = 1", "1.5 = 1", "host 0x0a000001", "host 167772161", "net 0x0a", "net 167772160", "port 0x50", "port 0120", "portrange 0x50-0x51", "portrange http-https", "portrange 443-80", "portrange 80-80", "port ftp-data", "port ftp-data or ssh", "host 10.0.0.1-10.0.0.2", "gateway 10.0.0.1", "gateway localhost", "ip gateway localhost", "inbound and outbound", "ifindex", "ifindex 0", "ifindex 4294967295", "icmp-echo = 8", "tcp-syn = 2", "tcpflags = 13", "icmp6-echo = 128"]


class Maker:
    """Makes expressions, as trees whose parts can be dropped."""

    def __init__(self, seed):
        self.chance = random.Random(seed)

    def pick(self, many):
        return self.chance.choice(many)

    def tree(self, depth):
        roll = self.chance.random()
        if depth <= 0 or roll < 0.25:
            return self.primitive(depth)
        if roll < 0.40:
            return ("not", self.tree(depth - 1))
        word = self.pick(["and", "and", "or", "or", "&&", "||"])
        return (word, self.tree(depth - 1), self.tree(depth - 1))

    def primitive(self, depth):
        return self.pick([self.host, self.host, self.net, self.port, self.port, self.portrange, self.proto, self.proto, self.proto, self.mac, self.cast, self.length,
                          self.shift, self.shift, self.shift, self.number, self.chain, self.other, self.relation, self.relation, self.relation, self.relation])(depth)

    def ids(self, head, values):
        """An id, or a list of ids that inherit the qualifiers."""
        roll = self.chance.random()
        if roll < 0.8:
            return head + self.pick(values)
        if roll < 0.9:
            return head + f" {self.pick(['or', 'and'])} ".join(self.pick(values) for _ in range(self.chance.randint(2, 3)))
        parts = [self.pick(["", "", "not "]) + self.pick(values) for _ in range(self.chance.randint(1, 3))]
        return head + "(" + f" {self.pick(['or', 'and'])} ".join(parts) + ")"

    def host(self, _):
        proto = self.pick([""] * 5 + ["ip ", "ip6 ", "arp ", "rarp "])
        word = self.pick(["host ", "host ", ""])
        values = A6 if proto == "ip6 " else A4 if proto else A4 + A6 + ["localhost"]
        return self.ids(proto + self.pick(DIRECTIONS) + word, values)

    def net(self, _):
        proto = self.pick([""] * 5 + ["ip ", "ip6 ", "arp ", "rarp "])
        if self.chance.random() < 0.1:
            return proto + self.pick(DIRECTIONS) + "net " + self.pick(A4[:5] + ["10.0.0.0"]) + " mask " + self.pick(["255.0.0.0", "255.255.255.0", "255.255.255.255", "0.0.0.0", "255.0.0.255", "0.0.0.1"])
        values = NET6 if proto == "ip6 " else NET4 if proto else NET4 + NET6
        return self.ids(proto + self.pick(DIRECTIONS) + "net ", values)

    def transport(self):
        return self.pick([""] * 3 + ["tcp ", "tcp ", "udp ", "udp ", "sctp ", "ip ", "ip6 "][: self.pick([5, 5, 5, 7])])

    def port(self, _):
        return self.ids(self.transport() + self.pick(DIRECTIONS) + "port ", [str(p) for p in PORTS] * 2 + SERVICES)

    def portrange(self, _):
        low, high = self.pick(PORTS), self.pick(PORTS)
        return self.transport() + self.pick(DIRECTIONS) + f"portrange {low}-{high}" if low <= high or self.chance.random() < 0.2 else f"portrange {high}-{low}"

    def proto(self, _):
        return self.pick(PROTO_WORDS[:18] * 2 + PROTO_WORDS + ISIS_WORDS)

    def number(self, _):
        of = self.pick(["", "ip ", "ip6 ", "ether ", "link ", "iso ", "isis "])
        if of in ("ether ", "link "):
            return self.ids(of + "proto ", ["0x800", "2054", "0x86dd", "0x8100", "0x8847", "0x42", "0xfe", "0xe0", "0xf0", "1500", "1501", "1536", "0", "\\ip", "\\ip6", "\\arp", "\\rarp", "\\atalk", "\\aarp", "\\ipx", "\\iso", "\\stp", "\\decnet", "\\netbeui", "\\lat", "0x6003", "0x809b", "0x80f3", "0x8137", "0x23"])
        if of == "iso ":
            return self.ids("iso proto ", ["0x81", "0x82", "0x83", "\\esis", "\\isis", "\\clnp", "1"])
        if of == "isis ":
            return self.ids("isis proto ", [str(n) for n in (15, 16, 17, 18, 20, 24, 25, 26, 27, 31, 50)])
        return self.ids(of + "proto ", ["6", "17", "1", "58", "132", "2", "0", "44", "50", "51", "255", "\\tcp", "\\udp", "\\icmp", "\\igmp", "\\sctp", "\\esp", "\\ah", "\\ipv6-icmp", "\\ospf", "gre", "89"])

    def chain(self, _):
        if self.chance.random() < 0.6:
            return self.number(_)
        return self.pick(["", "ip ", "ip6 "]) + "protochain " + self.pick(["6", "17", "58", "59", "51", "44", "0", "\\tcp", "\\udp"])

    def mac(self, _):
        return self.ids(self.pick(["ether ", "ether ", "link "]) + self.pick(DIRECTIONS) + self.pick(["host ", "", "host "]), MAC_WORDS)

    def cast(self, _):
        return self.pick(["broadcast", "ether broadcast", "link broadcast", "ip broadcast", "multicast", "ether multicast", "link multicast", "ip multicast", "ip multicast", "ip6 multicast", "ip6 multicast"])

    def length(self, _):
        return self.pick([f"less {self.pick([0, 20, 60, 64, 100, 1500])}", f"greater {self.pick([0, 20, 60, 64, 100, 1500])}",
                          f"byte {self.pick([0, 9, 12, 14, 23, 100])} {self.pick(['=', '<', '>'] * 4 + ['&', '|'])} {self.pick([0, 1, 2, 6, 8, 64, 255])}"])

    def shift(self, _):
        return self.pick(["vlan", "vlan", "vlan 100", "vlan 7", "vlan 0", "vlan 4095", "vlan 300", "mpls", "mpls 100", "mpls 1024", "mpls 0", "mpls 100000", "pppoes", "pppoes 0x27", "pppoes 1", "pppoed", "geneve", "geneve 5", "geneve 0xb", "geneve 0"])

    def other(self, _):
        return self.pick(["llc", "llc i", "llc s", "llc u", "llc rr", "llc rnr", "llc rej", "llc ui", "llc ua", "llc disc", "llc sabme", "llc test", "llc xid", "llc frmr", "llc dm", "inbound", "outbound", "ifindex 1", "ifindex 7", "decnet src 1.1", "decnet dst 1.2", "decnet host 1.1", "vxlan", self.pick(REFUSED)])

    def arith(self, depth):
        roll = self.chance.random()
        if depth <= 0 or roll < 0.3:
            return self.pick([str(self.pick([0, 1, 2, 5, 6, 8, 13, 16, 17, 20, 40, 80, 64, 255])), hex(self.pick([0xF, 0xF0, 0x1FFF, 0x800, 0xFFFFFFFF, 0x80000000])), str(self.chance.randrange(1 << 32)), "len", "length", self.pick(CONSTANTS)])
        if roll < 0.7:
            return self.load(depth - 1)
        if roll < 0.76:
            return "-" + self.arith(depth - 1)
        if roll < 0.82:
            return "(" + self.arith(depth - 1) + ")"
        operator = self.pick(["+", "-", "*", "/", "%", "&", "|", "^", "<<", ">>", "&", "+", "-"])
        right = self.pick(["1", "2", "4", "8", "31"]) if operator in ("<<", ">>", "/", "%") and self.chance.random() < 0.7 else self.arith(depth - 1)
        text = self.arith(depth - 1) + self.pick([" ", ""]) + operator + " " + right
        return f"({text})" if self.chance.random() < 0.5 else text

    def load(self, depth):
        roll = self.chance.random()
        if roll < 0.12:
            return self.pick(["tcp[tcpflags]", "icmp[icmptype]", "icmp[icmpcode]", "icmp6[icmp6type]", "tcp[13]", "ip[6:2]", "ip6[6]", "ip[9]"])
        if roll < 0.25 and depth > 0:
            at = self.arith(depth)
        else:
            at = str(self.pick([0, 0, 1, 2, 4, 6, 8, 9, 12, 13, 14, 16, 20, 40, 41, 60, 100, 2000, self.chance.randrange(64)]))
        return f"{self.pick(LOADS)}[{at}{self.pick(['', '', ':1', ':2', ':4'])}]"

    def relation(self, depth):
        depth = min(depth, 2)
        left = self.load(depth) if self.chance.random() < 0.7 else self.arith(depth)
        if self.chance.random() < 0.4:
            left += f" & {self.pick(['1', '0xf', '0xf0', '0x1fff', 'tcp-syn', '(tcp-syn|tcp-ack)', '2'])}"
        right = self.arith(0) if self.chance.random() < 0.75 else self.arith(depth)
        return f"{left} {self.pick(['=', '==', '!=', '<', '>', '<=', '>=', '='])} {right}"


def text(tree, top=True):
    """An expression of a tree; parentheses are left out on the left side, where they change nothing."""
    if isinstance(tree, str):
        return tree
    if tree[0] == "not":
        inner = text(tree[1], False)
        return "not " + inner
    left, right = text(tree[1], True), text(tree[2], False)
    joined = f"{left} {tree[0]} {right}"
    return joined if top else f"({joined})"


def smaller(tree):
    """Trees with one part dropped."""
    if isinstance(tree, str):
        for inner in re.findall(r"(?:^|[^&|])(.*?) (?:and|or) ", tree):
            yield inner.strip("() ")
        return
    for at in range(1, len(tree)):
        yield tree[at]
    for at in range(1, len(tree)):
        for part in smaller(tree[at]):
            yield tree[:at] + (part,) + tree[at + 1:]


# ------------------------------------------------------------------------------------------------- ours


class Ours:
    """Our compiler, through tests/filter_programs.rs."""

    def __init__(self, root):
        self.root = root
        out = subprocess.run(["cargo", "test", "--test", "filter_programs", "--no-run", "--message-format=short"], cwd=root, capture_output=True, text=True)
        found = re.search(r"\(([^)]*filter_programs-[^)]*)\)", out.stderr)
        if not found:
            sys.exit("tests/filter_programs.rs does not build:\n" + out.stderr)
        self.binary = os.path.join(root, found[1])

    def compile(self, jobs):
        """Programs or errors for (link, expression, netmask), in order."""
        with tempfile.TemporaryDirectory() as folder:
            asked, answered = os.path.join(folder, "in"), os.path.join(folder, "out")
            with open(asked, "w") as file:
                for link, expression, netmask in jobs:
                    escaped = expression.replace("\n", "\r")
                    file.write(f"{link}\t{'-' if netmask == UNKNOWN_NETMASK else netmask}\t{escaped}\n")
            environment = dict(os.environ, SOCKWIRE_EXPRESSIONS=asked, SOCKWIRE_PROGRAMS=answered)
            run = subprocess.run([self.binary, "compiles_the_expressions_of_a_file"], env=environment, cwd=self.root, capture_output=True, text=True)
            if run.returncode:
                sys.exit("our compiler failed:\n" + run.stdout + run.stderr)
            with open(answered) as file:
                lines = file.read().split("\n")[:-1]
        assert len(lines) == len(jobs), (len(lines), len(jobs))
        answers = []
        for line in lines:
            if line.startswith("error "):
                answers.append(line[6:])
            else:
                words = [int(word) for word in line.split()]
                answers.append([tuple(words[at:at + 4]) for at in range(0, len(words), 4)])
        return answers


# ------------------------------------------------------------------------------------------------- comparison

# Differences that are meant: (why, applies to a link type, our answer and theirs for an expression).
def whole(pattern):
    return lambda link, expression, ours, theirs: re.search(pattern, expression) is not None


def only_we_take(pattern):
    return lambda link, expression, ours, theirs: isinstance(theirs, str) and not isinstance(ours, str) and re.search(pattern, expression) is not None


KNOWN = [
    ("a pcapng file knows the direction of a packet; libpcap asks for it only where the link header has it", only_we_take(r"\b(in|out)bound\b")),
    ("`vxlan` is of libpcap 1.11", only_we_take(r"\bvxlan\b")),
    ("libpcap never loads the byte of `byte N & V` and `byte N | V`", whole(r"\bbyte \d+ [&|]")),
    ("libpcap forgets that a `geneve` was not there: what follows counts from memory that a relation or protochain before it left behind", whole(r"(protochain|[<>=]).*\bgeneve\b")),
    ("libpcap with glibc takes the number of a named network for a single address", whole(r"\bnet (\(?not )?(loopback|link-local)|\bnet \(?.*\bloopback")),
]


class Difference:
    def __init__(self, name, tree, netmask, kind, detail):
        self.name, self.tree, self.netmask, self.kind, self.detail = name, tree, netmask, kind, detail


class Comparison:
    """One link type."""

    def __init__(self, name, zoo, self_test):
        self.name, self.zoo, self.self_test = name, zoo, self_test
        self.compiler = zoo.open()
        self.expressions = self.both = self.neither = self.verdicts = self.compared = self.wrong = 0
        self.rejects_all = self.inconsistent = self.cut = 0
        self.known = {}
        self.examples = []

    def certain(self, expression, netmask, taken):
        """libpcap refuses these packets only because they end early: it would take them whatever followed."""
        chance = random.Random(1)
        longer = []
        for number in sorted(taken, key=lambda n: (len(self.zoo.packets[n][0]), n))[:30]:
            data, wire = self.zoo.packets[number]
            longer += [(data + bytes([fill]) * 2200, wire) for fill in (0, 255)] + [(data + chance.randbytes(2200), wire) for _ in range(6)]
            # What is likely to stand there: what follows in other packets that begin so.
            longer += [(other, wire) for other, _ in self.zoo.packets if len(other) > len(data) and other.startswith(data)][:30]
            longer += [(data + self.zoo.packets[n][0][len(data):] + bytes(2200), wire) for n in chance.sample(range(len(self.zoo.packets)), 30)]
        zoo = Zoo(self.zoo.link, [(data + bytes(2200), wire) for data, wire in longer], self.zoo.big)
        found = numbers(zoo.select(zoo.compile(self.compiler, expression, 0, netmask)))
        os.unlink(zoo.path)
        return len(found) == len(longer)

    def judge(self, tree, netmask, ours, count=True):
        """What differs for one expression; None when nothing does."""
        expression = text(tree)
        theirs = self.zoo.compile(self.compiler, expression, 1, netmask)
        if self.self_test:
            ours = self.zoo.compile(self.compiler, expression, 0, netmask)
        if count:
            self.expressions += 1
        if theirs == "expression rejects all packets":
            if isinstance(ours, str) and "reject" in ours:
                if count:
                    self.neither += 1
                return None
            # libpcap finds this out while it optimises only.
            theirs = self.zoo.compile(self.compiler, expression, 0, netmask)
            if count:
                self.rejects_all += 1
        if isinstance(ours, str) or isinstance(theirs, str):
            if isinstance(ours, str) and isinstance(theirs, str):
                if count:
                    self.neither += 1
                return None
            for why, applies in KNOWN:
                if applies(self.name, expression, ours, theirs):
                    if count:
                        self.known[why] = self.known.get(why, 0) + 1
                    return None
            if count:
                self.verdicts += 1
            detail = f"we refuse: {ours}" if isinstance(ours, str) else f"libpcap refuses: {theirs}"
            return Difference(self.name, tree, netmask, "verdict", detail)
        if count:
            self.both += 1
            self.compared += len(self.zoo.packets)
        if ours == theirs:
            return None
        mine, wanted = self.zoo.select(ours), self.zoo.select(theirs)
        if isinstance(mine, str):
            return Difference(self.name, tree, netmask, "program", f"libpcap does not take our program: {mine}")
        if mine == wanted:
            return None
        mine, wanted = numbers(mine), numbers(wanted)
        if not self.self_test:
            plain = self.zoo.compile(self.compiler, expression, 0, netmask)
            plain = numbers(self.zoo.select(plain))
            unsure = plain ^ wanted
            if (mine ^ wanted) <= unsure:
                if count:
                    self.inconsistent += 1
                return None
            mine, wanted = mine - unsure, wanted - unsure
            if wanted < mine and self.certain(expression, netmask, mine - wanted):
                if count:
                    self.cut += 1
                return None
        for why, applies in KNOWN:
            if applies(self.name, expression, ours, theirs):
                if count:
                    self.known[why] = self.known.get(why, 0) + 1
                return None
        differing = sorted(mine ^ wanted, key=lambda n: (len(self.zoo.packets[n][0]), n))
        if count:
            self.wrong += 1
        data, wire = self.zoo.packets[differing[0]]
        which = "we take" if differing[0] in mine else "libpcap takes"
        return Difference(self.name, tree, netmask, "packets", f"{len(differing)} packets; {which} this one, {wire} bytes on the wire: {data.hex()}")


def shorten(differences, comparisons, compile_all):
    """Drops parts of expressions while they still differ, all of them together."""
    done = {}
    working = list(differences)
    while working:
        candidates = []
        for difference in working:
            parts = sorted(smaller(difference.tree), key=lambda part: len(text(part)))[:12]
            candidates.append(parts)
        jobs = [(comparisons[d.name].zoo.link, text(part), d.netmask) for d, parts in zip(working, candidates) for part in parts]
        answers = iter(compile_all(jobs))
        following = []
        for difference, parts in zip(working, candidates):
            better = None
            for part in parts:
                found = comparisons[difference.name].judge(part, difference.netmask, next(answers), count=False)
                better = better or (found if found and found.kind == difference.kind else None)
            if better:
                following.append(better)
            else:
                done.setdefault((difference.name, text(difference.tree)), difference)
        working = following
    return list(done.values())


def read_sample(root, comparison, expressions):
    """Where `sockwire read FILE EXPR` and `tcpdump -r FILE EXPR` take different packets; the time of a packet is its number."""
    program = os.path.join(root, "target", "debug", "sockwire")
    path = comparison.zoo.path
    for expression in expressions:
        theirs = subprocess.run(["tcpdump", "-r", path, "-w", "-", expression], capture_output=True)
        ours = subprocess.run([program, "read", "-n", "--json", path, expression], capture_output=True, text=True, errors="replace")
        said = theirs.stderr.decode(errors="replace").strip()
        wanted = sorted(numbers(theirs.stdout)) if not theirs.returncode else [] if "rejects all" in said else None
        found = [int(n) for n in re.findall(r'"frame\.time_epoch":"(\d+)', ours.stdout)] if not ours.returncode or "packets matched" in ours.stderr else None
        if found == [] and wanted is None and "rejects all" in said:
            continue
        # tcpdump's machine does not clear the memory that its program reads where no Geneve is (see `select`).
        unwritten = re.search(r"\bgeneve\b.*(or|\|)|not.*\bgeneve\b", expression)
        if found != wanted and not unwritten:
            known = any(applies(comparison.name, expression, found if found is not None else "", wanted if wanted is not None else said) for _, applies in KNOWN)
            if not known:
                yield expression, found and len(found), wanted and len(wanted), ours.stderr.strip(), said


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--count", type=int, default=2000, help="generated expressions a link type")
    options.add_argument("--link", default=",".join(LINKS))
    options.add_argument("--corpus", action="append", default=[])
    options.add_argument("--read", type=int, default=0, help="expressions a link type for `sockwire read`")
    options.add_argument("--self", action="store_true", dest="self_test")
    options.add_argument("--show", type=int, default=40, help="differences to show")
    options.add_argument("--expression", action="append", default=[], help="only these")
    told = options.parse_args()
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    names = told.link.split(",")
    wanted = {LINKS[name][0] for name in names}
    found = {}
    for folder in told.corpus:
        for key, many in corpus(folder, wanted).items():
            found.setdefault(key, []).extend(many)
    ours = None if told.self_test else Ours(root)
    compile_all = (lambda jobs: [None] * len(jobs)) if told.self_test else ours.compile
    print(f"{pcap.pcap_lib_version().decode()}; seed {told.seed}")
    comparisons, differences, failed = {}, [], False
    head = f"{'link type':<11}{'packets':>8}{'expressions':>12}{'both take':>10}{'neither':>8}{'verdict differs':>16}{'packets compared':>17}{'selection differs':>18}{'rejects all':>12}{'libpcap unsure':>15}{'cut':>5}{'known':>7}"
    print(head)
    for name in names:
        link, big = LINKS[name]
        zoo = Zoo(link, packets(link, big, told.seed) + found.get((link, big), []), big)
        comparison = comparisons[name] = Comparison(name, zoo, told.self_test)
        maker = Maker(f"{told.seed} {name}")
        trees = told.expression or HANDOUT + REFUSED + [maker.tree(maker.pick([0, 1, 1, 2, 2, 3])) for _ in range(told.count)]
        netmasks = [UNKNOWN_NETMASK if n % 3 else (0xFFFFFF00 if n % 2 else 0) for n in range(len(trees))]
        answers = compile_all([(link, text(tree), netmask) for tree, netmask in zip(trees, netmasks)])
        for tree, netmask, answer in zip(trees, netmasks, answers):
            difference = comparison.judge(tree, netmask, answer)
            if difference:
                differences.append(difference)
        c = comparison
        print(f"{name:<11}{len(zoo.packets):>8}{c.expressions:>12}{c.both:>10}{c.neither:>8}{c.verdicts:>16}{c.compared:>17}{c.wrong:>18}{c.rejects_all:>12}{c.inconsistent:>15}{c.cut:>5}{sum(c.known.values()):>7}", flush=True)
        if told.read and not told.self_test:
            sample = [text(t) for t in trees if text(t)]
            for case in read_sample(root, comparison, maker.chance.sample(sample, min(told.read, len(sample)))):
                print("  read:", *[str(part)[:200] for part in case], sep="\n    ")
                failed = True
    for why in sorted({why for c in comparisons.values() for why in c.known}):
        print(f"known, {sum(c.known.get(why, 0) for c in comparisons.values())} times: {why}")
    shown = shorten(differences[:400], comparisons, compile_all)
    shown.sort(key=lambda d: (d.kind, len(text(d.tree))))
    for difference in shown[: told.show]:
        mask = "" if difference.netmask == UNKNOWN_NETMASK else f" (netmask {difference.netmask:#x})"
        print(f"{difference.kind}: {difference.name}: {text(difference.tree)!r}{mask}\n    {difference.detail}")
    if len(shown) > told.show:
        print(f"… and {len(shown) - told.show} more")
    for comparison in comparisons.values():
        os.unlink(comparison.zoo.path)
    sys.exit(bool(differences) or failed)


if __name__ == "__main__":
    main()
