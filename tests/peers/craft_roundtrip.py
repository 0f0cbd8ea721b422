#!/usr/bin/env python3
"""Prints packets in the notation of `sockwire craft`, crafts them again, and compares the bytes.

    tests/peers/craft_roundtrip.py [--sockwire PROGRAM] FILE|FOLDER...

Each file is copied by `read -w`, and made anew by `read --as craft | craft - -w`; both are read here block by block. Names
every packet whose link type or bytes differ, then says how many are the same, and for each protocol how many bytes of
headers had to stand as `hex=`, and how many as `raw=` behind the fields. Files that sockwire cannot read are named.
"""
import argparse, os, re, subprocess, sys, tempfile
from collections import Counter

HERE = os.path.dirname(os.path.abspath(__file__))
SOCKWIRE = os.path.join(HERE, "..", "..", "target", "debug", "sockwire")
ALL = re.compile(r"all (\d+) bytes of headers")
SOME = re.compile(r"(\d+) of (\d+) bytes of headers stand as hex= \([\d.]+ %\)(?:: (.*))?")


def packets(path):
    """Link type and bytes of each packet of a pcapng file in this machine's byte order."""
    data, links, at = open(path, "rb").read(), [], 0
    number = lambda at, size: int.from_bytes(data[at:at + size], sys.byteorder)
    while at < len(data):
        kind, length = number(at, 4), number(at + 4, 4)
        if kind == 0x0A0D0D0A:
            links = []
        elif kind == 1:
            links.append(number(at + 8, 2))
        elif kind == 6:
            yield links[number(at + 8, 4)], data[at + 28:at + 28 + number(at + 20, 4)]
        at += length


RAW = re.compile(rb"(?:^|/ )([a-z0-9]+)[^/]* raw=([0-9a-f]+)", re.MULTILINE)


def compare(program, path, folder, score, raw):
    """Packets that are the same, and all."""
    copy, again = os.path.join(folder, "copy.pcapng"), os.path.join(folder, "again.pcapng")
    run = lambda words, **more: subprocess.run([program, *words], stderr=subprocess.PIPE, **more)
    run(["read", path, "-w", copy, "--force"])
    if not os.path.exists(copy):
        print(f"unreadable: {path}")
        return 0, 0
    printed = run(["read", copy, "--as", "craft"], stdout=subprocess.PIPE)
    words = printed.stderr.decode()
    for name, digits in RAW.findall(printed.stdout):
        raw[name.decode()] += len(digits) // 2
    if found := SOME.search(words):
        score["all"] += int(found[2])
        score["as hex="] += int(found[1])
        for part in (found[3] or "").split(", "):
            name, as_hex, _, _ = part.split(" ")
            score[name] += int(as_hex)
    elif found := ALL.search(words):
        score["all"] += int(found[1])
    crafted = run(["craft", "-", "-w", again, "--force"], input=printed.stdout)
    wanted = list(packets(copy))
    os.remove(copy)
    have = list(packets(again)) if os.path.exists(again) else []
    if crafted.returncode not in (0, 1):
        print(f"{path}: {crafted.stderr.decode().strip()[:300]}")
    if have:
        os.remove(again)
    same = 0
    for index, packet in enumerate(wanted):
        if index < len(have) and have[index] == packet:
            same += 1
        else:
            print(f"{path}: packet {index + 1} differs")
            break
    return same, len(wanted)


def files(paths):
    for path in paths:
        if os.path.isdir(path):
            for folder, _, names in sorted(os.walk(path)):
                yield from (os.path.join(folder, name) for name in sorted(names))
        else:
            yield path


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sockwire", default=SOCKWIRE)
    parser.add_argument("paths", nargs="+", metavar="FILE|FOLDER")
    arguments = parser.parse_args()
    score, raw, same, count = Counter(), Counter(), 0, 0
    with tempfile.TemporaryDirectory() as folder:
        for path in files(arguments.paths):
            good, of = compare(arguments.sockwire, path, folder, score, raw)
            same, count = same + good, count + of
    every, as_hex = score.pop("all", 0), score.pop("as hex=", 0)
    print(f"{same} of {count} packets are the same again")
    print(f"{as_hex} of {every} bytes of headers stand as hex= ({100 * as_hex / max(every, 1):.3f} %)")
    print(f"{sum(raw.values())} more bytes stand as raw=")
    print(f"  {'':20} {'hex=':>8} {'raw=':>8}")
    for name, _ in (score + raw).most_common():
        print(f"  {name:20} {score[name]:8} {raw[name]:8}")
    sys.exit(same != count)


if __name__ == "__main__":
    main()
