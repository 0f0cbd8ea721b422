//! Fields: one table row that tree, hex view, JSON, filters and explanations all read.

use std::{
    fmt,
    net::{Ipv4Addr, Ipv6Addr},
    ops::{ControlFlow, Range},
};

use crate::{
    layer::Problem,
    text::{Colons, Mac, Safe},
    time::Time,
};

/// Bytes shown of a long value: the rest is there for `-x` and JSON.
const SHOWN_BYTES: usize = 24;

/// One field of a protocol. Identity is the address of the `static`: compare with [`Field::is`].
#[derive(Debug)]
pub struct Field {
    /// Wireshark's name (`tcp.srcport`), or one beginning with `sockwire.`.
    pub name: &'static str,
    /// A short title in words ("Source port").
    pub title: &'static str,
    /// How its value is shown.
    pub kind: Kind,
    /// Where it lies.
    pub at: At,
    /// Can occur several times in a layer: always a list in records.
    pub many: bool,
    /// Left out in the packet that an ICMP error quotes.
    pub unquoted: bool,
    /// Names of values, for fields that enumerate.
    pub names: &'static [(u64, &'static str)],
    /// One sentence that explains the field, with its section of the specification.
    pub doc: &'static str,
}

/// What a field holds and how it is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// One bit, true or false.
    Flag,
    /// An unsigned number, decimal.
    Uint,
    /// A number that can be negative, decimal.
    Int,
    /// An unsigned number, shown with this many hexadecimal digits.
    Hex(u8),
    /// A 48-bit hardware address.
    Mac,
    /// An IPv4 address.
    Ipv4,
    /// An IPv6 address.
    Ipv6,
    /// Bytes, shown as `aa:bb:cc`.
    Bytes,
    /// Untrusted text.
    Text,
    /// A point in time.
    Time,
    /// A span, in nanoseconds.
    Duration,
    /// Present or not; it has no value.
    Mark,
}

/// Where a field's value comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum At {
    /// A fixed place in the header: `bits` from bit `bit` (0 = most significant) of byte `byte`, big endian.
    Bits {
        /// Byte offset from the start of the header.
        byte: u16,
        /// First bit within that byte, from the most significant.
        bit: u8,
        /// Length in bits.
        bits: u16,
    },
    /// Found by the protocol's `walk`: options, records, and values computed from the bytes.
    Walked,
    /// Written by tracking as a fact.
    Derived,
}

impl Field {
    /// A field at a fixed place: `bits` bits from byte `byte`, bit 0.
    pub const fn at(
        name: &'static str,
        title: &'static str,
        kind: Kind,
        byte: u16,
        bits: u16,
        doc: &'static str,
    ) -> Self {
        Self::bits(name, title, kind, (byte, 0, bits), doc)
    }

    /// A field at a fixed place given as (byte, bit, length in bits).
    pub const fn bits(
        name: &'static str,
        title: &'static str,
        kind: Kind,
        (byte, bit, bits): (u16, u8, u16),
        doc: &'static str,
    ) -> Self {
        Self {
            name,
            title,
            kind,
            at: At::Bits { byte, bit, bits },
            many: false,
            unquoted: false,
            names: &[],
            doc,
        }
    }

    /// A field that the protocol's `walk` finds.
    pub const fn walked(
        name: &'static str,
        title: &'static str,
        kind: Kind,
        doc: &'static str,
    ) -> Self {
        Self {
            name,
            title,
            kind,
            at: At::Walked,
            many: false,
            unquoted: false,
            names: &[],
            doc,
        }
    }

    /// A field that tracking writes.
    pub const fn derived(
        name: &'static str,
        title: &'static str,
        kind: Kind,
        doc: &'static str,
    ) -> Self {
        Self {
            name,
            title,
            kind,
            at: At::Derived,
            many: false,
            unquoted: false,
            names: &[],
            doc,
        }
    }

    /// The same field, able to occur several times in a layer.
    pub const fn many(mut self) -> Self {
        self.many = true;
        self
    }

    /// The same field, left out in the packet that an ICMP error quotes, as Wireshark does.
    pub const fn unquoted(mut self) -> Self {
        self.unquoted = true;
        self
    }

    /// The same field with names for its values.
    pub const fn names(mut self, names: &'static [(u64, &'static str)]) -> Self {
        self.names = names;
        self
    }

    /// The name of `value`, where the field enumerates.
    pub fn value_name(&self, value: u64) -> Option<&'static str> {
        self.names
            .iter()
            .find(|(v, _)| *v == value)
            .map(|&(_, name)| name)
    }

    /// True when both are the same row of the same table.
    pub fn is(&self, other: &Self) -> bool {
        std::ptr::eq(self, other)
    }
}

/// A value read from a packet, borrowed from its bytes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value<'a> {
    /// The field is there and has no value ([`Kind::Mark`]).
    Mark,
    /// A flag.
    Bool(bool),
    /// A number.
    Uint(u64),
    /// A number that can be negative ([`Kind::Int`]); only tracking writes such.
    Int(i64),
    /// A hardware address.
    Mac([u8; 6]),
    /// An IPv4 address.
    Ipv4(Ipv4Addr),
    /// An IPv6 address.
    Ipv6(Ipv6Addr),
    /// Bytes.
    Bytes(&'a [u8]),
    /// Text from a packet: untrusted, not always UTF-8.
    Text(&'a [u8]),
    /// A point in time.
    Time(Time),
    /// A span in nanoseconds.
    Duration(i64),
}

impl<'a> Value<'a> {
    /// The number in it, for flags and numbers.
    pub const fn as_u64(&self) -> Option<u64> {
        match self {
            Self::Bool(b) => Some(*b as u64),
            Self::Uint(n) => Some(*n),
            _ => None,
        }
    }

    /// Reads a value of `kind` from bits `range` of `bytes`; `None` when the bytes do not reach that far.
    pub fn read(kind: Kind, bytes: &'a [u8], range: Range<u32>) -> Option<Self> {
        let (first, last) = (range.start as usize / 8, range.end.div_ceil(8) as usize);
        let slice = bytes.get(first..last)?;
        Some(match kind {
            Kind::Mac => Self::Mac(slice.try_into().ok()?),
            Kind::Ipv4 => Self::Ipv4(Ipv4Addr::from(<[u8; 4]>::try_from(slice).ok()?)),
            Kind::Ipv6 => Self::Ipv6(Ipv6Addr::from(<[u8; 16]>::try_from(slice).ok()?)),
            Kind::Bytes => Self::Bytes(slice),
            Kind::Text => Self::Text(slice),
            Kind::Mark => Self::Mark,
            Kind::Flag => Self::Bool(bits(slice, range) != 0),
            Kind::Uint | Kind::Int | Kind::Hex(_) | Kind::Time | Kind::Duration => {
                Self::Uint(bits(slice, range))
            }
        })
    }
}

/// The number in bits `range` of a packet, where `slice` begins at the byte that holds the first bit. At most 64 bits.
fn bits(slice: &[u8], range: Range<u32>) -> u64 {
    let whole = slice
        .iter()
        .take(9)
        .fold(0u128, |n, &b| n << 8 | u128::from(b));
    let after = (8 - range.end % 8) % 8;
    let len = (range.end - range.start).min(64);
    ((whole >> after) & ((1u128 << len) - 1)) as u64
}

/// A value in the form of its field, with its name where it has one.
#[derive(Clone, Copy, Debug)]
pub struct Shown<'a> {
    /// The field that holds it.
    pub field: &'a Field,
    /// The value.
    pub value: Value<'a>,
}

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.value, self.field.kind) {
            (Value::Mark, _) => Ok(()),
            (Value::Bool(value), _) => write!(f, "{value}"),
            (Value::Uint(value), Kind::Hex(digits)) => {
                write!(f, "0x{value:0width$x}", width = usize::from(digits))
            }
            (Value::Uint(value), _) => write!(f, "{value}"),
            (Value::Int(value), _) => write!(f, "{value}"),
            (Value::Mac(address), _) => Mac(address).fmt(f),
            (Value::Ipv4(address), _) => address.fmt(f),
            (Value::Ipv6(address), _) => address.fmt(f),
            (Value::Bytes(bytes), _) => {
                let (shown, rest) = bytes.split_at(bytes.len().min(SHOWN_BYTES));
                Colons(shown).fmt(f)?;
                if rest.is_empty() {
                    Ok(())
                } else {
                    write!(f, "… ({} bytes)", bytes.len())
                }
            }
            (Value::Text(text), _) => write!(f, "\"{}\"", Safe(text)),
            (Value::Time(time), _) => time.fmt(f),
            (Value::Duration(nanos), _) => write!(f, "{} s", Time::from_nanos(nanos)),
        }?;
        match self
            .value
            .as_u64()
            .and_then(|value| self.field.value_name(value))
        {
            Some(name) => write!(f, " ({name})"),
            None => Ok(()),
        }
    }
}

/// Receives the fields of a layer, one after the other.
pub trait Visit {
    /// One field; `bits` is its place in the layer's buffer, counted in bits, empty for values that no bits hold.
    fn field(
        &mut self,
        field: &'static Field,
        value: Value<'_>,
        bits: Range<u32>,
    ) -> ControlFlow<()>;

    /// A fault that only a full look at the layer shows, such as a wrong checksum.
    fn problem(&mut self, _problem: Problem) {}
}

/// Passes on the fields of a packet, but only so many of those that repeat: option lists can be as long as the packet.
pub struct Bounded<'v> {
    visit: &'v mut dyn Visit,
    left: &'v mut usize,
    over: bool,
}

impl<'v> Bounded<'v> {
    /// For one layer; `left` counts down over all layers of the packet.
    pub fn new(visit: &'v mut dyn Visit, left: &'v mut usize) -> Self {
        Self {
            visit,
            left,
            over: false,
        }
    }

    /// The layer is done: says whether fields were left out.
    pub fn finish(self) {
        if self.over {
            let text = "the list is too long: the rest of it is not shown";
            self.visit.problem(Problem::odd(text));
        }
    }
}

impl Visit for Bounded<'_> {
    fn field(
        &mut self,
        field: &'static Field,
        value: Value<'_>,
        bits: Range<u32>,
    ) -> ControlFlow<()> {
        if field.many {
            let Some(left) = self.left.checked_sub(1) else {
                self.over = true;
                return ControlFlow::Continue(());
            };
            *self.left = left;
        }
        self.visit.field(field, value, bits)
    }

    fn problem(&mut self, problem: Problem) {
        self.visit.problem(problem);
    }
}

/// Declares fields as `static`s and lists them, in this order, as `FIELDS`.
#[macro_export]
macro_rules! fields {
    ($($(#[$meta:meta])* $name:ident = $field:expr;)*) => {
        $(#[doc = concat!("`", stringify!($name), "`: a row of this protocol's [`FIELDS`].")]
        pub static $name: $crate::field::Field = $field;)*
        /// Every field of this protocol, in the order of records.
        pub static FIELDS: &[&$crate::field::Field] = &[$(&$name),*];
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    static ONE: Field = Field::walked("test.one", "", Kind::Uint, "");
    static MANY: Field = Field::walked("test.many", "", Kind::Uint, "").many();

    #[derive(Default)]
    struct Seen(Vec<&'static str>);

    impl Visit for Seen {
        fn field(&mut self, field: &'static Field, _: Value<'_>, _: Range<u32>) -> ControlFlow<()> {
            self.0.push(field.name);
            ControlFlow::Continue(())
        }

        fn problem(&mut self, problem: Problem) {
            self.0.push(problem.text);
        }
    }

    #[test]
    fn of_a_long_list_the_rest_is_left_out_and_told_of() {
        let (mut seen, mut left) = (Seen::default(), 2);
        for layer in [[&MANY, &ONE, &ONE], [&MANY, &MANY, &ONE]] {
            let mut bounded = Bounded::new(&mut seen, &mut left);
            for field in layer {
                let _ = bounded.field(field, Value::Uint(1), 0..0);
            }
            bounded.finish();
        }
        let rest = "the list is too long: the rest of it is not shown";
        let (one, many) = (ONE.name, MANY.name);
        assert_eq!(seen.0, [many, one, one, many, one, rest]);
    }

    #[test]
    fn reads_numbers_across_byte_borders() {
        let bytes = [0xff, 0x0a, 0xbc, 0xde, 0x12];
        assert_eq!(
            Value::read(Kind::Uint, &bytes, 12..24),
            Some(Value::Uint(0xabc))
        );
        assert_eq!(
            Value::read(Kind::Uint, &bytes, 8..40),
            Some(Value::Uint(0x0abc_de12))
        );
        assert_eq!(
            Value::read(Kind::Flag, &bytes, 12..13),
            Some(Value::Bool(true))
        );
        assert_eq!(
            Value::read(Kind::Flag, &bytes, 8..9),
            Some(Value::Bool(false))
        );
        assert_eq!(Value::read(Kind::Uint, &bytes, 32..48), None);
    }
}
