//! Reads layers in Scapy's spelling, `IP(dst="10.0.0.2")/TCP(dport=80)/b"x"`, into the words of our own notation.
//!
//! Lists become lists, tuples of two numbers ranges; TCP's options and the records of DNS become the words that write
//! them. What Scapy would decide anew for each packet, or by running Python, is refused with what to write instead.

mod records;

use super::parse::{Fault, Scan, Word, Written};
use records::records;

/// The deepest that values nest: a record in a list in a layer.
const DEEPEST: usize = 8;

/// A value of Python's.
enum Value {
    /// A number, a name, anything that is one word.
    Bare(String),
    /// Text in quotes: its bytes.
    Text(Vec<u8>),
    /// Text in quotes after `b`.
    Bytes(Vec<u8>),
    /// `None`: as if it was not there.
    Nothing,
    /// `[a, b]`.
    List(Vec<Self>),
    /// `(a, b)`.
    Tuple(Vec<Self>),
    /// `DNSQR(qname="x")/DNSQR()`: several calls with `/` between them.
    Calls(Vec<Call>),
}

/// `name(word=value, …)`.
struct Call {
    name: String,
    words: Vec<(String, Value)>,
}

/// What Scapy has and a packet written once has not: the beginning of its name, and what to write.
static REFUSED: &[(&str, &str)] = &[
    (
        "Padding",
        "write trailer=00ff as a field of the layer before it, or Raw(b\"\\x00\\xff\")",
    ),
    (
        "Rand",
        "write a number, a list such as [1,2], or a range such as (1024,65535)",
    ),
    (
        "fuzz",
        "write the values, or a payload such as random=100:7",
    ),
    (
        "sr",
        "give the packet alone to sockwire probe, which sends and prints the answer",
    ),
    ("send", "give the packet alone to sockwire send"),
    (
        "Net",
        "write the network itself, such as dst=\"10.0.0.0/30\"",
    ),
    (
        "fragment",
        "fragments are made when sending: write the whole packet",
    ),
    ("int", "write the number itself"),
    (
        "bytes",
        "write the bytes themselves, such as b\"\\x00\\xff\"",
    ),
];

/// How Scapy's names of TCP options are called here (its values are in the same order).
static TCP_OPTIONS: &[(&str, &str)] = &[
    ("MSS", "mss"),
    ("NOP", "nop"),
    ("EOL", "eol"),
    ("WScale", "ws"),
    ("SAckOK", "sackok"),
    ("SAck", "sack"),
    ("Timestamp", "ts"),
];

impl Scan<'_> {
    /// Bytes in quotes as a layer, when one begins here.
    pub(super) fn quoted_layer(&mut self) -> Result<Option<Written>, Fault> {
        let at = self.at;
        if !self.at_quote() {
            return Ok(None);
        }
        let (Value::Text(bytes) | Value::Bytes(bytes)) = self.string()? else {
            return Ok(None);
        };
        self.no_factor()?;
        Ok(Some(plain(&bytes, at, at)))
    }

    /// The layer called `name`, whose `(` comes next.
    pub(super) fn called_layer(&mut self, name: String, at: usize) -> Result<Written, Fault> {
        self.refuse(&name, at)?;
        let raw = name == "Raw";
        let mut layer = Written {
            name,
            at,
            words: Vec::new(),
        };
        self.at += 1;
        while self.argument_follows()? {
            let (word_at, name) = (self.at, self.name());
            self.spaces();
            if name.is_empty() || self.peek() != Some('=') || self.at_quote_from(word_at) {
                self.at = word_at;
                if !raw || !self.at_quote() {
                    return Err(Fault::new(
                        word_at,
                        1,
                        "expected a field's name and =, such as dst=\"10.0.0.2\"",
                    ));
                }
                let (Value::Text(bytes) | Value::Bytes(bytes)) = self.string()? else {
                    continue;
                };
                layer.words = plain(&bytes, at, word_at).words;
                continue;
            }
            self.at += 1;
            self.spaces();
            let value_at = self.at;
            let value = self.python(0)?;
            let place = Place {
                name: word_at,
                value: value_at,
                end: self.at,
            };
            match value {
                Value::Text(bytes) | Value::Bytes(bytes) if raw => {
                    layer.words = plain(&bytes, at, value_at).words
                }
                value => say(&name, value, &place, &mut layer.words)?,
            }
        }
        self.no_factor()?;
        if raw {
            layer.name = "hex".to_owned();
            if layer.words.is_empty() {
                layer.words = plain(&[], at, at).words;
            }
        }
        // The sections of a message come in their order, whatever that of the words.
        let section = |word: &Word| {
            ["qd", "an", "ns", "ar"]
                .iter()
                .position(|s| *s == word.name)
        };
        layer.words.sort_by_key(section);
        Ok(layer)
    }

    /// Whether another argument stands here; takes the comma before it, or the `)` at the end.
    fn argument_follows(&mut self) -> Result<bool, Fault> {
        self.spaces();
        while self.peek() == Some(',') {
            self.at += 1;
            self.spaces();
        }
        match self.peek() {
            Some(')') => {
                self.at += 1;
                Ok(false)
            }
            Some(_) => Ok(true),
            None => Err(Fault::new(self.at, 1, "expected )")),
        }
    }

    /// What would ask Scapy for several packets.
    fn no_factor(&mut self) -> Result<(), Fault> {
        self.spaces();
        match self.peek() {
            Some('*') => Err(Fault::new(
                self.at,
                1,
                "one specification is not repeated by *: give a list such as id=[1,2,3], or a count when sending",
            )),
            _ => Ok(()),
        }
    }

    fn refuse(&self, name: &str, at: usize) -> Result<(), Fault> {
        match REFUSED.iter().find(|(start, _)| name.starts_with(start)) {
            Some((_, instead)) => {
                let len = name.chars().count();
                Err(Fault::new(
                    at,
                    len,
                    format!("{name}() is not run here: {instead}"),
                ))
            }
            None => Ok(()),
        }
    }

    fn at_quote(&self) -> bool {
        self.at_quote_from(self.at)
    }

    /// Text begins at `at`, perhaps with a letter before its quote.
    fn at_quote_from(&self, at: usize) -> bool {
        let quote = |at: usize| matches!(self.chars.get(at), Some('"' | '\''));
        quote(at)
            || matches!(self.chars.get(at), Some('b' | 'r' | 'B' | 'R' | 'u')) && quote(at + 1)
    }

    fn python(&mut self, depth: usize) -> Result<Value, Fault> {
        let at = self.at;
        if depth > DEEPEST {
            return Err(Fault::new(at, 1, "values are nested too deep"));
        }
        if self.at_quote() {
            return self.string();
        }
        match self.peek() {
            Some('[') => Ok(Value::List(self.items(']', depth)?)),
            Some('(') => {
                let mut items = self.items(')', depth)?;
                // Brackets around one value are no tuple.
                match items.pop() {
                    Some(one) if items.is_empty() => Ok(one),
                    last => {
                        items.extend(last);
                        Ok(Value::Tuple(items))
                    }
                }
            }
            _ => self.bare(depth),
        }
    }

    fn items(&mut self, close: char, depth: usize) -> Result<Vec<Value>, Fault> {
        self.at += 1;
        let mut items = Vec::new();
        loop {
            self.spaces();
            match self.peek() {
                Some(c) if c == close => {
                    self.at += 1;
                    return Ok(items);
                }
                Some(',') => self.at += 1,
                Some(_) => items.push(self.python(depth + 1)?),
                None => return Err(Fault::new(self.at, 1, format!("expected {close}"))),
            }
        }
    }

    /// A number, a constant, or calls.
    fn bare(&mut self, depth: usize) -> Result<Value, Fault> {
        let at = self.at;
        if self.peek() == Some('-') {
            return Err(Fault::new(at, 1, "expected a number that is not below 0"));
        }
        let name = self.name();
        if name.is_empty() {
            return Err(Fault::new(
                at,
                1,
                "expected a number, text in quotes, [a,b] or (first,last)",
            ));
        }
        if self.peek() != Some('(') {
            return Ok(match name.as_str() {
                "None" => Value::Nothing,
                "True" => Value::Bare("1".to_owned()),
                "False" => Value::Bare("0".to_owned()),
                _ if name.starts_with(|c: char| c.is_ascii_digit()) => Value::Bare(name),
                _ => {
                    let len = name.chars().count();
                    let message = format!(
                        "{name} is a name of Python's: expected a number or text in quotes"
                    );
                    return Err(Fault::new(at, len, message));
                }
            });
        }
        let mut calls = vec![self.call(name, at, depth)?];
        loop {
            self.spaces();
            if self.peek() != Some('/') {
                return Ok(Value::Calls(calls));
            }
            self.at += 1;
            self.spaces();
            let (at, name) = (self.at, self.name());
            if self.peek() != Some('(') {
                return Err(Fault::new(
                    at,
                    name.chars().count().max(1),
                    "expected another record, such as DNSRR(…)",
                ));
            }
            calls.push(self.call(name, at, depth)?);
        }
    }

    fn call(&mut self, name: String, at: usize, depth: usize) -> Result<Call, Fault> {
        self.refuse(&name, at)?;
        let mut words = Vec::new();
        self.at += 1;
        while self.argument_follows()? {
            let (at, word) = (self.at, self.name());
            self.spaces();
            if word.is_empty() || self.peek() != Some('=') {
                return Err(Fault::new(
                    at,
                    1,
                    "expected a field's name and =, such as qname=\"example.com\"",
                ));
            }
            self.at += 1;
            self.spaces();
            words.push((word, self.python(depth + 1)?));
        }
        self.no_factor()?;
        Ok(Call { name, words })
    }

    /// Text in quotes; pieces that follow each other are one, as in Python.
    fn string(&mut self) -> Result<Value, Fault> {
        let (mut bytes, mut is_bytes) = (Vec::new(), false);
        while self.at_quote() {
            let (mut raw, start) = (false, self.at);
            if let Some(letter) = self.peek().filter(char::is_ascii_alphabetic) {
                raw = letter.eq_ignore_ascii_case(&'r');
                is_bytes |= letter.eq_ignore_ascii_case(&'b');
                self.at += 1;
            }
            let quote = self.peek();
            self.at += 1;
            loop {
                let c = self
                    .peek()
                    .ok_or_else(|| Fault::new(start, 1, "the quote is not closed"))?;
                if Some(c) == quote {
                    self.at += 1;
                    break;
                }
                if c == '\\' && !raw {
                    self.escape(&mut bytes)?;
                    continue;
                }
                self.at += 1;
                bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            }
            self.spaces();
        }
        Ok(if is_bytes {
            Value::Bytes(bytes)
        } else {
            Value::Text(bytes)
        })
    }

    /// What stands after a backslash.
    fn escape(&mut self, out: &mut Vec<u8>) -> Result<(), Fault> {
        let at = self.at;
        let kind = self.chars.get(at + 1).copied().unwrap_or('\0');
        self.at += 2;
        let plain = match kind {
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'a' => '\x07',
            'b' => '\x08',
            'f' => '\x0c',
            'v' => '\x0b',
            '\\' | '\'' | '"' => kind,
            '\n' => return Ok(()),
            '0'..='7' => {
                self.at -= 1;
                let start = self.at;
                while self.at < start + 3 && self.peek().is_some_and(|c| c.is_digit(8)) {
                    self.at += 1;
                }
                let digits: String = self.chars[start..self.at].iter().collect();
                let value = u32::from_str_radix(&digits, 8).unwrap_or(0);
                out.push(value as u8);
                return Ok(());
            }
            'x' => {
                let digits: Option<String> = self
                    .chars
                    .get(self.at..self.at + 2)
                    .map(|d| d.iter().collect());
                let wrong = || Fault::new(at, 2, "after \\x come two hexadecimal digits");
                let digits = digits.filter(|d| d.chars().all(|c| c.is_ascii_hexdigit()));
                let value = digits
                    .and_then(|d| u8::from_str_radix(&d, 16).ok())
                    .ok_or_else(wrong)?;
                self.at += 2;
                // In text it is a character below 256, which Scapy writes as that byte.
                out.push(value);
                return Ok(());
            }
            // Python keeps what it does not know.
            _ => {
                out.push(b'\\');
                self.at = at + 1;
                return Ok(());
            }
        };
        out.push(plain as u8);
        Ok(())
    }
}

/// A layer of plain bytes.
fn plain(bytes: &[u8], at: usize, value_at: usize) -> Written {
    let value = Some(hex::encode(bytes));
    let word = Word {
        name: "hex".to_owned(),
        at,
        value,
        value_at,
        value_len: 1,
    };
    Written {
        name: "hex".to_owned(),
        at,
        words: vec![word],
    }
}

/// Columns of a word: its name, its value, and its end.
struct Place {
    name: usize,
    value: usize,
    end: usize,
}

impl Place {
    fn fault(&self, message: &str) -> Fault {
        Fault::new(self.value, self.end - self.value, message)
    }

    fn word(&self, name: &str, value: Option<String>) -> Word {
        Word {
            name: name.to_owned(),
            at: self.name,
            value,
            value_at: self.value,
            value_len: self.end - self.value,
        }
    }
}

/// Appends the words for one argument.
fn say(name: &str, value: Value, place: &Place, out: &mut Vec<Word>) -> Result<(), Fault> {
    let value = match value {
        Value::Nothing => return Ok(()),
        Value::List(items) if name == "options" => return options(items, place, out),
        Value::Calls(calls) => return records(name, calls, place, out),
        Value::List(items) if matches!(name, "qd" | "an" | "ns" | "ar") => {
            for item in items {
                let Value::Calls(calls) = item else {
                    return Err(
                        place.fault("expected records, such as DNSRR(rrname=\"example.com\")")
                    );
                };
                records(name, calls, place, out)?;
            }
            return Ok(());
        }
        value => value,
    };
    let mut text = String::new();
    flat(value, place, &mut text)?;
    out.push(place.word(name, Some(text)));
    Ok(())
}

/// Appends a value as our own notation has it.
fn flat(value: Value, place: &Place, out: &mut String) -> Result<(), Fault> {
    match value {
        Value::Bare(text) => out.push_str(&text),
        Value::Text(bytes) => out.push_str(&String::from_utf8_lossy(&bytes)),
        Value::Bytes(bytes) => out.push_str(&hex::encode(bytes)),
        Value::List(items) if items.is_empty() => {
            return Err(place.fault("expected a value in the list"));
        }
        Value::List(items) => {
            for (index, item) in items.into_iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                flat(item, place, out)?;
            }
        }
        Value::Tuple(items) => match <[Value; 2]>::try_from(items) {
            Ok([first @ Value::Bare(_), last @ Value::Bare(_)]) => {
                flat(first, place, out)?;
                out.push_str("..");
                flat(last, place, out)?;
            }
            _ => return Err(place.fault("expected two numbers, the first and the last of a range")),
        },
        Value::Nothing => return Err(place.fault("None stands for a whole value only")),
        Value::Calls(_) => return Err(place.fault("expected a value, not a layer")),
    }
    Ok(())
}

/// The options of TCP: pairs of name and value.
fn options(items: Vec<Value>, place: &Place, out: &mut Vec<Word>) -> Result<(), Fault> {
    for item in items {
        let wrong = || place.fault("expected pairs of name and value, such as (\"MSS\",1460)");
        let (name, value) = match item {
            Value::Tuple(pair) => {
                let [name, value] = <[Value; 2]>::try_from(pair).map_err(|_| wrong())?;
                (name, value)
            }
            name => (name, Value::Nothing),
        };
        let data = match value {
            Value::Nothing => None,
            Value::Bytes(bytes) | Value::Text(bytes) => {
                Some(hex::encode(bytes)).filter(|d| !d.is_empty())
            }
            Value::Tuple(items) | Value::List(items) => {
                let numbers: Option<Vec<String>> = items.into_iter().map(bare).collect();
                Some(numbers.ok_or_else(wrong)?.join(":"))
            }
            value => Some(bare(value).ok_or_else(wrong)?),
        };
        let (word, data) = match name {
            Value::Text(name) => {
                let known = TCP_OPTIONS
                    .iter()
                    .find(|(scapy, _)| scapy.as_bytes() == name);
                let name = String::from_utf8_lossy(&name).into_owned();
                (known.map_or(name, |(_, word)| (*word).to_owned()), data)
            }
            // An option by its number.
            Value::Bare(kind) => (
                "opt".to_owned(),
                Some(format!("{kind}:{}", data.unwrap_or_default())),
            ),
            _ => return Err(wrong()),
        };
        out.push(place.word(&word, data));
    }
    Ok(())
}

fn bare(value: Value) -> Option<String> {
    match value {
        Value::Bare(text) => Some(text),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use crate::craft::{Built, NoFiles, NoRoute, Spec};

    fn built(text: &str) -> Vec<u8> {
        let spec = Spec::parse(text, &NoFiles).unwrap_or_else(|error| panic!("{error}"));
        let mut built = Built::default();
        spec.build(0, &NoRoute, &mut built);
        built.bytes
    }

    /// The fault's message, and the text under the caret.
    fn fault(text: &str) -> (String, String) {
        let error = Spec::parse(text, &NoFiles).expect_err(text);
        let under = text.chars().skip(error.at).take(error.len).collect();
        (error.message, under)
    }

    #[test]
    fn both_spellings_give_the_same_bytes() {
        let ip = "ip src=10.0.0.1 dst=10.0.0.2";
        for (scapy, own) in [
            (
                r#"IP(src='10.0.0.1', dst="10.0.0.2", ttl=5)/TCP(sport=1,dport=0x50,seq=1,flags="S",options=[("MSS",1460),("SAckOK",b""),("NOP",None),("Timestamp",(1,0)),("WScale",7)])/b"x""#,
                "ip src=10.0.0.1 dst=10.0.0.2 ttl=5 / tcp sport=1 dport=80 seq=1 flags=S mss=1460 sackok nop ts=1:0 ws=7 / text=x",
            ),
            (
                r#"Raw(load=b"\x00\n\101") / "a\"b" 'c'"#,
                "hex=000a41 / hex=61226263",
            ),
            (r#"Raw("x")/r"\n""#, "hex=78 / hex=5c6e"),
            ("Dot1Q(vlan=5, prio=None)", "vlan vlan=5"),
            (
                r#"DNS(id=1,an=DNSRR(rrname="a.b",type="A",ttl=9,rdata="192.0.2.1"),qd=[DNSQR(qname="a.b")])"#,
                "dns id=1 qd=a.b. an=a.b.:A:9:192.0.2.1",
            ),
        ] {
            assert_eq!(
                hex::encode(built(scapy)),
                hex::encode(built(own)),
                "{scapy}"
            );
        }
        let mixed = format!(r#"{ip}/UDP(sport=1,dport=2)/text=hi"#);
        assert_eq!(
            built(&mixed),
            built(&format!("{ip}/udp udp.srcport=1 udp.dstport=2 / text=hi"))
        );
    }

    #[test]
    fn lists_and_ranges_are_products() {
        let count = |text| Spec::parse(text, &NoFiles).unwrap().count();
        assert_eq!(
            count(r#"IP(dst="10.0.0.0/30",ttl=[1,2,(5,7)])/UDP(dport=(1,10))"#),
            4 * 5 * 10
        );
        assert_eq!(
            count("ip dst=10.0.0.0/30,10.0.1.0/31/udp dport=1..10"),
            6 * 10
        );
    }

    #[test]
    fn faults_point_into_the_text() {
        for (text, message, under) in [
            (r#"IP(dst="10.0.0.300")"#, "IPv4 address", r#""10.0.0.300""#),
            (r#"IP(ttl=[1,999])"#, "at most 255", "[1,999]"),
            (r#"IP(tll=4)"#, "did you mean ttl", "tll"),
            ("IPx()", "no layer IPx", "IPx"),
            ("IP(id=RandShort())", "RandShort() is not run", "RandShort"),
            ("fuzz(IP())", "fuzz() is not run", "fuzz"),
            ("IP()*3", "not repeated", "*"),
            ("IP(id=x)", "a name of Python's", "x"),
            (r#"IP("10.0.0.1")"#, "a field's name", "\""),
            ("IP(id=-1)", "not below 0", "-"),
            ("IP(id=1", "expected )", ""),
            (r#"IP()/"x"#, "not closed", "\""),
            (
                r#"DNS(qd=DNSQR(what=1))"#,
                "DNSQR has no what",
                "DNSQR(what=1)",
            ),
            (r#"IP(dst="é")/UDP(sprt=1)"#, "IPv4 address", "\"é\""),
        ] {
            let (said, at) = fault(text);
            assert!(said.contains(message), "{text}: {said}");
            assert_eq!(at, under, "{text}");
        }
    }

    #[test]
    fn hostile_texts_end() {
        for text in [
            format!("IP(id={}", "[".repeat(1_000_000)),
            format!("IP(id={}", "(".repeat(1_000_000)),
            format!("IP(id=[{}])", ",".repeat(1_000_000)),
            format!("IP({})", ",".repeat(1_000_000)),
            format!("IP(id=[{}])", "1,".repeat(300_000)),
            format!("DNS(qd={})", "DNSQR(qd=".repeat(100_000)),
            format!("Raw(\"{}", "\\".repeat(1_000_000)),
            format!("ip dst={}", "10.0.0.1/8,".repeat(80_000)),
            "\"".repeat(1_000_000),
        ] {
            let _ = Spec::parse(&text, &NoFiles);
        }
    }
}
