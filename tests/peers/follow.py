#!/usr/bin/env python3
"""Compares the bytes that `sockwire follow` and `tshark -z follow` give of every stream of capture files, side by side.

    tests/peers/follow.py [--jobs 2] [--streams 50] FILE|FOLDER…

Build first: cargo build. Prints each side that differs with the reason, as far as it can be told, and the sums. The
exit code is 1 where a difference has no known reason. Reasons:

  cut       the snapshot length cut bytes off: tshark joins what is left, sockwire leaves a gap
  gap       bytes are not in the capture: tshark stops where it sees no acknowledgment of what comes after (where it sees
            one, the sentence that it writes into the gap is taken out before comparing)
  outside   segments from before the beginning, or far away
  several   the packets hold further packets (tunnels, OpenFlow): tshark takes the bytes or the direction of the innermost
  reset     a segment with RST carries text, which is no part of the stream (RFC 9293 §3.5.3)
  unseen    tshark reads no such stream in these packets (jumbograms beyond 64 KiB, IPv4 under the link type of IPv6)
"""
import argparse, collections, concurrent.futures, json, os, re, subprocess, sys

HERE = os.path.dirname(os.path.abspath(__file__))
SOCKWIRE = os.path.join(HERE, "..", "..", "target", "debug", "sockwire")
MISSING = re.compile(rb"\[\d+ bytes missing in capture file\]\0?")
# An end named by its hardware address: of a frame within a datagram (LWAPP).
MAC = re.compile(r"([0-9a-f]{2}:){6}\d+$")
SIDES = ("client", "server")


def run(*words):
    done = subprocess.run(words, capture_output=True, timeout=300)
    return done.returncode, done.stdout, done.stderr.decode(errors="replace")


def objects(file, *words):
    code, out, err = run(program, "follow", file, *words, "--json")
    return code, [json.loads(line) for line in out.splitlines()], err


def streams(file):
    """The names of the streams, or None where the file cannot be read."""
    code, found, err = objects(file)
    if code not in (0, 1, 5):
        return None
    names = list(dict.fromkeys(each["stream"] for each in found))
    only = re.search(r"not one byte of (\S+) is there", err)
    return names or ([only[1]] if only else [])


def ours(file, name):
    """Bytes, gaps and totals of each side, and the socket of each."""
    data, gaps, sockets = {}, {}, {}
    code, found, err = objects(file, name)
    for side in SIDES:
        mine = [each for each in found if each["side"] == side]
        data[side] = b"".join(bytes.fromhex(each["bytes"].replace(":", "")) for each in mine if each["kind"] == "data")
        gaps[side] = collections.Counter()
        for each in mine:
            sockets[side] = each["from"]
            if each["kind"] == "gap":
                gaps[side][each["why"]] += each["length"]
        gaps[side]["outside"] = "outside of the stream" in err
    return data, gaps, sockets


def theirs(file, names):
    """For each name, the bytes of each node, and the sockets."""
    words = ["tshark", "-n", "-q", "-r", file]
    for name in names:
        transport, number = name.split(":")
        words += ["-z", f"follow,{transport},raw,{number}"]
    _, out, _ = run(*words)
    found = {}
    for block in re.split(rb"=+\nFollow: ", out)[1:]:
        head, _, rest = block.partition(b"Node 1: ")
        transport = head.split(b",")[0].decode()
        number = re.search(rb"stream eq (\d+)", head)[1].decode()
        node = re.search(rb"Node 0: (.*)", head)[1].decode()
        lines = rest.split(b"\n")
        parts = [[], []]
        for line in lines[1:]:
            line = line.rstrip()
            if not line or line.startswith(b"="):
                continue
            which = int(line.startswith(b"\t"))
            piece = bytes.fromhex(line.strip().decode())
            if not MISSING.fullmatch(piece):
                parts[which].append(piece)
        found[f"{transport}:{number}"] = ([b"".join(p) for p in parts], [node, lines[0].decode().strip()])
    return found


def several(file, name):
    """A packet of the stream has more than one IP header, or more than one of the stream's transport."""
    transport, number = name.split(":")
    fields = ["-e", "ip.src", "-e", "ipv6.src", "-e", f"{transport}.stream"]
    _, out, _ = run("tshark", "-n", "-r", file, "-Y", f"{transport}.stream == {number}", "-T", "fields", *fields)
    return b"," in out


def resets(file, name):
    if not name.startswith("tcp"):
        return False
    _, out, _ = run("tshark", "-n", "-r", file, "-Y", f"tcp.stream == {name[4:]} && tcp.flags.reset == 1 && tcp.len > 0")
    return bool(out.strip())


def reason(file, name, mine, gaps, other, ends):
    if ends == [":0", ":0"]:
        return "unseen"
    if gaps["not captured"]:
        return "cut"
    if any(MAC.match(end) for end in ends) or several(file, name):
        return "several"
    if resets(file, name):
        return "reset"
    if gaps["outside"]:
        return "outside"
    if gaps["missing"] and mine.startswith(other):
        return "gap"
    return "unknown"


def compare(file, most):
    """(agreed sides, differences) of a file; None where it cannot be read."""
    names = streams(file)
    if names is None:
        return None
    same, differ, beyond = 0, [], max(0, len(names) - most)
    names = names[:most]
    peer = theirs(file, names) if names else {}
    for name in names:
        data, gaps, sockets = ours(file, name)
        if name not in peer:
            differ.append((name, "both", "not followed by tshark", 0, 0))
            continue
        nodes, ends = peer[name]
        plain = [sockets.get(side, "").replace("[", "").replace("]", "") for side in SIDES]
        crossed = ends[0] != ends[1] and (plain[0] == ends[1] or plain[1] == ends[0])
        for index, side in enumerate(SIDES):
            at = index ^ crossed
            if data[side] == nodes[at]:
                same += 1
            else:
                why = reason(file, name, data[side], gaps[side], nodes[at], ends)
                differ.append((name, side, why, len(data[side]), len(nodes[at])))
    return same, differ, beyond


def files(paths):
    for path in paths:
        if os.path.isdir(path):
            for folder, _, names in sorted(os.walk(path)):
                yield from (os.path.join(folder, name) for name in sorted(names))
        else:
            yield path


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--streams", type=int, default=50, help="at most so many of each file")
    parser.add_argument("--program", default=SOCKWIRE, help="the sockwire to compare")
    parser.add_argument("paths", nargs="+")
    args = parser.parse_args()
    global program
    program = args.program
    paths = list(files(args.paths))
    same = unread = left = read = 0
    reasons = collections.Counter()
    with concurrent.futures.ThreadPoolExecutor(args.jobs) as pool:
        for path, found in zip(paths, pool.map(lambda path: compare(path, args.streams), paths)):
            if found is None:
                unread += 1
                continue
            read += 1
            same += found[0]
            left += found[2]
            for name, side, why, mine, other in found[1]:
                reasons[why] += 1
                print(f"{path} {name} {side}: sockwire {mine} bytes, tshark {other}: {why}", flush=True)
    print(f"{read} files ({unread} not read, {left} streams left out), {same} sides agree, {sum(reasons.values())} differ", dict(reasons))
    return 1 if reasons["unknown"] or reasons["not followed by tshark"] else 0


if __name__ == "__main__":
    sys.exit(main())
