#!/usr/bin/env python3
"""Many clients of `sockwire serve`, in each style: 10,000 one after the other, then 1,000 at once, and what is left behind.

    benches/peers/clients.py [--sequential 10000] [--concurrent 1000]

Build first: cargo build --release. All of it happens in a network namespace of its own (root, or user namespaces) and ends.
Before and after, once all clients have left: the server's descriptors, processes, threads and resident memory. The exit code
is 1 when a descriptor, process or thread is left, or more than 8 MiB of memory.
"""
import argparse, os, resource, selectors, signal, socket, subprocess, sys, time

HERE = os.path.dirname(os.path.abspath(__file__))
SOCKWIRE = os.path.join(HERE, "..", "..", "target", "release", "sockwire")
ADDRESS = ("127.0.0.1", 5000)
STYLES = [("tcp", style) for style in ("sequential", "fork", "thread", "poll")] + [("http", "thread"), ("http", "fork")]
QUESTIONS = {"tcp": b"hello", "http": b"GET /ip HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n"}
MEMORY = 8 << 10


def held(pid):
    """Descriptors, processes, threads, and KiB of resident memory."""
    with open(f"/proc/{pid}/status") as status:
        fields = dict(line.split(":", 1) for line in status)
    with open(f"/proc/{pid}/task/{pid}/children") as children:
        processes = 1 + len(children.read().split())
    return len(os.listdir(f"/proc/{pid}/fd")), processes, int(fields["Threads"]), int(fields["VmRSS"].split()[0])


def is_answered(kind, answer):
    return answer == b"hello" if kind == "tcp" else answer.startswith(b"HTTP/1.1 200") and b"127.0.0.1" in answer


def one(kind):
    with socket.create_connection(ADDRESS) as client:
        client.sendall(QUESTIONS[kind])
        if kind == "tcp":
            client.shutdown(socket.SHUT_WR)
        answer = b""
        while data := client.recv(4096):
            answer += data
    assert is_answered(kind, answer), answer


def at_once(kind, style, count):
    """All connect and ask; unless each must leave for the next one to be served, none leaves before all have an answer."""
    waiting = selectors.DefaultSelector()
    answers, clients = {}, []
    for _ in range(count):
        client = socket.create_connection(ADDRESS)
        client.sendall(QUESTIONS[kind])
        waiting.register(client, selectors.EVENT_READ)
        answers[client] = b""
        clients.append(client)
    while answers:
        for key, _ in waiting.select():
            client = key.fileobj
            answers[client] += client.recv(4096)
            if is_answered(kind, answers[client]):
                del answers[client]
                waiting.unregister(client)
                if style == "sequential":
                    client.close()
    for client in clients:
        client.close()


def settled(pid, before):
    """What is held once it is no more than before, or after ten seconds."""
    until = time.monotonic() + 10
    while True:
        now = held(pid)
        if now[:3] == before[:3] or time.monotonic() > until:
            return now
        time.sleep(0.05)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sequential", type=int, default=10_000)
    parser.add_argument("--concurrent", type=int, default=1_000)
    parser.add_argument("--sockwire", default=SOCKWIRE)
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    a = parser.parse_args()
    if not a.inside:
        os.execvp("unshare", ["unshare", "-Urn", sys.executable, os.path.abspath(__file__), "--inside"] + sys.argv[1:])
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    is_clean = True
    print("descriptors, processes, threads, KiB resident")
    for kind, style in STYLES:
        words = [a.sockwire, "serve", kind, "5000", "--bind", "127.0.0.1", "--style", style, "--backlog", "4096"]
        words += ["--echo"] if kind == "tcp" else []
        server = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        server.stdout.readline()
        # What it tells of each client is of no use here.
        drain = subprocess.Popen(["cat"], stdin=server.stdout, stdout=subprocess.DEVNULL)
        server.stdout.close()
        try:
            one(kind)
            first = held(server.pid)
            begin = time.perf_counter()
            for _ in range(a.sequential):
                one(kind)
            took = time.perf_counter() - begin
            second = settled(server.pid, first)
            begin = time.perf_counter()
            at_once(kind, style, a.concurrent)
            took_at_once = time.perf_counter() - begin
            third = settled(server.pid, first)
        finally:
            server.send_signal(signal.SIGINT)
            code = server.wait(timeout=30)
            drain.wait(timeout=30)
        is_clean &= code == 0 and all(now[:3] == first[:3] and now[3] - first[3] <= MEMORY for now in (second, third))
        print(f"{kind} {style:<10} before {first}  after {a.sequential} in {took:.1f} s {second}  "
              f"after {a.concurrent} at once in {took_at_once:.1f} s {third}", flush=True)
    sys.exit(0 if is_clean else 1)


if __name__ == "__main__":
    main()
