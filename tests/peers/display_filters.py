#!/usr/bin/env python3
"""Checks that sockwire's display filters select the packets that Wireshark's do.

    display_filters.py [--seed N] [--count N] [--corpus DIR]... [--kind KIND] [--field NAME] [--expressions FILE]

Makes thousands of expressions over every field that both programs know, with values that occur in the captures and
values that do not; runs them over the captures of the repository and over a few hundred varied packets of each link
type from the folders of --corpus; compares which packets each program selects and which expressions it refuses.

Needs tshark 4.0 with Lua. One run of tshark answers thousands of expressions: each becomes the filter of a tap that
notes frame numbers. The same is done on the other side by `tests/display_filters.rs`, in one process.

A packet in which a field of the expression has other values for the two programs is a difference of decoding, not of
the language; those are counted apart, by field. Differences that are meant stand in KNOWN, with the reason.
Exit status: 0; 1 where a difference is left unexplained; 2 where nothing could be compared.
"""
import argparse, collections, glob, gzip, hashlib, json, os, random, re, struct, subprocess, sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
WORK = os.path.join(ROOT, "target", "display_filters")
PREFERENCES = ["ip.check_checksum:TRUE", "tcp.check_checksum:TRUE", "udp.check_checksum:TRUE"]
# Link types that sockwire reads.
LINKS = {1: "EN10MB", 113: "LINUX_SLL", 276: "LINUX_SLL2", 0: "NULL", 108: "LOOP", 101: "RAW", 12: "RAW12", 228: "IPV4",
         229: "IPV6", 9: "PPP", 50: "PPP_SERIAL"}
# Names that stand for several fields.
ALIASES = {
    "ip.addr": ["ip.src", "ip.dst"], "ipv6.addr": ["ipv6.src", "ipv6.dst"], "eth.addr": ["eth.src", "eth.dst"],
    "eth.ig": ["eth.src.ig", "eth.dst.ig"], "eth.lg": ["eth.src.lg", "eth.dst.lg"],
    "eth.addr.oui": ["eth.src.oui", "eth.dst.oui"], "ip.host": ["ip.src_host", "ip.dst_host"], "ipv6.host": ["ipv6.src_host", "ipv6.dst_host"],
    "tcp.port": ["tcp.srcport", "tcp.dstport"], "udp.port": ["udp.srcport", "udp.dstport"],
}
# Fields that only filters have: records show them in other forms.
FILTERS_ONLY = {"tcp.flags": "hexadecimal number", "ip.dsfield": "hexadecimal number", "ip.flags": "hexadecimal number", "ipv6.tclass": "hexadecimal number",
                "eth.dst.oui": "number", "eth.src.oui": "number", "tcp.payload": "bytes", "udp.payload": "bytes", "ip.src_host": "text", "ip.dst_host": "text",
                "ipv6.src_host": "text", "ipv6.dst_host": "text"}
# Whose values tell whether both programs decode what such a field is made of.
MADE_OF = {"tcp.flags": ["tcp.flags.syn"], "ip.dsfield": ["ip.dsfield.dscp"], "ip.flags": ["ip.flags.df"], "ipv6.tclass": ["ipv6.tclass.dscp"], "eth.dst.oui": ["eth.dst"],
           "eth.src.oui": ["eth.src"], "tcp.payload": ["tcp.len", "tcp", "data"], "udp.payload": ["udp", "udp.length", "data"], "ip.src_host": ["ip.src"], "ip.dst_host": ["ip.dst"],
           "ipv6.src_host": ["ipv6.src"], "ipv6.dst_host": ["ipv6.dst"]}
# Differences that are meant: (what matches the expression, which differences, why).
KNOWN = [
    (r"Range .* isn't valid because", "accepts", "[n-n] is one byte; 4.0 refuses it, later versions do not"),
    (r"cannot be found among the possible values.*|=> \"(true|false)\" cannot", "accepts", "true and false in small letters, as later versions read them"),
    (r"too big for this field, maximum (2147483647|-\d+)", "accepts", "a field that can be negative only by Wireshark's table"),
    (r"is too large: .* is at most (255|65535|16777215)", "refuses", "fields of a few bits that Wireshark keeps in larger numbers: it takes values that they cannot have"),
    (r"must have the same type", "accepts", "max and min of numbers of different sizes"),
    (r"lua_pushfstring", "accepts", "the oracle cannot tell why it refuses"),
    (r"tcp\.window_size_scalefactor", "any", "a negative number is less than an unsigned one; Wireshark compares the bits"),
    (r"too big for this field, maximum", "accepts", "fields that are wider in sockwire's tables"),
    (r"icmpv6\.opt\.(target_|src_|source_)?linkaddr", "any", "Wireshark has these names twice, as bytes and as a hardware address"),
    (r"=> .* is not a valid arithmetic operand|Only fields can be used as parameter for len|cannot be converted from a string", "accepts", "a value of another spelling that can mean one thing only"),
    (r" are not of compatible types\.", "accepts", "flags compare with numbers whichever stands first; bytes that are the name of a protocol only Wireshark knows (fc, dc)"),
    (r"this has no value", "refuses", "a constant divided by zero"),
    (r"^[a-z_]+: .*(tcp\.(seq|ack|nxtseq|seq_raw|ack_raw)|key|tsval|tsecr)\b.* [-+*] ", "any", "Wireshark calculates in 32 or 64 bits, and goes round"),
    (r"^arithmetic: (-|.* \* )", "takes", "Wireshark calculates in 32 or 64 bits, and goes round"),
    (r"\b(arp|cmd|ipv6\.routing)(\[|\) )", "any", "bytes of a protocol: with the padding behind ARP, without the type in Cisco MetaData, past some routing headers"),
    (r"\b(ip|ipv6|llc|udp)(\[|\) ).*zoo-EN10MB", "any", "the header of a malformed packet, which both programs cut at other places"),
    (r"\bframe\b.*zoo-(IPV|RAW)", "any", "where a frame begins with IP, tshark cuts what follows the datagram off the frame itself"),
    (r"icmpv6\.mldr\.mar\.multicast_address\[", "any", "tshark finds no ff at the beginning of these multicast addresses, which it shows"),
    (r" (ff|fc|dc)\b", "any", "a protocol of Wireshark, where sockwire, which has none of that name, reads a byte"),
    (r"^broken: .*no field or protocol is called", "refuses", "a field that only Wireshark has"),
    (r"^broken: ", "accepts", "a slip that still has one meaning"),
    (r"^broken: .* is neither bytes nor text", "refuses", "half a byte (abc, 256) is no byte"),
    (r"(len\(tcp\.options\.tfo\.request\))", "refuses", "a mark has no length"),
    (r"=> no value of .* is called", "refuses", "tables of names of values differ"),
    (r"other_names:", "any", "tables of names of values differ"),
]
ORACLE = os.path.join(ROOT, "tests", "peers", "display_filters.lua")


def run(command, **extra):
    env = {**os.environ, "TZ": "UTC", **extra}
    return subprocess.run(command, capture_output=True, env=env, timeout=1200)


def tshark(capture, *more, **extra):
    command = ["tshark", "-n", "-r", capture]
    for preference in PREFERENCES:
        command += ["-o", preference]
    return run(command + list(more), **extra)


# ---------------------------------------------------------------------------------------------- captures

def packets_of(path):
    """(link type, seconds, nanoseconds, wire length, bytes) of each packet of a pcap or pcapng file."""
    data = open(path, "rb").read()
    if data[:2] == b"\x1f\x8b":
        data = gzip.decompress(data)
    magic = data[:4]
    for order, form in (("<", {b"\xd4\xc3\xb2\xa1": 1000, b"\x4d\x3c\xb2\xa1": 1}), (">", {b"\xa1\xb2\xc3\xd4": 1000, b"\xa1\xb2\x3c\x4d": 1})):
        if magic in form:
            link, at = struct.unpack(order + "I", data[20:24])[0] & 0xFFFF, 24
            while at + 16 <= len(data):
                seconds, fraction, kept, wire = struct.unpack(order + "IIII", data[at:at + 16])
                if at + 16 + kept > len(data) or kept > 262144:
                    return
                yield link, seconds, fraction * form[magic], wire, data[at + 16:at + 16 + kept]
                at += 16 + kept
            return
    if magic != b"\x0a\x0d\x0d\x0a":
        return
    at, order, interfaces = 0, "<", []
    while at + 12 <= len(data):
        if data[at:at + 4] == b"\x0a\x0d\x0d\x0a":
            order = "<" if data[at + 8:at + 12] == b"\x4d\x3c\x2b\x1a" else ">"
            interfaces = []
        kind, size = struct.unpack(order + "II", data[at:at + 8])
        body = data[at + 8:at + size - 4]
        if size < 12 or at + size > len(data):
            return
        if kind == 1:
            link = struct.unpack(order + "H", body[:2])[0]
            unit, o = 10 ** 6, 8
            while o + 4 <= len(body):
                code, length = struct.unpack(order + "HH", body[o:o + 4])
                if code == 9:
                    unit = 2 ** (body[o + 4] & 127) if body[o + 4] & 128 else 10 ** body[o + 4]
                if code == 0:
                    break
                o += 4 + (length + 3) // 4 * 4
            interfaces.append((link, unit))
        elif kind == 6:
            which, high, low, kept, wire = struct.unpack(order + "IIIII", body[:20])
            if which >= len(interfaces):
                return
            link, unit = interfaces[which]
            ticks = high << 32 | low
            yield link, ticks // unit, ticks % unit * 10 ** 9 // unit, wire, body[20:20 + kept]
        at += size


def records(sockwire, path):
    out = run([sockwire, "read", "--json", "-n", path])
    found = []
    for line in out.stdout.decode("utf-8", "replace").splitlines():
        try:
            record = json.loads(line)
        except ValueError:
            continue
        if "layers" in record:
            found.append(record)
    return found


def traits(record):
    """What makes a packet worth keeping: its nesting, its fields, the values of its flags and small numbers."""
    layers = record["layers"]
    found = {" ".join(l["protocol"] for l in layers)}
    for layer in layers:
        for key, value in layer.items():
            found.add(key)
            for v in value if isinstance(value, list) else [value]:
                if isinstance(v, (bool, int)) and v < 20:
                    found.add((key, v))
            if isinstance(value, list):
                found.add((key, "times", min(len(value), 4)))
    return found


def build_zoo(sockwire, corpus, seed, most=1200):
    """One file per link type with the most varied packets of the corpus, and those that they refer to."""
    chance = random.Random(seed)
    files = sorted(p for folder in corpus for p in glob.glob(os.path.join(folder, "**", "*"), recursive=True) if os.path.isfile(p))
    chance.shuffle(files)
    seen, chosen = collections.Counter(), collections.defaultdict(list)
    for path in files:
        packets = list(packets_of(path))[:2000]
        if not packets or not any(p[0] in LINKS for p in packets):
            continue
        shown = records(sockwire, path)[:2000]
        if len(shown) != len(packets):
            continue
        wanted, keys = set(), []
        for n, record in enumerate(shown):
            layers = record["layers"]
            keys.append({(k, json.dumps(l[k])) for l in layers for k in ("tcp.stream", "udp.stream", "ip.id") if k in l})
            found = traits(record)
            link = packets[n][0]
            if link not in LINKS or len(packets[n][4]) > 9000:
                continue
            fresh = [t for t in found if seen[link, t] < 1]
            if not fresh:
                continue
            for t in found:
                seen[link, t] += 1
            wanted.add(n)
            context = [m for m in range(n) if keys[m] & keys[n] and packets[m][0] == link and len(packets[m][4]) < 9000]
            wanted.update(context[:1] + context[-3:])
        for n in sorted(wanted):
            chosen[packets[n][0]].append(packets[n])
    made = []
    for link, packets in sorted(chosen.items()):
        path = os.path.join(WORK, f"zoo-{LINKS[link]}.pcap")
        with open(path, "wb") as out:
            out.write(struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 262144, link))
            for _, seconds, nanos, wire, data in packets[:most]:
                # Times that differ by more than 2^31 seconds compare wrongly in tshark.
                out.write(struct.pack("<IIII", seconds % 2 ** 31, nanos, len(data), max(wire, len(data))) + data)
        made.append(path)
    return made


# ---------------------------------------------------------------------------------------------- fields

class Field:
    """A field that both programs know."""

    def __init__(self, name, ours, kind, base, mask):
        self.name, self.ours, self.kind, self.base, self.mask = name, ours, kind, base, mask
        self.names = {}        # number: name, where both programs agree
        self.theirs = {}       # number: name, of tshark
        self.apart = set()     # names that only one has, or for another number
        self.values = []       # that occur, as `read --json` shows them

    @property
    def number(self):
        return self.kind.startswith(("FT_UINT", "FT_INT", "FT_FRAMENUM"))

    @property
    def bits(self):
        digits = re.search(r"\d+$", self.kind)
        return int(digits.group()) if digits else 32


def tshark_tables():
    kinds, names = {}, collections.defaultdict(dict)
    for line in run(["tshark", "-G", "fields"]).stdout.decode("utf-8", "replace").splitlines():
        cells = line.split("\t")
        if cells[0] == "F":
            kinds.setdefault(cells[2], (cells[3], cells[5], cells[6]))
        elif cells[0] == "P":
            kinds.setdefault(cells[2], ("FT_PROTOCOL", "", ""))
    for line in run(["tshark", "-G", "values"]).stdout.decode("utf-8", "replace").splitlines():
        cells = line.split("\t")
        if cells[0] == "V" and len(cells) == 4:
            try:
                names[cells[1]].setdefault(int(cells[2], 0), cells[3])
            except ValueError:
                pass
        elif cells[0] == "T" and len(cells) >= 4:
            names[cells[1]] = {1: cells[2], 0: cells[3]}
    return kinds, names


def common_fields(sockwire):
    kinds, names = tshark_tables()
    fields, protocols = {}, []
    for line in run([sockwire, "protocols", "--json"]).stdout.decode().splitlines():
        protocol = json.loads(line)["protocol"]
        if protocol in kinds:
            protocols.append(protocol)
        for row in run([sockwire, "protocols", protocol, "--json"]).stdout.decode().splitlines():
            row = json.loads(row)
            name = row["field"]
            if name in fields or name not in kinds or kinds[name][0] == "FT_PROTOCOL":
                continue
            field = fields[name] = Field(name, row["kind"], *kinds[name])
            ours = {int(k): v for k, v in row.get("values", {}).items()}
            theirs = field.theirs = names.get(name, {})
            field.names = {n: v for n, v in ours.items() if theirs.get(n) == v}
            field.apart = {v for n, v in ours.items() if theirs.get(n) != v} | {v for n, v in theirs.items() if ours.get(n) != v}
    for name, ours in FILTERS_ONLY.items():
        fields[name] = Field(name, ours, *kinds[name])
    return fields, protocols


def norm(value, kind=""):
    """One comparable form of a value of either program."""
    if kind == "FT_BYTES":
        return re.sub("<.*>|:", "", str(value)).lower()
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, int):
        return value
    text = str(value).strip().lower()
    if text in ("true", "false"):
        return int(text == "true")
    try:
        return int(text, 16) if text.startswith("0x") else int(text)
    except ValueError:
        pass
    try:
        return round(float(text), 9)
    except ValueError:
        return text


class Capture:
    """A capture with what both programs say of each packet."""

    def __init__(self, path, sockwire, fields, protocols, disabled):
        self.path = path
        self.hash = hashlib.sha256(open(path, "rb").read()).hexdigest()[:16]
        self.ours, self.depths = [], []
        for record in records(sockwire, path):
            found = collections.defaultdict(list)
            for layer in record["layers"]:
                found[layer["protocol"]].append(1)
                for key, value in layer.items():
                    if key in fields:
                        found[key] += value if isinstance(value, list) else [value]
            self.ours.append(found)
        every = sorted(fields) + protocols + ["frame.protocols"]
        cache = os.path.join(WORK, "fields-" + hashlib.sha256(" ".join([self.hash, *every, *sorted(disabled)]).encode()).hexdigest()[:16] + ".json")
        if os.path.exists(cache):
            self.theirs = json.load(open(cache))
        else:
            self.theirs = self.ask_fields(every, disabled)
            json.dump(self.theirs, open(cache, "w"))
        if len(self.theirs) != len(self.ours):
            raise RuntimeError(f"{path}: tshark shows {len(self.theirs)} packets, sockwire {len(self.ours)}")
        self.present = {name for found in self.ours for name in found} | {name for found in self.theirs for name in found}
        # Fields whose values differ, for each packet.
        self.unlike = []
        for a, b in zip(self.ours, self.theirs):
            unlike = set()
            # tshark counts some protocols twice that have one header (IGMP, ARP): then # has other layers.
            layers = collections.Counter(b.get("frame.protocols", [""])[0].split(":"))
            if layers["mptcp"] > 1 or any(layers[name] != len(a.get(name, [])) for name in protocols if name != "frame"):
                unlike.add("#")
            for name in (a.keys() | b.keys()) - FILTERS_ONLY.keys():
                if name in fields and fields[name].kind != "FT_NONE":
                    kind = fields[name].kind
                    if [norm(v, kind) for v in a.get(name, [])] != [norm(v, kind) for v in b.get(name, [])]:
                        unlike.add(name)
                elif len(a.get(name, [])) != len(b.get(name, [])):
                    unlike.add(name)
            unlike.update(name for name, parts in MADE_OF.items() if unlike.intersection(parts) or not a.keys() & parts)
            if "data.data" in unlike:
                unlike.add("data")
            self.unlike.append(unlike)

    def ask_fields(self, every, disabled):
        """What tshark shows of these fields in each packet."""
        theirs = []
        for start in range(0, len(every), 150):
            part = every[start:start + 150]
            command = ["-T", "fields", "-E", "separator=\x1e", "-E", "occurrence=a", "-E", "aggregator=\x1f"]
            for name in part:
                command += ["-e", name]
            lines = tshark(self.path, *command, *disable(disabled)).stdout.decode("utf-8", "replace").split("\n")
            lines = [l for l in lines if l.count("\x1e") == len(part) - 1]
            theirs = theirs or [{} for _ in lines]
            for found, line in zip(theirs, lines):
                found.update((name, cell.split("\x1f")) for name, cell in zip(part, line.split("\x1e")) if cell)
        return theirs


# ---------------------------------------------------------------------------------------------- expressions

EQUAL = ["==", "eq", "any_eq"]
UNEQUAL = ["!=", "ne", "all_ne"]
STRICT = ["===", "all_eq", "!==", "any_ne", "~="]
ORDER = ["<", "lt", ">", "gt", "<=", "le", ">=", "ge"]


def quoted(text):
    return '"' + str(text).replace("\\", "\\\\").replace('"', '\\"') + '"'


class Maker:
    """Makes expressions from a seed."""

    def __init__(self, seed, fields, protocols):
        self.r = random.Random(seed)
        self.fields, self.protocols = fields, [p for p in protocols]
        self.all = sorted(fields)
        self.numbers = [n for n in self.all if fields[n].number]
        self.busy = [n for n in self.all if fields[n].values]
        self.kinds = [getattr(self, m) for m in sorted(dir(self)) if m.startswith("make_")]

    def pick(self, *options):
        return self.r.choice(options)

    def a_field(self, wanted=lambda f: True):
        """A name of a field, mostly of one that occurs; an alias now and then."""
        for _ in range(400):
            if self.r.random() < 0.08:
                name = self.r.choice(sorted(ALIASES))
                field = self.fields[ALIASES[name][0]]
            else:
                name = self.r.choice(self.busy if self.r.random() < 0.85 else self.all)
                field = self.fields[name]
            if wanted(field):
                return name, field
        raise LookupError

    def value(self, field):
        """A literal of the field's type, of a value that occurs more often than not."""
        r = self.r
        there = r.choice(field.values) if field.values and r.random() < 0.75 else None
        kind = field.kind
        if kind == "FT_BOOLEAN":
            if field.theirs.get(1) == "Set" and r.random() < 0.3:
                return self.pick('"Set"', '"Not set"', "Set", '"set"')
            return self.pick("1", "0", "1", "0", "True", "False", "TRUE", "FALSE", "1", "0", "2")
        if field.number:
            if isinstance(there, str):
                there = int(there, 0) if re.fullmatch(r"\d+|0x[0-9a-f]+", there) else None
            n = there if there is not None else r.choice([0, 1, 2, 6, 17, 64, 80, 255, 256, 1000, 65535, 1 << 31])
            n = int(n) + self.pick(0, 0, 0, 0, 1, -1)
            top = (1 << field.bits) - 1
            if kind.startswith("FT_UINT") or kind == "FT_FRAMENUM":
                n = max(0, min(n, top))
            form = r.random()
            if n < 0 or form < 0.6:
                return str(n)
            return hex(n) if form < 0.85 else self.pick("0" + oct(n)[2:], "0X%X" % n, bin(n), "%#06x" % n)
        if kind == "FT_ETHER":
            mac = there or "%02x:00:5e:00:00:01" % r.randrange(256)
            return self.mac(mac)
        if kind == "FT_IPv4":
            address = there or "10.0.%d.%d" % (r.randrange(3), r.randrange(4))
            return address if r.random() < 0.75 else f"{address}/{r.choice([0, 1, 8, 12, 16, 24, 25, 30, 31, 32])}"
        if kind == "FT_IPv6":
            address = there or "fe80::%x" % r.randrange(8)
            if r.random() < 0.25:
                import ipaddress
                return ipaddress.ip_address(address).exploded
            return address if r.random() < 0.7 else f"{address}/{r.choice([0, 3, 10, 32, 48, 64, 127, 128])}"
        if kind in ("FT_BYTES", "FT_NONE"):
            text = str(there) if there is not None else "%02x:%02x" % (r.randrange(256), r.randrange(256))
            return self.octets(text)
        if kind == "FT_STRING":
            text = str(there) if there is not None else self.pick("lo", "eth0", "", "x")
            return quoted(text)
        if kind == "FT_RELATIVE_TIME" or kind == "FT_ABSOLUTE_TIME":
            text = str(there) if there is not None else self.pick("0", "0.5", "1.000000001", "1700000000", "-1")
            return self.pick(text, quoted(text), text.split(".")[0], text)
        return self.pick("1", "0")

    def mac(self, mac):
        pairs = mac.split(":")
        return self.pick(mac, mac, mac.upper(), "-".join(pairs), ".".join(a + b for a, b in zip(pairs[::2], pairs[1::2])), ".".join(pairs), "".join(pairs))

    def octets(self, text):
        pairs = re.findall(r"[0-9a-fA-F]{2}", text) or ["00"]
        pairs = pairs[:self.pick(64, 64, 4, 1)]
        return self.pick(":".join(pairs), ":".join(pairs), "-".join(pairs), ".".join(pairs), ":".join(pairs).upper(), "".join(pairs), quoted("".join(chr(int(p, 16)) for p in pairs if 0x20 <= int(p, 16) < 0x7F)))

    def relation(self):
        return self.r.choice(EQUAL * 3 + UNEQUAL * 2 + ORDER)

    def make_presence(self):
        name, _ = self.a_field()
        return self.pick(name, name, "not " + name, "!" + name, f"({name})", f"!({name})")

    def make_protocol(self):
        name = self.r.choice(self.protocols)
        other = self.r.choice(self.protocols)
        return self.pick(name, f"{name}", f"not {name}", f"{name} && {other}", f"{name} or {other}", f"{name}#{self.r.choice([1, 2, 3])}", f"{name}#[-1]", f"{name} and not {other}")

    def make_compare(self):
        name, field = self.a_field()
        return f"{name}{self.pick(' ', ' ', '')}{self.relation()} {self.value(field)}" if self.r.random() < .97 else f"{self.value(field)} {self.relation()} {name}"

    def make_strict(self):
        name, field = self.a_field()
        return f"{name} {self.r.choice(STRICT)} {self.value(field)}"

    def make_in(self):
        name, field = self.a_field()
        members = []
        for _ in range(self.r.randrange(1, 5)):
            low, high = self.value(field), self.value(field)
            if self.r.random() < 0.4:
                if field.number:
                    low, high = sorted((low, high), key=lambda t: int(t, 0) if not re.fullmatch("0[0-7]+", t) else int(t, 8))
                members.append(low + self.pick("..", " .. ", "..") + high)
            else:
                members.append(low)
        text = "{" + self.pick("", " ") + self.pick(", ", ",", ", ").join(members) + self.pick("", " ") + "}"
        return self.pick(f"{name} in {text}", f"{name} in {text}", f"{name} not in {text}", f"not {name} in {text}")

    def text_or_bytes(self, field):
        if field.kind in ("FT_IPv4", "FT_IPv6", "FT_NONE") and self.r.random() < 0.9:
            return False
        return field.kind in ("FT_BYTES", "FT_STRING", "FT_ETHER", "FT_IPv6", "FT_IPv4", "FT_NONE")

    def needle(self, field):
        value = self.r.choice(field.values) if field.values else "00"
        if field.kind == "FT_STRING":
            text = str(value)
            start = self.r.randrange(len(text) + 1)
            part = text[start:start + self.r.randrange(1, 6)] or "a"
            return quoted(part)
        pairs = re.findall("[0-9a-f]{2}", str(value)) or ["00"]
        start = self.r.randrange(len(pairs))
        part = pairs[start:start + self.r.randrange(1, 5)]
        return self.pick(":".join(part), ":".join(part), "-".join(part), quoted("".join("\\x" + p for p in part)).replace("\\\\", "\\"))

    def make_contains(self):
        if self.r.random() < 0.35:
            return f"{self.r.choice(self.protocols)} contains {self.pick('00:00', '08:00', '45:00', quoted('GET'), quoted('a'), '0a', 'ff:ff', quoted('http'), '01-02', quoted(''))}"
        name, field = self.a_field(self.text_or_bytes)
        return f"{name} contains {self.needle(field)}"

    def make_matches(self):
        pattern = self.pick("get", "^lo$", "eth[0-9]", ".", "^$", "a.c", "(?-i)Lo", "h.*o", "[[:digit:]]", r"\\d", "x|y", r"\\x00", r"^\\x45", "^GET", "http/1\\\\.")
        side = self.r.choice(self.protocols) if self.r.random() < 0.4 else self.a_field(self.text_or_bytes)[0]
        return f"{side} {self.pick('matches', '~', 'matches')} {self.pick('', '', 'r')}{chr(34)}{pattern}{chr(34)}"

    def range(self):
        a, b = self.r.randrange(0, 6), self.r.randrange(1, 5)
        return self.pick(f"{a}", f"{a}:{b}", f"{a}-{a + b - 1}", f":{b}", f"{a}:", f"-{b}:", f"-{b}", f"-{b + 1}:{b}", f"{a}:{b},{b}", f"{a},{b}", f"{a}:1", f"0:{b}", f"-{b + 2}--{b}", f"{a + 30}:{b}")

    def make_slice(self):
        if self.r.random() < 0.4:
            side, values = self.r.choice(self.protocols), []
        else:
            side, field = self.a_field(lambda f: f.kind in ("FT_BYTES", "FT_ETHER", "FT_IPv4", "FT_IPv6", "FT_STRING"))
            values = field.values
        part = self.range()
        value = self.r.choice(values) if values and self.r.random() < 0.7 else None
        if value is not None and self.r.random() < 0.8:
            if field.kind == "FT_STRING":
                octets = list(str(value).encode())
            elif field.kind == "FT_IPv4":
                octets = [int(x) for x in str(value).split(".")]
            elif field.kind == "FT_IPv6":
                import ipaddress
                octets = list(ipaddress.ip_address(str(value)).packed)
            else:
                octets = [int(p, 16) for p in re.findall("[0-9a-f]{2}", str(value))]
            a, b = self.r.randrange(0, 5), self.r.randrange(1, 5)
            cut = octets[a:a + b] or [0]
            part, text = self.pick((f"{a}:{len(cut)}", ":".join("%02x" % o for o in cut)), (f"{a}", "%02x" % cut[0]), (f"{a}-{a + len(cut) - 1}", "-".join("%02x" % o for o in cut)))
        else:
            text = self.pick("00", "45", "45:00", "01:02", "0a", "ff:ff:ff", "00:00", "0x45", "10", quoted("a"), "6", "08:00")
        return f"{side}[{part}] {self.pick('==', '==', '!=', '>', '<', '<=', '>=', 'contains', '===')} {text}"

    def make_function(self):
        r = self.r.random()
        if r < 0.25:
            name, _ = self.a_field()
            return f"count({name}) {self.pick('==', '>', '!=', '<')} {self.r.randrange(4)}"
        if r < 0.45:
            name = self.r.choice(self.protocols) if self.r.random() < 0.5 else self.a_field(lambda f: self.text_or_bytes(f))[0]
            return f"len({name}) {self.pick('==', '>', '<', '!=', '>=')} {self.pick(0, 1, 2, 4, 6, 8, 14, 20, 28, 40, 54, 60)}"
        if r < 0.6:
            name, field = self.a_field(lambda f: f.kind == "FT_STRING")
            return f"{self.pick('upper', 'lower')}({name}) {self.pick('==', 'contains', 'matches', '!=')} {self.pick(self.needle(field), quoted('LO'), quoted('lo'))}"
        if r < 0.8:
            name, field = self.a_field(lambda f: f.kind not in ("FT_BOOLEAN",) or self.r.random() < .2)
            value = str(self.r.choice(field.values)) if field.values else "1"
            return f"string({name}) {self.pick('==', 'contains', 'matches', '!=')} {quoted(value[:self.pick(1, 2, 3, 40)])}" if "." not in value or self.r.random() < .9 else f"string({name}) matches {quoted(value)}"
        name, field = self.a_field(lambda f: f.number)
        other, _ = self.a_field(lambda f: f.kind == field.kind or self.r.random() < 0.05)
        return self.pick(f"max({name}, {other}) {self.relation()} {self.value(field)}", f"min({name}, {self.r.randrange(70)}) {self.relation()} {self.value(field)}",
                         f"abs({name}) {self.relation()} {self.value(field)}", f"max({name}) == {name}", f"min({name},{other},5) < {self.value(field)}")

    def make_quantifier(self):
        name, field = self.a_field()
        return f"{self.pick('any', 'all')} {name} {self.relation()} {self.value(field)}" if self.r.random() < 0.85 else f"{self.pick('any', 'all')} {name} in {{{self.value(field)}, {self.value(field)}}}"

    def make_layer(self):
        name, field = self.a_field()
        which = self.pick("1", "2", "3", "-1", "[1]", "[2]", "[1-2]", "[-1]", "[1,2]", "[2-]", "[-2:1]", "[1:2]", "0", "[-2]") if self.r.random() < 0.4 else self.pick("1", "2", "3", "[1]", "[2]", "[-1]", "[1-2]", "[-2]", "[1,3]", "[2:]", "[:2]", "[-2:2]")
        return f"{name}#{which} {self.relation()} {self.value(field)}" if self.r.random() < 0.8 else f"{name}#{which}"

    def make_field_to_field(self):
        name, field = self.a_field()
        near = self.r.random() < 0.7
        other, _ = self.a_field(lambda f: (f.kind == field.kind or (f.number and field.number) or self.r.random() < 0.02)
                                and (not near or f.name.split(".")[0] == field.name.split(".")[0]))
        return f"{name} {self.r.choice(EQUAL + UNEQUAL + ORDER + STRICT)} {other}"

    def make_arithmetic(self):
        name, field = self.a_field(lambda f: f.number)
        other, _ = self.a_field(lambda f: f.number and (f.name.split(".")[0] == field.name.split(".")[0] or self.r.random() < 0.1))
        n = self.pick("1", "2", "3", "8", "0x10", "4")
        right = self.pick(self.value(field), self.value(field), name, other)
        left = self.pick(f"{name} + {n}", f"{name} - {n}", f"{name} * {n}", f"{name} / {n}", f"{name} % {n}", f"{name} & {n}", f"-{name}", f"{name} + {other}", f"{name} - {other}",
                         f"{{{name} + {n}}} * 2", f"{name} + {n} * 2", f"{name} * 2 + {n}", f"{{{name}}}", f"{name} % {other}", f"{name} / {other}", f"{name}+{n}", f"{name} -{n}")
        return f"{left} {self.relation()} {right}"

    def make_bits(self):
        name, field = self.a_field(lambda f: f.number or f.kind in ("FT_BYTES", "FT_ETHER", "FT_IPv4"))
        mask = self.value(field) if not field.number else self.pick("1", "2", "0xff", "0x0f", "0x8000", "3", "0x40", self.value(field))
        both = self.pick("&", "bitwise_and", "&")
        return self.pick(f"{name} {both} {mask}", f"{name} {both} {mask}", f"{name} {both} {mask} == {mask}", f"{name} {both} {mask} {self.relation()} 0" if field.number else f"{name} & {mask}", f"not {name} & {mask}")

    def make_names(self):
        for _ in range(400):
            name, field = self.a_field(lambda f: f.names)
            value = self.r.choice(sorted(field.names.values()))
            if "?" not in value:
                break
        text = self.pick(quoted(value), quoted(value), quoted(value.lower()), quoted(value[:-1]), value if re.fullmatch(r"\w+", value) else quoted(value))
        return f"{name} {self.pick('==', '!=', '==', '===', '<', 'contains', 'matches')} {text}" if self.r.random() < 0.85 else f"{name} in {{{text}, {quoted(value)}}}"

    def make_other_names(self):
        """Names of values that only one of the programs has: a matter of tables, not of the language."""
        name, field = self.a_field(lambda f: f.apart)
        return f"{name} {self.pick('==', '!=')} {quoted(self.r.choice(sorted(field.apart)))}"

    def make_time(self):
        field = self.fields["frame.time_epoch"]
        seconds = str(self.r.choice(field.values))
        whole, _, part = seconds.partition(".")
        text = self.pick(seconds, whole, f"{whole}.{part[:3]}", f"{whole}.{part[:6]}", f"{whole}.{part[:9]}1", "1e9", "0x10", "1000000000", "-1", "+5", "-0.5", ".5", "5.", "2023-11-14 22:13:20", quoted("2023-11-14 22:13:20"), quoted(seconds))
        return self.pick(f"frame.time_epoch {self.relation()} {text}", f"frame.time_epoch in {{{text}..{int(whole) + 9}}}", f"frame.time_epoch in {{0..{text}}}", f"frame.time_epoch - {text} {self.relation()} 0", f"frame.time_epoch {self.r.choice(STRICT)} {text}")

    def make_nested(self, depth=0):
        leaf = [self.make_presence, self.make_in, self.make_protocol, self.make_slice, self.make_arithmetic, self.make_quantifier, self.make_strict, self.make_field_to_field]
        if depth > 2 or self.r.random() < 0.2 * depth:
            return self.r.choice(leaf)()
        a, b = self.make_nested(depth + 1), self.make_nested(depth + 1)
        both = self.pick("and", "or", "&&", "||") if self.r.random() < 0.97 else self.pick("xor", "^^")
        if self.r.random() < 0.4:
            a = f"({a})"
        if self.r.random() < 0.4:
            b = f"({b})"
        return self.pick("", "", "", "not ", "!") + self.pick(f"{a} {both} {b}", f"({a} {both} {b})")

    def make_broken(self):
        """An expression with one mishap: programs should agree on whether it can still be read."""
        text = self.r.choice([self.make_compare, self.make_in, self.make_nested, self.make_slice, self.make_function, self.make_layer, self.make_contains, self.make_arithmetic, self.make_quantifier])()
        at = self.r.randrange(len(text) + 1)
        words = text.split(" ")
        which = self.r.randrange(len(words))
        other = self.a_field()
        return self.pick(
            text[:at] + self.pick("(", ")", "{", "}", "[", "]", '"', "#", ",", "..", "&", "|", "==", "$", "@", "\\", "'", " ") + text[at:],
            text[:at],
            text[at:],
            " ".join(words[:which] + words[which + 1:]),
            " ".join(words[:which] + [words[which], words[which]] + words[which + 1:]),
            " ".join(words[:which] + [self.pick("abc", "1.2.3", "256", "-1", "0x", "99999999999999999999", "True", '"x"', "tcp", "1..2", "..", "{1}", "any", "not", "len", "1/0", "'a'", "''")] + words[which + 1:]),
            f"{other[0]} {self.relation()} {self.value(self.a_field()[1])}",
            text.upper(),
            text + " " + self.pick("and", "or", "not", "==", "in", "1", "&&"),
        )

    def one(self):
        make = self.r.choice(self.kinds)
        try:
            return make.__name__[5:], make()
        except LookupError:
            return self.one()


NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*(?:[.-][A-Za-z0-9_]+)*")


def names_in(text, known):
    """The fields and protocols that an expression names; of an alias, those that it stands for."""
    bare = re.sub(r'"(\\.|[^"\\])*"', '""', text)
    found = set()
    for word in NAME.findall(bare):
        if word in ALIASES:
            found.update(ALIASES[word])
        elif word in known:
            found.add(word)
    return found


# ---------------------------------------------------------------------------------------------- answers

class Oracle:
    """What tshark selects. Answers are kept in a file per capture."""

    def __init__(self, disabled):
        self.disabled = disabled

    def file_of(self, capture):
        version = hashlib.sha256(" ".join(sorted(self.disabled)).encode()).hexdigest()[:8]
        return os.path.join(WORK, f"answers-{capture.hash}-{version}.json")

    def ask(self, capture, texts):
        path = self.file_of(capture)
        known = json.load(open(path)) if os.path.exists(path) else {}
        unknown = sorted({"frame", *texts} - known.keys())
        for start in range(0, len(unknown), 4000):
            known.update(self.run(capture, unknown[start:start + 4000]))
        if unknown:
            json.dump(known, open(path, "w"))
        return known

    def run(self, capture, texts):
        if not texts:
            return {}
        paths = {name: os.path.join(WORK, f"{name}.{os.getpid()}") for name in ("FILTER_IN", "FILTER_OUT", "FILTER_STATE")}
        open(paths["FILTER_IN"], "w").write("".join(t + "\n" for t in texts))
        if os.path.exists(paths["FILTER_OUT"]):
            os.remove(paths["FILTER_OUT"])
        tshark(capture.path, "-q", "-X", "lua_script:" + ORACLE, *disable(self.disabled), **paths)
        if os.path.exists(paths["FILTER_OUT"]):
            lines = open(paths["FILTER_OUT"], encoding="utf-8", errors="replace").read().split("\n")
            return {t: line for t, line in zip(texts, lines)}
        # tshark died: of the expression that it compiled last, or of one that it ran.
        last = int(open(paths["FILTER_STATE"]).read().split("\n")[-2])
        if len(texts) == 1:
            return {texts[0]: "died"}
        middle = last - 1 if last < len(texts) and last > 1 else len(texts) // 2
        return {**self.run(capture, texts[:middle]), **self.run(capture, texts[middle:])}


def disable(protocols):
    return [word for name in sorted(protocols) for word in ("--disable-protocol", name)]


def strangers(paths, ours):
    """Protocols in these captures that only tshark knows: it is to show their bytes as data, as sockwire does."""
    plain = set(ours) | {"ethertype", "frame", "malformed", "_ws.malformed", "_ws.short", "_ws.unreassembled", "eth_withoutfcs", "eth_maybefcs", "eth_withfcs", "mptcp", "lisp", "pwethheuristic"}
    cache = os.path.join(WORK, "strangers-" + hashlib.sha256(b"".join(open(p, "rb").read() for p in paths)).hexdigest()[:16] + ".json")
    if os.path.exists(cache):
        return set(json.load(open(cache)))
    found = set()
    for _ in range(6):
        fresh = set()
        for path in paths:
            out = tshark(path, "-T", "fields", "-e", "frame.protocols", *disable(found)).stdout.decode("utf-8", "replace")
            fresh |= {p for line in out.split() for p in line.split(":")}
        fresh -= plain | found
        if not fresh:
            break
        found |= fresh
    json.dump(sorted(found), open(cache, "w"))
    return found


def ask_sockwire(pairs):
    """What sockwire selects: of (path, expression) pairs, frame numbers or the error, in order."""
    asked, answers = os.path.join(WORK, "asked.txt"), os.path.join(WORK, "matches.txt")
    open(asked, "w").write("".join(f"{path}\t{text}\n" for path, text in pairs))
    if os.path.exists(answers):
        os.remove(answers)
    out = run(["cargo", "test", "--offline", "-q", "--test", "display_filters", "answers_expressions", "--", "--nocapture"],
              SOCKWIRE_EXPRESSIONS=asked, SOCKWIRE_MATCHES=answers)
    if out.returncode or not os.path.exists(answers):
        sys.exit("sockwire gives no answers:\n" + (out.stdout + out.stderr).decode("utf-8", "replace")[-3000:])
    lines = open(answers, encoding="utf-8", errors="replace").read().split("\n")[:-1]
    if len(lines) != len(pairs):
        sys.exit(f"sockwire answered {len(lines)} of {len(pairs)} questions")
    return lines


# ---------------------------------------------------------------------------------------------- comparison

# Which kinds of tshark a kind of sockwire stands for.
SAME_KINDS = {"flag": "FT_BOOLEAN", "number": "FT_UINT|FT_FRAMENUM", "signed number": "FT_INT", "hexadecimal number": "FT_UINT", "hardware address": "FT_ETHER",
              "IPv4 address": "FT_IPv4", "IPv6 address": "FT_IPv6", "bytes": "FT_BYTES", "text": "FT_STRING", "time": "FT_RELATIVE_TIME|FT_ABSOLUTE_TIME",
              "seconds": "FT_RELATIVE_TIME", "mark": "FT_NONE"}


def known_reason(kind, text, difference, message, named, fields):
    other = sorted(name for name in named if name in fields and not re.match(SAME_KINDS[fields[name].ours], fields[name].kind))
    if other:
        return f"{', '.join(other)}: of another kind in sockwire's tables"
    for pattern, which, why in KNOWN:
        if which in ("any", difference) and re.search(pattern, f"{kind}: {text} => {message}", re.S):
            return why
    return None


class Score:
    def __init__(self, fields):
        self.known_fields = fields
        self.rows = collections.defaultdict(collections.Counter)
        self.fields = collections.defaultdict(collections.Counter)
        self.found = []        # (kind, difference, expression, details, named)
        self.decoding = collections.defaultdict(collections.Counter)
        self.explained = collections.Counter()

    def one(self, kind, text, named, answers):
        """`answers`: for each capture, what tshark and what sockwire say."""
        row = self.rows[kind]
        rows = [row] + [self.fields[name] for name in named]
        for r in rows:
            r["expressions"] += 1
        theirs = {a for _, a, _ in answers}
        if "died" in theirs:
            row["tshark died"] += 1
            return
        capture, a, b = answers[0]
        refused, refuses = a.startswith("error"), b.startswith("error")
        if refused and refuses:
            for r in rows:
                r["refused"] += 1
            return
        if "#" in text:
            named = named | {"#"}
        if refused != refuses:
            which = "accepts" if refused else "refuses"
            self.differs(rows, which, kind, text, (a if refused else b)[6:], named)
            return
        for capture, a, b in answers:
            # Now and then a packet passes no tap.
            tapped = set(map(int, capture.tapped.split()))
            a, b = set(map(int, a.split())), set(map(int, b.split())) & tapped
            for r in rows:
                r["packets"] += len(capture.ours)
                r["selected"] += len(a)
            unlike = {n for n in a ^ b if capture.unlike[n - 1] & named}
            for n in unlike:
                for name in capture.unlike[n - 1] & named:
                    self.decoding[name][os.path.basename(capture.path)] += 1
            row["decoding"] += len(unlike)
            wrong = (a ^ b) - unlike
            if wrong:
                n = min(wrong)
                which = "misses" if n in a else "takes"
                details = f"{os.path.basename(capture.path)} packet {n} ({len(wrong)} of {len(capture.ours)})"
                for r in rows:
                    r["wrong packets"] += len(wrong)
                self.differs(rows, which, kind, text, details, named)
                return

    def differs(self, rows, which, kind, text, details, named):
        why = known_reason(kind, text, which, details, named, self.known_fields)
        if why:
            self.explained[why] += 1
            rows[0]["known"] += 1
            return
        for r in rows:
            r[which] += 1
        self.found.append((kind, which, text, details, named))

    def print(self, show):
        columns = ["expressions", "refused", "packets", "selected", "accepts", "refuses", "takes", "misses", "wrong packets", "decoding", "known", "tshark died"]
        print(f"{'kind':16}" + "".join(f"{c:>14}" for c in columns))
        whole = collections.Counter()
        for kind, row in sorted(self.rows.items()):
            whole += row
            print(f"{kind:16}" + "".join(f"{row[c]:14}" for c in columns))
        print(f"{'all':16}" + "".join(f"{whole[c]:14}" for c in columns))
        print(f"fields named: {len(self.fields)}; with differences: {sum(1 for r in self.fields.values() if any(r[c] for c in ('accepts', 'refuses', 'takes', 'misses')))}")
        if self.decoding:
            print("differences of decoding (packets, not differences of the language):")
            for name, where in sorted(self.decoding.items(), key=lambda i: -sum(i[1].values())):
                print(f"  {name:34} {sum(where.values()):7}  {', '.join(w for w, _ in where.most_common(3))}")
        for why, n in self.explained.most_common():
            print(f"known: {n} expressions: {why}")
        groups = collections.defaultdict(list)
        for kind, which, text, details, named in self.found:
            groups[kind, which].append((len(text), text, details))
        for (kind, which), found in sorted(groups.items()):
            print(f"{kind}: sockwire {which} and tshark does not: {len(found)}" if which in ("accepts", "takes") else f"{kind}: sockwire {which}: {len(found)}")
            for _, text, details in sorted(found)[:show]:
                print(f"    {text}\n        {details}")
        agree = whole["expressions"] - len(self.found)
        print(f"{whole['expressions']} expressions, {agree} agree, {whole['packets']} packets compared, {len(self.found)} unexplained differences")
        return whole


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--seed", type=int, default=1)
    ap.add_argument("--count", type=int, default=4000)
    ap.add_argument("--corpus", action="append", default=[])
    ap.add_argument("--sockwire", default=os.path.join(ROOT, "target", "debug", "sockwire"))
    ap.add_argument("--kind", help="only expressions of this kind")
    ap.add_argument("--field", help="only expressions that name this field")
    ap.add_argument("--expressions", help="a file of expressions, one a line, in place of made ones")
    ap.add_argument("--show", type=int, default=5)
    ap.add_argument("--oracle-only", action="store_true", help="ask only tshark, and check its answers with -Y")
    a = ap.parse_args()
    os.makedirs(WORK, exist_ok=True)
    fields, protocols = common_fields(a.sockwire)
    zoo = build_zoo(a.sockwire, a.corpus, 1) if a.corpus else []
    paths = sorted(glob.glob(os.path.join(ROOT, "captures", "*.pcapng"))) + zoo
    disabled = strangers(paths, protocols)
    captures = [Capture(path, a.sockwire, fields, protocols, disabled) for path in paths]
    for name, field in fields.items():
        values = {json.dumps(v) for capture in captures for found in (capture.theirs if name in FILTERS_ONLY else capture.ours) for v in found.get(name, [])}
        field.values = [json.loads(v) for v in sorted(values)][:200]
    maker = Maker(a.seed, fields, protocols)
    if a.expressions:
        made = [("given", line.rstrip("\n")) for line in open(a.expressions)]
    else:
        made = []
        while len(made) < a.count:
            kind, text = maker.one()
            if a.kind in (None, kind) and (a.field is None or a.field in names_in(text, fields)):
                made.append((kind, text))
    made = list(dict.fromkeys((k, t) for k, t in made if "\n" not in t and "\t" not in t and "${" not in t))
    known_names = set(fields) | set(protocols)
    plan = []
    for kind, text in made:
        named = names_in(text, known_names)
        where = [c for c in captures if c.present & named] or captures[-1:]
        plan.append((kind, text, named, where))
    oracle = Oracle(disabled)
    theirs = {}
    for capture in captures:
        capture.tapped = oracle.ask(capture, ["frame"])["frame"]
        theirs[capture.path] = oracle.ask(capture, [t for _, t, _, where in plan if capture in where])
    if a.oracle_only:
        return check_oracle(plan, theirs, disabled)
    pairs = [(capture.path, text) for _, text, _, where in plan for capture in where]
    ours = iter(ask_sockwire(pairs))
    score = Score(fields)
    for kind, text, named, where in plan:
        score.one(kind, text, named, [(c, theirs[c.path][text], next(ours)) for c in where])
    whole = score.print(a.show)
    if not whole["packets"]:
        return 2
    return 1 if score.found else 0


def check_oracle(plan, theirs, disabled):
    """The taps must say what `tshark -Y` says."""
    refused, wrong = 0, 0
    for kind, text, _, where in plan[:40]:
        out = tshark(where[0].path, "-Y", text, "-T", "fields", "-e", "frame.number", *disable(disabled))
        want = "error" if out.returncode else " ".join(out.stdout.decode().split())
        got = theirs[where[0].path][text]
        refused += want == "error"
        if want != ("error" if got.startswith("error") else got):
            wrong += 1
            print(f"{text}\n    -Y: {want}\n    tap: {got}")
    answers = [theirs[where[0].path][t] for _, t, _, where in plan]
    print(f"{len(plan)} expressions, refused {sum(x.startswith('error') for x in answers)}, died {answers.count('died')}; of the first 40, {refused} refused, {wrong} differ from -Y")
    for kind in sorted({k for k, _, _, _ in plan}):
        of = [theirs[w[0].path][t] for k, t, _, w in plan if k == kind]
        print(f"  {kind:16} {len(of):6} refused {sum(x.startswith('error') for x in of):6} empty {of.count(''):6}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
