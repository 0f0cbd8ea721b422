#!/usr/bin/env python3
"""Runs sockwire beside tcpdump and tshark on the same input, in turn, and prints the ratios.

    benches/peers/peers.py read  [--packets 1000000] [--rounds 5]    decode a file to text
    benches/peers/peers.py filter [--packets 1000000] [--rounds 5]   filter a file into a file
    benches/peers/peers.py flows [--packets 1000000] [--rounds 5]    conversations of a file, beside tshark
    benches/peers/peers.py probe [--rounds 11] [--scapy PYTHON]      one SYN and its SYN-ACK, start to exit (root)
    benches/peers/peers.py send  [--rounds 5]                        send on a veth pair, beside trafgen, tcpreplay, hping3 (root)
    benches/peers/peers.py live  [--packets 500000] [--rate 200000]  capture on a veth pair (root)

Build first: cargo build --release. The input is made here, in a temporary folder, and removed.
The live part runs in a network namespace of its own, sends a bounded number of frames there, and ends.
Figures are medians over the rounds (of filter: the best); ratios below 1 are in sockwire's favour.
"""
import argparse, os, random, shutil, socket, statistics, struct, subprocess, sys, tempfile, time

HERE = os.path.dirname(os.path.abspath(__file__))
SOCKWIRE = os.path.join(HERE, "..", "..", "target", "release", "sockwire")


def checksum(data):
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def ethernet(kind, payload, tag=None):
    head = bytes.fromhex("020000000002020000000001")
    if tag is not None:
        head += struct.pack(">HH", 0x8100, tag)
    return head + struct.pack(">H", kind) + payload


def ipv4(protocol, payload, rng):
    source, destination = 0x0A000000 + rng.randrange(256), 0x0A000100 + rng.randrange(256)
    head = struct.pack(">BBHHHBBHII", 0x45, 0, 20 + len(payload), rng.randrange(65536), 0x4000, 64, protocol, 0, source, destination)
    return head[:10] + struct.pack(">H", checksum(head)) + head[12:] + payload


def ipv6(protocol, payload, rng):
    source = bytes.fromhex("fd00" + "00" * 12) + struct.pack(">H", rng.randrange(256))
    destination = bytes.fromhex("fd01" + "00" * 12) + struct.pack(">H", rng.randrange(256))
    return struct.pack(">IHBB", 0x60000000, len(payload), protocol, 64) + source + destination + payload


def tcp(rng, data):
    options = bytes.fromhex("0101080a") + struct.pack(">II", rng.randrange(2**32), rng.randrange(2**32))
    head = struct.pack(">HHIIBBHHH", rng.choice([80, 443, 5000]), 30000 + rng.randrange(2000), rng.randrange(2**32), rng.randrange(2**32), 0x80, 0x18, 502, 0x1234, 0)
    return head + options + data


def udp(rng, data):
    return struct.pack(">HHHH", 4000 + rng.randrange(100), 5005, 8 + len(data), 0) + data


def frames(count, rng):
    """A mix of what a lab sees, `count` different frames."""
    for _ in range(count):
        data = rng.randbytes(rng.choice([0, 0, 32, 100, 512, 1400]))
        kind = rng.randrange(10)
        if kind < 5:
            yield ethernet(0x0800, ipv4(6, tcp(rng, data), rng))
        elif kind < 7:
            yield ethernet(0x0800, ipv4(17, udp(rng, data), rng))
        elif kind == 7:
            yield ethernet(0x86DD, ipv6(6, tcp(rng, data), rng))
        elif kind == 8:
            yield ethernet(0x0800, ipv4(1, struct.pack(">BBHHH", 8, 0, 0, 1, rng.randrange(65536)) + data, rng), tag=100)
        else:
            yield ethernet(0x0806, bytes.fromhex("00010800060400010200000000010a000001000000000000") + struct.pack(">I", 0x0A000000 + rng.randrange(256)))


def write_capture(path, packets):
    rng = random.Random(5000)
    pool = list(frames(20000, rng))
    with open(path, "wb", buffering=1 << 20) as out:
        out.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, 1))
        for n in range(packets):
            frame = pool[n % len(pool)]
            out.write(struct.pack("<IIII", 1700000000 + n // 10000, n % 10000 * 100, len(frame), len(frame)) + frame)


def run(command, output):
    """Wall and processor seconds of one run."""
    with open(output, "wb") as sink:
        begin = time.perf_counter()
        child = subprocess.Popen(command, stdout=sink, stderr=subprocess.DEVNULL)
        _, status, usage = os.wait4(child.pid, 0)
        wall = time.perf_counter() - begin
        child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode != 0:
        sys.exit(f"{command[0]} ended with code {child.returncode}")
    return wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def bench_read(a):
    with tempfile.TemporaryDirectory() as folder:
        capture, text = os.path.join(folder, "mixed.pcap"), os.path.join(folder, "out.txt")
        write_capture(capture, a.packets)
        contenders = {"tcpdump -nr": ["tcpdump", "-nr", capture], "sockwire read -n": [a.sockwire, "read", "-n", capture]}
        times = {name: [] for name in contenders}
        for _ in range(a.rounds):
            for name, command in contenders.items():
                times[name].append(run(command, text))
        print(f"{a.packets} mixed packets, {os.path.getsize(capture) >> 20} MiB, median of {a.rounds} rounds")
        report(times, "tcpdump -nr", a.packets)


def segment(sockets, seq, ack, flags, data=b""):
    """A frame with a TCP segment; `sockets` are source and destination as (address, port)."""
    (source, sport), (destination, dport) = sockets
    head = struct.pack(">HHIIBBHHH", sport, dport, seq, ack, 0x50, flags, 502, 0, 0)
    ip = struct.pack(">BBHHHBBHII", 0x45, 0, 40 + len(data), 1, 0x4000, 64, 6, 0, source, destination)
    return ethernet(0x0800, ip[:10] + struct.pack(">H", checksum(ip)) + ip[12:] + head + data)


def connection(number, rng):
    """The frames of one connection: ten packets, one of ten connections with a repetition."""
    client, server = (0x0A010000 + number % 60000, 1024 + number % 50000), (0x0A000002, 80)
    there, back = (client, server), (server, client)
    a, b = rng.randrange(2**31), rng.randrange(2**31)
    reply = segment(back, b + 1, a + 121, 0x18, bytes(900))
    return [
        segment(there, a, 0, 0x02), segment(back, b, a + 1, 0x12), segment(there, a + 1, b + 1, 0x10),
        segment(there, a + 1, b + 1, 0x18, bytes(120)), reply,
        reply if number % 10 == 0 else segment(there, a + 121, b + 901, 0x10), segment(there, a + 121, b + 901, 0x10),
        segment(there, a + 121, b + 901, 0x11), segment(back, b + 901, a + 122, 0x11), segment(there, a + 122, b + 902, 0x10),
    ]


def write_connections(path, packets):
    """Connections of ten packets, 64 at a time."""
    rng = random.Random(5000)
    with open(path, "wb", buffering=1 << 20) as out:
        out.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, 1))
        live, begun = [], 0
        for n in range(packets):
            while len(live) < 64:
                live.append(iter(connection(begun, rng)))
                begun += 1
            at = rng.randrange(len(live))
            frame = next(live[at], None)
            while frame is None:
                live[at] = iter(connection(begun, rng))
                begun += 1
                frame = next(live[at])
            out.write(struct.pack("<IIII", 1700000000 + n // 100000, n % 100000 * 10, len(frame), len(frame)) + frame)


def bench_flows(a):
    with tempfile.TemporaryDirectory() as folder:
        capture, text = os.path.join(folder, "connections.pcap"), os.path.join(folder, "out.txt")
        write_connections(capture, a.packets)
        peer = "tshark -q -z conv,tcp"
        contenders = {peer: ["tshark", "-n", "-q", "-z", "conv,tcp", "-r", capture], "sockwire flows": [a.sockwire, "flows", capture]}
        times = {name: [] for name in contenders}
        for _ in range(a.rounds):
            for name, command in contenders.items():
                times[name].append(run(command, text))
        print(f"{a.packets} packets of {a.packets // 10} connections, {os.path.getsize(capture) >> 20} MiB, median of {a.rounds} rounds")
        report(times, peer, a.packets)
        rss = {name: statistics.median(row[2] for row in rows) for name, rows in times.items()}
        print(f"  memory: {rss['sockwire flows'] / rss[peer]:.3f}")


# What the frames above are: some, most, and few of them.
EXPRESSIONS = ["tcp port 80", "not arp", "udp port 4007"]


def bench_filter(a):
    with tempfile.TemporaryDirectory() as folder:
        capture, talk = os.path.join(folder, "mixed.pcap"), os.path.join(folder, "talk.txt")
        write_capture(capture, a.packets)
        print(f"{a.packets} mixed packets, {os.path.getsize(capture) >> 20} MiB, best of {a.rounds} rounds")
        for expression in EXPRESSIONS:
            kept = {name: os.path.join(folder, name + ".pcap") for name in ("tcpdump", "sockwire")}
            contenders = {
                "tcpdump": ["tcpdump", "-r", capture, "-w", kept["tcpdump"], expression],
                "sockwire": [a.sockwire, "read", capture, "-w", kept["sockwire"], expression],
            }
            times = {name: [] for name in contenders}
            for _ in range(a.rounds):
                for name, command in contenders.items():
                    if os.path.exists(kept[name]):
                        os.remove(kept[name])
                    times[name].append(run(command, talk))
            sizes = {name: os.path.getsize(path) for name, path in kept.items()}
            if sizes["tcpdump"] != sizes["sockwire"]:
                sys.exit(f"{expression}: {sizes}")
            best = {name: [min(column) for column in zip(*rows)] for name, rows in times.items()}
            wall, cpu = (best["sockwire"][at] / best["tcpdump"][at] for at in (0, 1))
            print(f"  {expression}: {sizes['tcpdump'] >> 10} KiB kept")
            for name, (seconds, used, rss) in best.items():
                print(f"    {name:10} wall {seconds:6.3f} s  cpu {used:6.3f} s ({used / a.packets * 1e9:4.0f} ns a packet)  {rss:5.1f} MiB")
            print(f"    sockwire / tcpdump: wall {wall:.3f}, cpu {cpu:.3f}")


def report(times, peer, packets):
    middle = {name: [statistics.median(column) for column in zip(*rows)] for name, rows in times.items()}
    for name, (wall, cpu, rss) in middle.items():
        print(f"  {name:24} wall {wall:7.3f} s  cpu {cpu:7.3f} s ({cpu / packets * 1e9:6.0f} ns a packet)  {rss:6.1f} MiB")
    for name, (wall, cpu, _) in middle.items():
        if name != peer:
            print(f"  {name} / {peer}: wall {wall / middle[peer][0]:.3f}, cpu {cpu / middle[peer][1]:.3f}")


def bench_live(a):
    if os.environ.get("SOCKWIRE_BENCH") != "inside":
        os.environ["SOCKWIRE_BENCH"] = "inside"
        os.execvp("unshare", ["unshare", "--net", sys.executable, *sys.argv])
    for line in ["link add va type veth peer name vb", "link set va up", "link set vb up"]:
        subprocess.run(["ip", *line.split()], check=True)
    for name in ("va", "vb"):
        with open(f"/proc/sys/net/ipv6/conf/{name}/disable_ipv6", "w") as knob:
            knob.write("1")
    with tempfile.TemporaryDirectory() as folder:
        capture = os.path.join(folder, "live.out")
        contenders = {
            "tcpdump -w": ["tcpdump", "-i", "vb", "-n", "-w", capture],
            "sockwire capture -w": [a.sockwire, "capture", "-i", "vb", "-w", capture, "--force"],
            "tcpdump -n": ["tcpdump", "-i", "vb", "-n"],
            "sockwire capture -n": [a.sockwire, "capture", "-i", "vb", "-n"],
            "sockwire watch": [a.sockwire, "watch", "-i", "vb"],
        }
        print(f"{a.packets} UDP frames of 64 bytes, at most {a.rate} a second, veth pair in one namespace, median of {a.rounds} rounds")
        rows = {name: [] for name in contenders}
        for _ in range(a.rounds):
            for name, command in contenders.items():
                rows[name].append(live_round(command, a, os.path.join(folder, "text.out")))
        middle = {name: [statistics.median(column) for column in zip(*r)] for name, r in rows.items()}
        for name, (cpu, dropped, rate) in middle.items():
            print(f"  {name:24} {cpu / a.packets * 1e9:7.0f} ns a packet   dropped {dropped:9.0f}   sent {rate:9.0f}/s")
        for name, peer in (("sockwire capture -w", "tcpdump -w"), ("sockwire capture -n", "tcpdump -n"), ("sockwire watch", "tcpdump -n")):
            print(f"  {name} / {peer}: {middle[name][0] / middle[peer][0]:.3f}")


def live_round(command, a, text):
    with open(text, "wb") as out, open(text + ".err", "w+b") as err:
        child = subprocess.Popen(command, stdout=out, stderr=err)
        time.sleep(0.6)
        rate = send(a.packets, a.rate)
        time.sleep(0.6)
        child.send_signal(2)
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        err.seek(0)
        talk = err.read().decode("utf-8", "replace")
    dropped = 0
    for line in talk.splitlines():
        words = line.split()
        if "dropped by kernel" in line or "dropped" in words:
            dropped = int(next(words[i - 1] for i, w in enumerate(words) if w.startswith("dropped")) if "seen" in words else words[0])
    return usage.ru_utime + usage.ru_stime, dropped, rate


def send(packets, rate):
    sender = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    sender.bind(("va", 0))
    rng = random.Random(1)
    pool = [ethernet(0x0800, ipv4(17, udp(rng, bytes(22)), rng)) for _ in range(256)]
    begin = time.perf_counter()
    for n in range(packets):
        sender.send(pool[n & 255])
        if n % 64 == 0:
            ahead = n / rate - (time.perf_counter() - begin)
            if ahead > 0.0005:
                time.sleep(ahead)
    return packets / (time.perf_counter() - begin)


SCAPY = "from scapy.all import IP, TCP, sr1; print(sr1(IP(dst='{}')/TCP(sport=41000, dport=80, flags='S'), timeout=2, verbose=0).summary())"


def bench_probe(a):
    """One SYN to a listening port over a veth pair and over loopback, from the start of the program to its end."""
    if os.environ.get("SOCKWIRE_BENCH") != "inside":
        os.environ["SOCKWIRE_BENCH"] = "inside"
        os.execvp("unshare", ["unshare", "--net", sys.executable, *sys.argv])
    listener = "import socket; s = socket.create_server(('', 80), backlog=500); print('ready', flush=True); input()"
    peer = subprocess.Popen(["unshare", "--net", sys.executable, "-c", "input(); " + listener], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    here = subprocess.Popen([sys.executable, "-c", listener], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    while os.readlink(f"/proc/{peer.pid}/ns/net") == os.readlink("/proc/self/ns/net"):
        time.sleep(0.01)
    inside = ["nsenter", "-t", str(peer.pid), "-n", "ip"]
    for line in ["link set lo up", f"link add va type veth peer name vb netns {peer.pid}", "addr add 10.9.0.1/24 dev va", "link set va up"]:
        subprocess.run(["ip", *line.split()], check=True)
    for line in ["addr add 10.9.0.2/24 dev vb", "link set vb up"]:
        subprocess.run([*inside, *line.split()], check=True)
    peer.stdin.write("\n")
    peer.stdin.flush()
    assert peer.stdout.readline() == here.stdout.readline() == "ready\n"
    for where, address in (("veth", "10.9.0.2"), ("lo", "127.0.0.1")):
        contenders = {
            "sockwire probe": [a.sockwire, *f"probe ip dst={address} / tcp dport=80 flags=S".split()],
            "hping3 -S -c 1 -n": ["hping3", "-S", "-c", "1", "-n", "-p", "80", address],
            "nping --delay 1ms": ["nping", "--tcp", "-p", "80", "--flags", "syn", "-c", "1", "--delay", "1ms", address],
            "Scapy sr1": [a.scapy, "-c", SCAPY.format(address)],
        }
        print(f"one SYN and its SYN-ACK over {where}, start to exit, median (least, most) of {a.rounds} rounds")
        times = {name: [] for name in contenders}
        for _ in range(a.rounds):
            for name, command in list(contenders.items()):
                begin = time.perf_counter()
                try:
                    done = subprocess.run(command, capture_output=True, text=True, timeout=20)
                except FileNotFoundError:
                    done = None
                wall = time.perf_counter() - begin
                answer = done and any(word in done.stdout for word in ("SYN,ACK", "flags=SA", "SA ttl", " SA"))
                if not answer:
                    print(f"  {name:20} does not answer here: left out")
                    del contenders[name], times[name]
                    continue
                times[name].append(wall * 1e3)
        for name, rows in times.items():
            print(f"  {name:20} {statistics.median(rows):8.1f} ms  ({min(rows):.1f}, {max(rows):.1f})")
    for child in (peer, here):
        child.communicate("\n")


TRAFGEN = "{{ eth(da=02:00:00:00:00:99, sa=02:00:00:00:00:01), ipv4(sa=10.9.0.1, da=10.9.0.2, ttl=64), udp(sp={sport}, dp=5000), fill(0x61, 18) }}"


def bench_send(a):
    """60-byte UDP frames, counted where they arrive; nobody there takes them (the hardware address is not the receiver's)."""
    if os.environ.get("SOCKWIRE_BENCH") != "inside":
        os.environ["SOCKWIRE_BENCH"] = "inside"
        os.execvp("unshare", ["unshare", "--net", sys.executable, *sys.argv])
    for line in ["link add va address 02:00:00:00:00:01 type veth peer name vb", "link set va addrgenmode none", "link set vb addrgenmode none",
                 "addr add 10.9.0.1/24 dev va", "link set va up", "link set vb up", "neigh add 10.9.0.2 lladdr 02:00:00:00:00:99 dev va"]:
        subprocess.run(["ip", *line.split()], check=True)
    with tempfile.TemporaryDirectory() as folder:
        fixed, counting, one = (os.path.join(folder, name) for name in ("fixed.cfg", "counting.cfg", "one.pcap"))
        for path, sport in ((fixed, "4000"), (counting, "dinc(1000, 60000, 1)")):
            with open(path, "w") as out:
                out.write(TRAFGEN.format(sport=sport))
        own = [a.sockwire, "send", "-i", "va", "--rate", "max", "-c", "1000000000"]
        layers = "eth dst=02:00:00:00:00:99 / ip dst=10.9.0.2 / udp sport={} dport=5000 / zeros=18"
        frame = layers.format("4000").split()
        subprocess.run([a.sockwire, "send", "-i", "va", "-c", "1000", "--rate", "max", "--quiet", "-w", one, *frame], check=True)
        trafgen = ["trafgen", "-o", "va", "--cpus", "1", "-i"]
        contenders = {
            "trafgen, fixed": [*trafgen, fixed],
            "sockwire, fixed": [*own, *frame],
            "trafgen, changing port": [*trafgen, counting],
            "sockwire, changing port": [*own, *layers.format("1000..60000").split()],
            "tcpreplay": ["tcpreplay", "-q", "--topspeed", "-K", "--loop", "0", "-i", "va", one],
            "hping3": ["hping3", "--udp", "-q", "--flood", "-k", "-s", "4000", "-p", "5000", "-d", "18", "10.9.0.2"],
        }
        rates = {name: [] for name in contenders if shutil.which(contenders[name][0])}
        for _ in range(a.rounds):
            for name in rates:
                rates[name].append(send_round(contenders[name]))
        print(f"60-byte UDP frames, packets a second at the receiving veth, median of {a.rounds} rounds")
        middle = {name: statistics.median(column) for name, column in rates.items()}
        for name, rate in middle.items():
            peer = middle.get("trafgen, changing port" if name.endswith("changing port") else "trafgen, fixed")
            print(f"  {name:24} {rate:9.0f}" + (f"   {rate / peer:.2f} x trafgen" if peer else ""))


def received():
    with open("/proc/net/dev") as table:
        return next(int(line.split()[2]) for line in table if line.strip().startswith("vb:"))


def send_round(command):
    """Packets a second in a steady window of a bounded run."""
    child = subprocess.Popen(["timeout", "-s", "INT", "4", *command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(1.0)
    before, begin = received(), time.perf_counter()
    time.sleep(1.8)
    rate = (received() - before) / (time.perf_counter() - begin)
    child.wait()
    return rate


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("what", choices=["read", "filter", "flows", "send", "live", "probe"])
    ap.add_argument("--packets", type=int)
    ap.add_argument("--rounds", type=int, default=5)
    ap.add_argument("--rate", type=int, default=200000)
    ap.add_argument("--sockwire", default=SOCKWIRE)
    ap.add_argument("--scapy", default=sys.executable, help="a Python that has Scapy")
    a = ap.parse_args()
    a.packets = a.packets or (500000 if a.what == "live" else 1000000)
    {"read": bench_read, "filter": bench_filter, "flows": bench_flows, "send": bench_send, "live": bench_live, "probe": bench_probe}[a.what](a)


if __name__ == "__main__":
    main()
