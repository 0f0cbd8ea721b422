#!/usr/bin/env python3
"""Builds the same packets with sockwire and with Scapy, and compares the bytes.

Each row has a packet in sockwire's notation and as a Scapy expression; the expression is also given to sockwire as it
stands. Scapy 2.6 or later comes from the Python that runs this:

    python3 -m venv /tmp/scapy && /tmp/scapy/bin/pip install scapy
    /tmp/scapy/bin/python tests/peers/scapy.py target/debug/sockwire

Exit code 1 when any bytes differ. Rows whose layer sockwire does not write are named and counted, never silent.
"""
import logging
import subprocess
import sys

sys.path.pop(0)  # This file has the name of what it looks for.
logging.getLogger("scapy").setLevel(logging.ERROR)
try:
    from scapy.all import *  # noqa: F403 the expressions use all of it
    from scapy.contrib.erspan import *  # noqa: F403
    from scapy.contrib.geneve import GENEVE  # noqa: F401
    from scapy.contrib.gtp import GTP_U_Header  # noqa: F401
    from scapy.contrib.igmp import IGMP  # noqa: F401
    from scapy.contrib.lacp import *  # noqa: F403
    from scapy.contrib.mpls import EoMCW, MPLS  # noqa: F401
    from scapy.contrib.pim import PIMv2Hdr  # noqa: F401
except ImportError as error:
    sys.exit(f"Scapy is missing ({error}): see the beginning of this file")

OURS_ONLY = "the expression is not one that sockwire reads"

E1 = 'eth dst=02:00:00:00:00:02 src=02:00:00:00:00:01'
E2 = 'Ether(dst="02:00:00:00:00:02",src="02:00:00:00:00:01")'
I1 = "ip src=10.0.0.1 dst=10.0.0.2"
I2 = 'IP(src="10.0.0.1",dst="10.0.0.2")'
V1 = "ip6 src=fd00::1 dst=fd00::2"
V2 = 'IPv6(src="fd00::1",dst="fd00::2")'
U1 = "udp sport=4000 dport=5000"
U2 = "UDP(sport=4000,dport=5000)"
T1 = "tcp sport=4000 dport=80 seq=1"
T2 = "TCP(sport=4000,dport=80,seq=1)"
D1 = "udp sport=4000 dport=53"
D2 = "UDP(sport=4000,dport=53)"


# Layer, sockwire's notation, Scapy's expression; a third item where Scapy's expression is not one that sockwire reads.
ROWS = [
    # Ethernet and ARP.
    ("eth", f"{E1} type=0x88b5 / hex=00ff", f'{E2[:-1]},type=0x88b5)/b"\\x00\\xff"'),
    ("eth", f"{E1} / {I1} / {U1}", f"{E2}/{I2}/{U2}"),
    ("vlan", f"{E1} / vlan vlan=5 / {I1} / {U1}", f"{E2}/Dot1Q(vlan=5)/{I2}/{U2}"),
    ("vlan", f"{E1} / vlan vlan=5 prio=3 / vlan vlan=6 / {I1} / {U1}",
     f"{E2}/Dot1Q(vlan=5,prio=3)/Dot1Q(vlan=6)/{I2}/{U2}"),
    ("svlan", f"{E1} / svlan vlan=5 / vlan vlan=6 / {I1} / {U1}", f"{E2}/Dot1AD(vlan=5)/Dot1Q(vlan=6)/{I2}/{U2}"),
    ("arp", f"{E1} / arp hwsrc=02:00:00:00:00:01 psrc=10.0.0.1 pdst=10.0.0.2",
     f'{E2}/ARP(hwsrc="02:00:00:00:00:01",psrc="10.0.0.1",hwdst="00:00:00:00:00:00",pdst="10.0.0.2")'),
    ("arp", f"{E1} / arp op=2 hwsrc=02:00:00:00:00:01 psrc=10.0.0.1 hwdst=02:00:00:00:00:02 pdst=10.0.0.2",
     f'{E2}/ARP(op=2,hwsrc="02:00:00:00:00:01",psrc="10.0.0.1",hwdst="02:00:00:00:00:02",pdst="10.0.0.2")'),
    ("llc", f"{E1} / llc dsap=0x42 ssap=0x42 ctrl=3 / hex=0000",
     'Dot3(dst="02:00:00:00:00:02",src="02:00:00:00:00:01")/LLC(dsap=0x42,ssap=0x42,ctrl=3)/b"\\x00\\x00"', OURS_ONLY),
    ("sll", f"sll pkttype=4 hatype=1 halen=6 src=02:00:00:00:00:01 proto=0x0800 / {I1} / {U1}",
     f'CookedLinux(pkttype=4,lladdrtype=1,lladdrlen=6,src=b"\\x02\\0\\0\\0\\0\\1\\0\\0",proto=0x800)/{I2}/{U2}', OURS_ONLY),
    ("sll2", f"sll2 ifindex=3 pkttype=4 hatype=1 halen=6 src=02:00:00:00:00:01 proto=0x0800 / {I1} / {U1}",
     f'CookedLinuxV2(ifindex=3,pkttype=4,lladdrtype=1,lladdrlen=6,src=b"\\x02\\0\\0\\0\\0\\1\\0\\0",proto=0x800)/{I2}/{U2}', OURS_ONLY),
    ("null", f"null family=2 / {I1} / {U1}", f"Loopback(type=2)/{I2}/{U2}", OURS_ONLY),
    # IPv4.
    ("ip", f"{I1} / text=hi", f'{I2}/"hi"'),
    ("ip", f"{I1} ttl=5 id=7 tos=0x10 / {U1}", f"{I2[:-1]},ttl=5,id=7,tos=0x10)/{U2}"),
    ("ip", f"{I1} flags=DF / {U1}", f'{I2[:-1]},flags="DF")/{U2}'),
    ("ip", f"{I1} flags=MF frag=3 proto=17 / hex=0001", f'{I2[:-1]},flags="MF",frag=3,proto=17)/b"\\x00\\x01"'),
    ("ip", f"{I1} len=999 chksum=0xdead / {U1} chksum=1", f"{I2[:-1]},len=999,chksum=0xdead)/{U2[:-1]},chksum=1)"),
    ("ip", f"{I1} version=5 ihl=6 proto=99 / hex=00", f'{I2[:-1]},version=5,ihl=6,proto=99)/b"\\x00"'),
    ("ip", f"{I1} / {I1} / {U1}", f"{I2}/{I2}/{U2}"),
    ("ip", f"{I1} ra=0 / {U1}", f"{I2[:-1]},options=[IPOption_Router_Alert()])/{U2}", OURS_ONLY),
    ("ip", f"{I1} nop nop nop eol / {U1}",
     f"{I2[:-1]},options=[IPOption_NOP(),IPOption_NOP(),IPOption_NOP(),IPOption_EOL()])/{U2}", OURS_ONLY),
    # UDP.
    ("udp", f"{I1} / {U1} / text=hello", f'{I2}/{U2}/"hello"'),
    ("udp", f"{I1} / {U1} / hex=00", f'{I2}/{U2}/b"\\x00"'),
    ("udp", f"{I1} / {U1} len=3 chksum=0 / text=abc", f'{I2}/{U2[:-1]},len=3,chksum=0)/Raw("abc")'),
    ("udp", f"{I1} / {U1} chksum=0xdead / text=abc", f'{I2}/{U2[:-1]},chksum=0xdead)/Raw(load=b"abc")'),
    # TCP.
    ("tcp", f"{I1} / {T1}", f"{I2}/{T2}"),
    ("tcp", f"{I1} / {T1} flags=A ack=9 / text=GET", f'{I2}/{T2[:-1]},flags="A",ack=9)/b"GET"'),
    ("tcp", f"{I1} / {T1} flags=FPU window=1 urgptr=2", f'{I2}/{T2[:-1]},flags="FPU",window=1,urgptr=2)'),
    ("tcp", f"{I1} / {T1} flags=SEC", f'{I2}/{T2[:-1]},flags="SEC")'),
    ("tcp", f"{I1} / {T1} flags=0", f"{I2}/{T2[:-1]},flags=0)"),
    ("tcp", f"{I1} / {T1} mss=1460", f'{I2}/{T2[:-1]},options=[("MSS",1460)])'),
    ("tcp", f"{I1} / {T1} mss=1460 sackok nop ts=1:0 ws=7",
     f'{I2}/{T2[:-1]},options=[("MSS",1460),("SAckOK",b""),("NOP",None),("Timestamp",(1,0)),("WScale",7)])'),
    ("tcp", f"{I1} / {T1} flags=A nop nop sack=10:20:30:40",
     f'{I2}/{T2[:-1]},flags="A",options=[("NOP",None),("NOP",None),("SAck",(10,20,30,40))])'),
    ("tcp", f"{I1} / {T1} opt=254:0011", f'{I2}/{T2[:-1]},options=[(254,b"\\x00\\x11")])'),
    ("tcp", f"{I1} / {T1} dataofs=7 chksum=1 reserved=3", f"{I2}/{T2[:-1]},dataofs=7,chksum=1,reserved=3)"),
    # ICMP.
    ("icmp", f"{I1} / icmp id=7 seq=1 / text=hello", f'{I2}/ICMP(id=7,seq=1)/"hello"'),
    ("icmp", f"{I1} / icmp type=0 id=7 seq=1", f"{I2}/ICMP(type=0,id=7,seq=1)"),
    ("icmp", f"{I1} / icmp type=3 code=1", f"{I2}/ICMP(type=3,code=1)"),
    ("icmp", f"{I1} / icmp type=3 code=3 / {I1} / {U1}", f"{I2}/ICMP(type=3,code=3)/{I2}/{U2}"),
    ("icmp", f"{I1} / icmp type=11 / {I1} / {U1}", f"{I2}/ICMP(type=11)/{I2}/{U2}"),
    ("icmp", f"{I1} / icmp type=5 code=1 gw=10.0.0.9", f'{I2}/ICMP(type=5,code=1,gw="10.0.0.9")'),
    ("igmp", f"{I1} tos=0xc0 ttl=1 ra=0 / igmp type=0x16 max_resp=0 group=224.1.2.3",
     f'{I2[:-1]},proto=2)/IGMP(type=0x16,mrcode=0,gaddr="224.1.2.3")', OURS_ONLY),
    # IPv6.
    ("ip6", f"{V1} / {U1} / text=hi", f'{V2}/{U2}/"hi"'),
    ("ip6", f"{V1} tc=3 fl=0x12345 hlim=5 / {T1}", f"{V2[:-1]},tc=3,fl=0x12345,hlim=5)/{T2}"),
    ("ip6", f"{V1} plen=9 nh=59", f"{V2[:-1]},plen=9,nh=59)"),
    ("ip6", f"{I1} / {V1} / {U1}", f"{I2}/{V2}/{U2}"),
    ("icmp6", f"{V1} / icmp6 type=128 id=7 seq=1 / text=hi", f'{V2}/ICMPv6EchoRequest(id=7,seq=1)/b"hi"'),
    ("icmp6", f"{V1} / icmp6 type=129 id=7 seq=1", f"{V2}/ICMPv6EchoReply(id=7,seq=1)"),
    ("icmp6", f"{V1} / icmp6 type=1 code=4 / {V1} / {U1}", f"{V2}/ICMPv6DestUnreach(code=4)/{V2}/{U2}"),
    ("icmp6", f"{V1} / icmp6 type=3 / {V1} / {U1}", f"{V2}/ICMPv6TimeExceeded()/{V2}/{U2}"),
    ("icmp6", f"{V1} hlim=255 / icmp6 type=135 tgt=fd00::9",
     f'{V2[:-1]},hlim=255)/ICMPv6ND_NS(tgt="fd00::9")'),
    # IPv6 extension headers.
    ("hbh", f"{V1} / hbh ra=0 / {U1}", f"{V2}/IPv6ExtHdrHopByHop(options=[RouterAlert(value=0)])/{U2}", OURS_ONLY),
    ("hbh", f"{V1} / hbh jumbo=70000 / {U1}",
     f"{V2}/IPv6ExtHdrHopByHop(options=[Jumbo(jumboplen=70000)])/{U2}", OURS_ONLY),
    ("hbh", f"{V1} / hbh / {U1}", f"{V2}/IPv6ExtHdrHopByHop()/{U2}"),
    ("dst6", f"{V1} / dst6 padn=2 home=fd00::7 / {U1} chksum=1",
     f'{V2}/IPv6ExtHdrDestOpt(options=[HAO(hoa="fd00::7")])/{U2[:-1]},chksum=1)', OURS_ONLY),
    ("dst6", f"{V1} / hbh / dst6 / {U1}", f"{V2}/IPv6ExtHdrHopByHop()/IPv6ExtHdrDestOpt()/{U2}"),
    ("rt6", f"{V1} / rt6 segleft=2 addr=fd00::8,fd00::9 / {U1}",
     f'{V2}/IPv6ExtHdrRouting(segleft=2,addresses=["fd00::8","fd00::9"])/{U2}', OURS_ONLY),
    ("rt6", f"{V1} / rt6 type=4 segleft=1 lastentry=1 tag=7 addr=fd00::8,fd00::9 / {U1}",
     f'{V2}/IPv6ExtHdrSegmentRouting(segleft=1,lastentry=1,tag=7,addresses=["fd00::8","fd00::9"])/{U2}', OURS_ONLY),
    ("frag6", f"{V1} / frag6 offset=5 m=1 id=9 nh=17 / hex=0011", f'{V2}/IPv6ExtHdrFragment(offset=5,m=1,id=9,nh=17)/b"\\x00\\x11"'),
    ("frag6", f"{V1} / frag6 id=9 / {U1}", f"{V2}/IPv6ExtHdrFragment(id=9)/{U2}"),
    # Routing.
    ("pim", f"{I1} / pim type=0 / hex=00010002", f'{I2}/PIMv2Hdr(type=0)/b"\\x00\\x01\\x00\\x02"', OURS_ONLY),
    ("pim", f"{V1} / pim type=3 / hex=00010002", f'{V2}/PIMv2Hdr(type=3)/b"\\x00\\x01\\x00\\x02"', OURS_ONLY),
    # Tunnels.
    ("erspan", f"{I1} / gre seq=9 / erspan vlan=5 cos=2 session=7 index=3 / {E1} / {I1} / {U1}",
     f"{I2}/GRE(seqnum_present=1,sequence_number=9,proto=0x88be)/ERSPAN_II(vlan=5,cos=2,session_id=7,index=3)/{E2}/{I2}/{U2}", OURS_ONLY),
    ("erspan", f"{I1} / gre seq=9 / erspan version=2 vlan=5 session=7 timestamp=1 sgt=2 / {E1} / {I1} / {U1}",
     f"{I2}/GRE(seqnum_present=1,sequence_number=9,proto=0x22eb)/ERSPAN_III(vlan=5,session_id=7,timestamp=1,sgt_other=2,p=1)/{E2}/{I2}/{U2}", OURS_ONLY),
    ("pw", f"{E1} / mpls label=16 ttl=9 / pw seq=3 / {E1} / {I1} / {U1}",
     f"{E2}/MPLS(label=16,ttl=9,s=1)/EoMCW(seq=3)/{E2}/{I2}/{U2}"),
    ("ppp", f"ppp / {I1} / {U1}", f"PPP(proto=0x21)/{I2}/{U2}", OURS_ONLY),
    ("ppp", f"ppp hdlc / {I1} / {U1}", f"HDLC()/PPP(proto=0x21)/{I2}/{U2}", OURS_ONLY),
    ("gre", f"{I1} / gre / {I1} / {U1}", f"{I2}/GRE()/{I2}/{U2}"),
    ("gre", f"{I1} / gre key=7 seq=9 / {I1} / {U1}",
     f"{I2}/GRE(key_present=1,key=7,seqnum_present=1,sequence_number=9)/{I2}/{U2}", OURS_ONLY),
    ("vxlan", f"{I1} / udp sport=4789 dport=4789 / vxlan vni=42 / {E1} / {I1} / {U1}",
     f'{I2}/UDP(sport=4789,dport=4789)/VXLAN(vni=42,flags=8)/{E2}/{I2}/{U2}', OURS_ONLY),
    ("geneve", f"{I1} / udp sport=4000 dport=6081 / geneve vni=42 / {E1} / {I1} / {U1}",
     f"{I2}/UDP(sport=4000,dport=6081)/GENEVE(vni=42,proto=0x6558)/{E2}/{I2}/{U2}"),
    ("mpls", f"{E1} / mpls label=16 ttl=9 / {I1} / {U1}", f"{E2}/MPLS(label=16,ttl=9,s=1)/{I2}/{U2}"),
    ("mpls", f"{E1} / mpls label=16 s=0 ttl=9 / mpls label=17 exp=3 ttl=8 / {I1} / {U1}",
     f"{E2}/MPLS(label=16,s=0,ttl=9)/MPLS(label=17,cos=3,s=1,ttl=8)/{I2}/{U2}"),
    ("pppoe", f"{E1} / pppoe session=3 / ppp / {I1} / {U1}", f"{E2}/PPPoE(sessionid=3)/PPP(proto=0x21)/{I2}/{U2}", OURS_ONLY),
    ("pppoed", f"{E1} / pppoed code=9 session=0", f"{E2}/PPPoED(code=9)", OURS_ONLY),
    ("gtp", f"{I1} / udp sport=2152 dport=2152 / gtp teid=7 / {I1} / {U1}",
     f"{I2}/UDP(sport=2152,dport=2152)/GTP_U_Header(teid=7)/{I2}/{U2}", OURS_ONLY),
    ("ah", f"{I1} / ah nh=17 spi=5 seq=2 icv=00112233445566778899aabb / {U1} chksum=1",
     f'{I2}/AH(nh=17,payloadlen=4,spi=5,seq=2,icv=bytes.fromhex("00112233445566778899aabb"))/{U2[:-1]},chksum=1)', OURS_ONLY),
    # DNS. Scapy writes names in full, as sockwire does those with a dot at the end.
    ("dns", f"{I1} / {D1} / dns id=7 qd=example.com", f'{I2}/{D2}/DNS(id=7,rd=1,qd=DNSQR(qname="example.com"))'),
    ("dns", f"{I1} / {D1} / dns id=7 rd=0 qd=example.com:AAAA", f'{I2}/{D2}/DNS(id=7,rd=0,qd=DNSQR(qname="example.com",qtype="AAAA"))'),
    ("dns", f"{I1} / {D1} / dns id=7 qd=example.com:TXT:CH", f'{I2}/{D2}/DNS(id=7,qd=DNSQR(qname="example.com",qtype="TXT",qclass="CH"))'),
    ("dns", f"{I1} / {D1} / dns id=7 qr aa ra qd=example.com. an=example.com.:A:60:192.0.2.1",
     f'{I2}/{D2}/DNS(id=7,qr=1,aa=1,ra=1,qd=DNSQR(qname="example.com"),an=DNSRR(rrname="example.com",type="A",ttl=60,rdata="192.0.2.1"))'),
    ("dns", f"{I1} / {D1} / dns id=7 qr qd=a.b.:AAAA an=a.b.:AAAA:60:fd00::9",
     f'{I2}/{D2}/DNS(id=7,qr=1,qd=DNSQR(qname="a.b",qtype="AAAA"),an=DNSRR(rrname="a.b",type="AAAA",ttl=60,rdata="fd00::9"))'),
    ("dns", f"{I1} / {D1} / dns id=7 qr rcode=3 qd=a.b. ns=b.:SOA:60:ns.b.:host.b.:1:2:3:4:5",
     f'{I2}/{D2}/DNS(id=7,qr=1,rcode=3,qd=DNSQR(qname="a.b"),ns=DNSRRSOA(rrname="b",ttl=60,mname="ns.b",rname="host.b",serial=1,refresh=2,retry=3,expire=4,minimum=5))'),
    ("dns", f"{I1} / {D1} / dns id=7 qr qd=a.b.:MX an=a.b.:MX:60:10:mx.a.b.",
     f'{I2}/{D2}/DNS(id=7,qr=1,qd=DNSQR(qname="a.b",qtype="MX"),an=DNSRRMX(rrname="a.b",ttl=60,preference=10,exchange="mx.a.b"))'),
    ("dns", f"{I1} / {D1} / dns id=7 qr qd=a.b.:SRV an=a.b.:SRV:60:1:2:80:c.b",
     f'{I2}/{D2}/DNS(id=7,qr=1,qd=DNSQR(qname="a.b",qtype="SRV"),an=DNSRRSRV(rrname="a.b",ttl=60,priority=1,weight=2,port=80,target="c.b"))'),
    ("dns", f"{I1} / {D1} / dns id=7 qr qd=a.b.:TXT an=a.b.:TXT:60:v=1%20x:two",
     f'{I2}/{D2}/DNS(id=7,qr=1,qd=DNSQR(qname="a.b",qtype="TXT"),an=DNSRR(rrname="a.b",type="TXT",ttl=60,rdata=["v=1 x","two"]))'),
    ("dns", f"{I1} / {D1} / dns id=7 qr qd=a.b.:CNAME an=a.b.:CNAME:60:c.b. an=c.b.:NS:60:d.b.",
     f'{I2}/{D2}/DNS(id=7,qr=1,qd=DNSQR(qname="a.b",qtype="CNAME"),an=[DNSRR(rrname="a.b",type="CNAME",ttl=60,rdata="c.b"),DNSRR(rrname="c.b",type="NS",ttl=60,rdata="d.b")])'),
    ("dns", f"{I1} / {D1} / dns id=7 qd=a.b ar=.:OPT:4096:do",
     f'{I2}/{D2}/DNS(id=7,qd=DNSQR(qname="a.b"),ar=DNSRROPT(rclass=4096,z="D0"))'),
    ("dns", f"{I1} / {D1} / dns id=7 ancount=5 qd=a.b", f'{I2}/{D2}/DNS(id=7,ancount=5,qd=DNSQR(qname="a.b"))'),
    ("dns", f"{I1} / tcp sport=4000 dport=53 seq=1 flags=PA / dns id=7 qd=example.com",
     f'{I2}/TCP(sport=4000,dport=53,seq=1,flags="PA")/DNS(id=7,qd=DNSQR(qname="example.com"))'),
    ("mdns", f"{I1} / udp sport=5353 dport=5353 / mdns qd=_ipp._tcp.local:PTR",
     f'{I2}/UDP(sport=5353,dport=5353)/DNS(rd=0,qd=DNSQR(qname="_ipp._tcp.local",qtype="PTR"))'),
    ("llmnr", f"{I1} / udp sport=4000 dport=5355 / llmnr id=7 qd=printer",
     f'{I2}/UDP(sport=4000,dport=5355)/DNS(id=7,rd=0,qd=DNSQR(qname="printer"))'),
]


def ours(program, spec):
    """The bytes that sockwire makes, or its fault."""
    run = subprocess.run([program, "craft", "--hex", spec], capture_output=True, text=True, timeout=30)
    return (bytes.fromhex(run.stdout), "") if run.returncode == 0 else (None, run.stderr.strip())


def theirs(expression):
    packet = eval(expression)  # noqa: S307 the rows above
    return bytes(packet)


def compare(layer, form, spec, wanted, program, counts):
    made, fault = ours(program, spec)
    row = counts.setdefault(layer, {"equal": 0, "differ": 0, "skipped": 0})
    if made == wanted:
        row["equal"] += 1
    elif made is None and "no layer" in fault:
        row["skipped"] += 1
        print(f"skipped: {form} of {layer}: {fault.splitlines()[0]}")
    else:
        row["differ"] += 1
        print(f"differs: {form} of {layer}: {spec}")
        print(f"  sockwire {made.hex() if made is not None else fault}")
        print(f"  scapy    {wanted.hex()}")


def main():
    if len(sys.argv) != 2:
        sys.exit("usage: scapy.py PROGRAM, such as target/debug/sockwire")
    program, counts = sys.argv[1], {}
    for layer, spec, expression, *only in ROWS:
        wanted = theirs(expression)
        compare(layer, "notation", spec, wanted, program, counts)
        if OURS_ONLY not in only:
            compare(layer, "Scapy's spelling", expression, wanted, program, counts)
    print(f"{'layer':<8}{'equal':>7}{'differ':>8}{'skipped':>9}")
    for layer, row in counts.items():
        print(f"{layer:<8}{row['equal']:>7}{row['differ']:>8}{row['skipped']:>9}")
    total = {name: sum(row[name] for row in counts.values()) for name in ("equal", "differ", "skipped")}
    print(f"{'all':<8}{total['equal']:>7}{total['differ']:>8}{total['skipped']:>9}   ({len(ROWS)} packets)")
    return 1 if total["differ"] else 0


if __name__ == "__main__":
    sys.exit(main())
