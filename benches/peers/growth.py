#!/usr/bin/env python3
"""Shows logs that ask the most of a trace's views, and logs four times as long, and prints the ratios of processor time.

    benches/peers/growth.py [--entries 20000] [--rounds 3] [--sockwire PATH]

Build first: cargo build --release. The logs are made here, in a temporary folder, and removed.
Figures are the least of the rounds. A ratio of about 4 is in proportion to the log; 16 is the square of it.
"""
import argparse, json, os, struct, subprocess, sys, tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
SOCKWIRE = os.path.join(HERE, "..", "..", "target", "release", "sockwire")
CLIENT = (0x0A000001, 40000)
SYN, PSH_ACK = 0x02, 0x18


def server(n):
    """10.x.y.z:5000, as many of them as are wanted."""
    return 0x0A800000 + n, 5000


def ip(end):
    address, port = end
    return {"Ip": ".".join(map(str, address.to_bytes(4, "big"))) + f":{port}"}


def socket(number, local, peer):
    names = {"family": "AF_INET", "kind": "SOCK_STREAM", "transport": "tcp"}
    return {"socket": {"id": number, "net": 1, **names, "local": local, "peer": peer, "before": None}}


def enter(call, deed, number, args, parts=()):
    by = {"process": 1, "thread": call}
    return {"enter": {"call": call, "by": by, "name": deed, "deed": deed, "socket": number, "args": args, "parts": list(parts)}}


def packet(number, source, destination, flags, seq, data=b""):
    tcp = struct.pack(">HHIIBBHHH", source[1], destination[1], seq, 0, 0x50, flags, 0xFF00, 0, 0) + data
    head = struct.pack(">BBHHHBBHII", 0x45, 0, 20 + len(tcp), 0, 0x4000, 64, 6, 0, source[0], destination[0])
    frame = bytes(12) + b"\x08\x00" + head + tcp
    return {"packet": {"number": number, "interface": 0, "way": "loop", "wire_len": 60, "bytes": frame.hex()}}


def waiting(n):
    """Calls that connect, and none returns."""
    for number in range(1, n + 1):
        yield socket(number, None, None)
        yield enter(number, "connect", number, [{"fd": 3}, {"address": ip(server(number))}])


def listening(n):
    """Sockets that listen at one port of many addresses, and one who comes to each."""
    for number in range(1, n + 1):
        yield socket(number, ip(server(number)), None)
        yield enter(number, "listen", number, [{"fd": 3}])
        yield {"return": {"call": number, "result": {"Ok": 0}}}
    for number in range(1, n + 1):
        yield packet(number, CLIENT, server(number), SYN, number)


def sending(n):
    """Threads that all send at once on one connection."""
    ends = CLIENT, server(0)
    yield packet(n + 1, *ends, SYN, 0)
    yield socket(1, *map(ip, ends))
    for call in range(1, n + 1):
        yield enter(call, "send", 1, [{"fd": 3}, {"data": 0}], [{"data": {"len": 4, "head": "data"}}])
    for number in range(n):
        yield packet(number + 1, *ends, PSH_ACK, 1 + 4 * number, b"data")
    for call in range(n, 0, -1):
        yield {"return": {"call": call, "result": {"Ok": 4}, "moved": 4}}


def write(path, entries):
    first = [
        {"begin": {"version": 1, "what": "a program", "ground": "this machine"}},
        {"net": {"id": 1, "host": None, "unseen": None}},
        {"interface": {"id": 0, "net": 1, "name": "lo", "link": 1}},
    ]
    end = {"end": dict.fromkeys(["calls", "seen", "kept", "others", "duplicates", "dropped"], 0)}
    with open(path, "w") as log:
        for at, entry in enumerate([*first, *entries, end]):
            log.write(json.dumps({"at": 1000 * at, **entry}) + "\n")


def cost(command):
    """Processor seconds."""
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode != 0:
        sys.exit(f"{' '.join(command)} ended with code {child.returncode}")
    return usage.ru_utime + usage.ru_stime


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--entries", type=int, default=20000, metavar="N", help="calls of the shorter log")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--sockwire", default=SOCKWIRE)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for make in waiting, listening, sending:
            logs = []
            for n in args.entries, 4 * args.entries:
                logs.append(os.path.join(folder, f"{make.__name__}-{n}.log"))
                write(logs[-1], make(n))
            for view in [], ["--summary"]:
                commands = [[args.sockwire, "trace", "-r", log, *view] for log in logs]
                less, more = [min(cost(command) for _ in range(args.rounds)) for command in commands]
                name = " ".join([make.__name__, *view])
                print(f"{name:20} {less:7.3f} s, then {more:7.3f} s: {more / less:5.2f}")


main()
