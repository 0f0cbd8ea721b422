#!/usr/bin/env python3
"""Compares `sockwire flows` with `tshark -q -z conv,tcp -z conv,udp` on capture files.

    tests/peers/flows.py [--sockwire PROGRAM] FILE|FOLDER...

For each conversation: the sockets, frames and bytes each way, the relative start and the duration. Prints every
conversation that only one of both has, then how many are the same. Files that either program cannot read are named.
"""
import argparse, json, os, re, subprocess, sys
from collections import Counter

HERE = os.path.dirname(os.path.abspath(__file__))
SOCKWIRE = os.path.join(HERE, "..", "..", "target", "debug", "sockwire")
UNITS = {"bytes": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9}
ROW = re.compile(r"^(\S+)\s+<->\s+(\S+)\s+(\d+) ([\d,]+) (\w+)\s+(\d+) ([\d,]+) (\w+)\s+(\d+) ([\d,]+) (\w+)\s+(-?[\d.]+)\s+(-?[\d.]+)\s*$")


def output(command):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    return done.returncode, done.stdout.decode("utf-8", "replace")


def socket(text):
    address, port = text.rsplit(":", 1)
    return address, int(port)


def size(count, unit):
    return (int(count.replace(",", "")), unit)


def rounded(count, unit):
    """As tshark writes a number of bytes."""
    return (count // UNITS[unit], unit)


def tshark(path):
    """Transport, then both sockets with what they sent, start and duration."""
    code, text = output(["tshark", "-n", "-q", "-z", "conv,tcp", "-z", "conv,udp", "-r", path])
    found, transport = [], None
    for line in text.splitlines():
        if line.endswith(" Conversations"):
            transport = line.split()[0].lower()
        row = ROW.match(line)
        if row:
            a, b, back, back_bytes, back_unit, there, there_bytes, there_unit = row.groups()[:8]
            start, duration = row.groups()[11:]
            ends = [(socket(a), int(there), size(there_bytes, there_unit)), (socket(b), int(back), size(back_bytes, back_unit))]
            found.append((transport, ends, float(start), float(duration)))
    return code, found


def sockwire(program, path):
    code, text = output([program, "flows", "--json", path])
    found = []
    for line in text.splitlines():
        flow = json.loads(line)
        ends = [((flow[f"{side}_address"], flow[f"{side}_port"]), flow[f"{side}_packets"], flow[f"{side}_bytes"]) for side in ("client", "server")]
        found.append((flow["transport"], ends, flow["start"], flow["duration"]))
    return code, found


def same(theirs, ours):
    if theirs[0] != ours[0] or abs(theirs[2] - ours[2]) > 2e-6 or abs(theirs[3] - ours[3]) > 1e-4:
        return False
    for mine in (ours[1], ours[1][::-1]):
        if all(t[0] == m[0] and t[1] == m[1] and t[2] == rounded(m[2], t[2][1]) for t, m in zip(theirs[1], mine)):
            return True
    return False


def files(paths):
    for path in paths:
        if os.path.isdir(path):
            for folder, _, names in sorted(os.walk(path)):
                yield from (os.path.join(folder, name) for name in sorted(names))
        else:
            yield path


def pair(flow):
    return flow[0], tuple(sorted(end[0] for end in flow[1]))


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("paths", nargs="+")
    ap.add_argument("--sockwire", default=SOCKWIRE)
    a = ap.parse_args()
    sums = Counter()
    for path in files(a.paths):
        (their_code, theirs), (our_code, ours) = tshark(path), sockwire(a.sockwire, path)
        if not ours and not theirs:
            continue
        if our_code != 0 or their_code != 0:
            print(f"{path}: exit codes {our_code}, tshark's {their_code}")
        sums["files"] += 1
        left, by_pair = [], {}
        for flow in ours:
            by_pair.setdefault(pair(flow), []).append(flow)
        for flow in theirs:
            candidates = by_pair.get(pair(flow), [])
            match = next((mine for mine in candidates if same(flow, mine)), None)
            if match:
                candidates.remove(match)
                sums["same"] += 1
            else:
                left.append(("tshark", flow))
        left += [("sockwire", flow) for flows in by_pair.values() for flow in flows]
        sums["differ"] += sum(who == "tshark" for who, _ in left)
        sums["ours alone"] += sum(who == "sockwire" for who, _ in left)
        for who, flow in left[:6]:
            print(f"{path}: only {who}: {flow}")
    print(f"{sums['files']} files with conversations: {sums['same']} the same, {sums['differ']} only in tshark's list, {sums['ours alone']} only in sockwire's")
    sys.exit(sums["differ"] + sums["ours alone"] > 0)


if __name__ == "__main__":
    main()
