#!/usr/bin/env python3
"""Traces a program of 100,000 send and 100,000 recv over loopback with sockwire, and with strace beside it, in turn (root).

    benches/peers/trace.py [--calls 100000] [--rounds 5] [--sockwire PATH]

Build first: cargo build --release. Each run is in a network namespace of its own. sockwire captures the packets as well and
keeps everything in a log; strace writes the calls to a file. The log must have every call and every packet, or this fails.
Figures are medians over the rounds; ratios below 1 are in sockwire's favour.
"""
import argparse, collections, json, os, shutil, statistics, subprocess, sys, tempfile, time

HERE = os.path.dirname(os.path.abspath(__file__))
SOCKWIRE = os.path.join(HERE, "..", "..", "target", "release", "sockwire")

PROGRAM = """
import socket, sys
server = socket.create_server(("127.0.0.1", 0))
a = socket.create_connection(server.getsockname())
b, _ = server.accept()
a.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
data = b"32 bytes of data, as small ones "
for _ in range(int(sys.argv[1])):
    a.send(data)
    b.recv(64)
"""


def run(command):
    """Wall and processor seconds, of the whole tree."""
    begin = time.perf_counter()
    child = subprocess.Popen(["unshare", "-n", "sh", "-c", 'ip link set lo up && exec "$@"', "sh", *command])
    _, status, usage = os.wait4(child.pid, 0)
    wall = time.perf_counter() - begin
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode != 0:
        sys.exit(f"{' '.join(command)} ended with code {child.returncode}")
    return wall, usage.ru_utime + usage.ru_stime


def check(log, calls):
    """Everything is in the log."""
    made, end, data = collections.Counter(), None, 0
    with open(log, encoding="utf-8") as lines:
        for line in lines:
            entry = json.loads(line)
            if "enter" in entry:
                made[entry["enter"]["deed"]] += 1
            end = entry.get("end", end)
    wrong = [f"{made[deed]} calls of {deed}" for deed in ("send", "receive") if made[deed] != calls]
    if end is None:
        wrong.append("no end")
    elif end["dropped"] or end["kept"] < calls or end["seen"] != end["kept"] + end["others"] + end["duplicates"]:
        wrong.append(f"counters {end}")
    if wrong:
        sys.exit(f"{log} is not whole: {', '.join(wrong)}")
    return end


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--sockwire", default=SOCKWIRE)
    a = parser.parse_args()
    strace = shutil.which("strace") or sys.exit("strace is not installed")
    with tempfile.TemporaryDirectory() as folder:
        program, log, text = (os.path.join(folder, name) for name in ("program.py", "trace.log", "strace.txt"))
        with open(program, "w", encoding="utf-8") as out:
            out.write(PROGRAM)
        plain = [sys.executable, program, str(a.calls)]
        contenders = {
            "untraced": plain,
            "strace": [strace, "-f", "-e", "trace=network", "--seccomp-bpf", "-o", text, *plain],
            "sockwire": [a.sockwire, "trace", "--quiet", "--force", "--save", log, *plain],
        }
        times = {name: [] for name in contenders}
        for _ in range(a.rounds):
            for name, command in contenders.items():
                times[name].append(run(command))
        end = check(log, a.calls)
        size = os.path.getsize(log) >> 20
    print(f"{a.calls} send and {a.calls} recv, median of {a.rounds} rounds; {end['kept']} packets, log of {size} MiB")
    wall, cpu = ({name: statistics.median(t[n] for t in all) for name, all in times.items()} for n in (0, 1))
    for name in contenders:
        ratio = f"{wall[name] / wall['strace']:6.2f} x wall   {cpu[name] / cpu['strace']:6.2f} x processor"
        print(f"  {name:<10}{wall[name]:8.2f} s wall {cpu[name]:8.2f} s processor   {ratio}")


if __name__ == "__main__":
    main()
