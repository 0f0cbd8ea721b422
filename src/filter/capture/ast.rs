//! What a capture filter says, with names resolved and before any link type is known.

use std::{net::IpAddr, ops::Range};

/// An expression. `and` and `or` are equally strong and bind from the left; the tree is built that way.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Expr {
    /// Both hold; the right side is looked at only when the left holds.
    And(Box<Self>, Box<Self>),
    /// One of them holds; the right side is looked at only when the left does not hold.
    Or(Box<Self>, Box<Self>),
    /// It does not hold.
    Not(Box<Self>),
    /// A primitive, and the characters of the expression that it stands in.
    Test(Test, Range<usize>),
}

/// The protocol words that qualify a primitive, stand alone as one, or name what `proto[…]` counts from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Proto {
    /// `ether`, `link`, `fddi`, `tr`, `wlan`, `ppp`, `slip`: the link layer.
    Link,
    Ip,
    Ip6,
    Arp,
    Rarp,
    Tcp,
    Udp,
    Sctp,
    Icmp,
    Icmp6,
    Igmp,
    Igrp,
    Pim,
    Vrrp,
    Carp,
    Ah,
    Esp,
    /// `radio`: only as `radio[…]`, which no link type of ours has.
    Radio,
    Atalk,
    Aarp,
    Decnet,
    Lat,
    Sca,
    Moprc,
    Mopdl,
    /// ISO network protocols: LLC 0xfe.
    Iso,
    /// ISO protocols by their first byte.
    Esis,
    Isis,
    Clnp,
    Stp,
    Ipx,
    Netbeui,
    /// IS-IS PDUs of both levels: `l1`, `l2`, `iih`, `lsp`, `snp`, `csnp`, `psnp`.
    IsisL1,
    IsisL2,
    IsisIih,
    IsisLsp,
    IsisSnp,
    IsisCsnp,
    IsisPsnp,
}

/// Which end of a packet is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Source,
    Destination,
    /// `src or dst`, and what is meant when nothing is said.
    Either,
    /// `src and dst`.
    Both,
}

/// A primitive.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Test {
    /// `host` and `net`: one of these networks (a name can have several addresses, in the resolver's order).
    Net {
        proto: Option<Proto>,
        side: Side,
        nets: Vec<Net>,
    },
    /// `ether host` and its like.
    Mac {
        side: Side,
        address: [u8; 6],
    },
    /// `gateway`: the frame goes to this hardware address, the packet to or from none of these addresses.
    Gateway {
        proto: Option<Proto>,
        mac: [u8; 6],
        hosts: Vec<IpAddr>,
    },
    /// `port`: `proto` is TCP, UDP, SCTP, or none for all three.
    Port {
        proto: Option<Proto>,
        side: Side,
        port: u16,
    },
    /// `portrange`, first not above last.
    PortRange {
        proto: Option<Proto>,
        side: Side,
        first: u16,
        last: u16,
    },
    /// A protocol word that stands alone.
    Proto(Proto),
    /// `proto N`, also as `ether proto`, `ip proto`, `ip6 proto`, `iso proto`, `isis proto`.
    ProtoNumber {
        of: Option<Proto>,
        number: u32,
    },
    /// `protochain N`.
    ProtoChain {
        of: Option<Proto>,
        number: u32,
    },
    /// `broadcast`, `ether broadcast`, `ip broadcast`.
    Broadcast(Option<Proto>),
    /// `multicast`, `ether multicast`, `ip multicast`, `ip6 multicast`.
    Multicast(Option<Proto>),
    /// `less N`: at most so many bytes.
    Less(u32),
    /// `greater N`: at least so many bytes.
    Greater(u32),
    /// `byte N op V`: the byte at this place of the link layer.
    Byte {
        at: u32,
        op: ByteOp,
        value: u32,
    },
    Inbound,
    Outbound,
    Ifindex(u32),
    /// `vlan [ID]`; what follows counts from behind the tag.
    Vlan(Option<u32>),
    /// `mpls [LABEL]`.
    Mpls(Option<u32>),
    Pppoed,
    /// `pppoes [SESSION]`.
    Pppoes(Option<u32>),
    /// `geneve [VNI]`.
    Geneve(Option<u32>),
    /// `vxlan [VNI]` (libpcap 1.11).
    Vxlan(Option<u32>),
    Llc(Llc),
    /// `EXPR op EXPR`.
    Relation {
        op: RelOp,
        left: Arith,
        right: Arith,
    },
}

/// A network or an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Net {
    /// IPv4: `mask` need not be a prefix (`net N mask M`). In host byte order. With `decnet`, the low 16 bits of `address`
    /// are six bits of area and ten of node, and `mask` says nothing.
    V4 { address: u32, mask: u32 },
    /// IPv6 with a prefix length.
    V6 { address: u128, prefix: u8 },
}

/// The comparison of `byte N op V`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ByteOp {
    Equal,
    Less,
    Greater,
    /// `byte N & V`: one of these bits is set.
    And,
    /// `byte N | V`: the byte or V is not zero.
    Or,
}

/// `llc`, and its kinds of frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Llc {
    Any,
    /// `i`
    Information,
    /// `s`
    Supervisory,
    /// `u`
    Unnumbered,
    /// `rr`, `rnr`, `rej`: the control field of an S frame.
    SupervisoryType(u32),
    /// `ui`, `ua`, `disc`, `sabme`, `test`, `xid`, `frmr`, `dm`: the control field of a U frame.
    UnnumberedType(u32),
}

/// A comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RelOp {
    Equal,
    NotEqual,
    Greater,
    Less,
    GreaterOrEqual,
    LessOrEqual,
}

/// Arithmetic, of unsigned 32-bit numbers.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Arith {
    Number(u32),
    /// `len`, `length`
    Length,
    /// `proto[at]`, `proto[at:size]` with a size of 1, 2 or 4.
    Load {
        proto: Proto,
        at: Box<Self>,
        size: u8,
    },
    Negate(Box<Self>),
    Binary {
        op: BinOp,
        left: Box<Self>,
        right: Box<Self>,
    },
}

/// An operator of arithmetic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BinOp {
    Add,
    Sub,
    Mul,
    Div,
    Mod,
    And,
    Or,
    Xor,
    ShiftLeft,
    ShiftRight,
}
