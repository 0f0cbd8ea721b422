#!/usr/bin/env python3
"""Sends a lot through one TCP connection on loopback with sockwire, ncat and socat in turn, and prints the ratios.

    benches/peers/talk.py [--mebibytes 1024] [--rounds 5]

Build first: cargo build --release. Each round runs in a network namespace of its own (root, or user namespaces) and ends.
Figures are medians of the wall time from the sender's start to the receiver's end, with both processors' time beside it.
"""
import argparse, os, resource, statistics, subprocess, sys, tempfile, time

HERE = os.path.dirname(os.path.abspath(__file__))
SOCKWIRE = os.path.join(HERE, "..", "..", "target", "release", "sockwire")
# What receives and what sends; {file} is sent, and the receiver writes what it gets to its standard output.
CONTENDERS = {
    "ncat": (["ncat", "--recv-only", "-l", "127.0.0.1", "5000"], ["ncat", "--send-only", "127.0.0.1", "5000"]),
    "socat": (["socat", "-u", "TCP-LISTEN:5000,bind=127.0.0.1,reuseaddr", "-"], ["socat", "-u", "-", "TCP:127.0.0.1:5000"]),
    "sockwire": (["{sockwire}", "serve", "5000", "--bind", "127.0.0.1", "--print", "--once"], ["{sockwire}", "connect", "127.0.0.1", "5000"]),
    "sockwire --file": (["{sockwire}", "serve", "5000", "--bind", "127.0.0.1", "--print", "--once"], ["{sockwire}", "connect", "127.0.0.1", "5000", "--file", "{file}"]),
    "sockwire --receive": (["{sockwire}", "serve", "5000", "--bind", "127.0.0.1", "--receive", "--once"], ["{sockwire}", "connect", "tcp", "--determined", "--file", "{file}", "127.0.0.1", "5000"]),
}


def listens(port):
    with open("/proc/net/tcp") as table, open("/proc/net/tcp6") as table6:
        rows = [row.split() for row in list(table)[1:] + list(table6)[1:]]
    return any(row[1].endswith(f":{port:04X}") and row[3] == "0A" for row in rows)


def round_of(name, a, path):
    words = {"sockwire": a.sockwire, "file": path}
    receive, send = ([word.format(**words) for word in command] for command in CONTENDERS[name])
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    with open("/dev/null", "wb") as sink, open(path, "rb") as source:
        receiver = subprocess.Popen(receive, stdin=subprocess.DEVNULL, stdout=sink, stderr=sink)
        while not listens(5000):
            if receiver.poll() is not None:
                sys.exit(f"{receive[0]} ended with code {receiver.returncode}")
        begin = time.perf_counter()
        sender = subprocess.run(send, stdin=source, stdout=sink, stderr=sink)
        receiver.wait(timeout=120)
        took = time.perf_counter() - begin
    if sender.returncode or receiver.returncode:
        sys.exit(f"{name}: sender ended with code {sender.returncode}, receiver with {receiver.returncode}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return took, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mebibytes", type=int, default=1024)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--sockwire", default=SOCKWIRE)
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    a = parser.parse_args()
    if not a.inside:
        os.execvp("unshare", ["unshare", "-Urn", sys.executable, os.path.abspath(__file__), "--inside"] + sys.argv[1:])
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "data")
        block = os.urandom(1 << 20)
        with open(path, "wb") as out:
            for _ in range(a.mebibytes):
                out.write(block)
        times = {name: [] for name in CONTENDERS}
        for _ in range(a.rounds):
            for name in CONTENDERS:
                times[name].append(round_of(name, a, path))
    peer = statistics.median(wall for wall, _ in times["ncat"])
    print(f"{a.mebibytes} MiB over loopback, medians of {a.rounds} rounds")
    for name, runs in times.items():
        wall, cpu = (statistics.median(run[at] for run in runs) for at in (0, 1))
        print(f"{name:<20} {wall:7.3f} s  {a.mebibytes / wall:8.0f} MiB/s  cpu {cpu:6.2f} s  {wall / peer:5.2f} of ncat")


if __name__ == "__main__":
    main()
