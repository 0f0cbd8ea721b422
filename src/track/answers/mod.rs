//! The questions of networking labs, answered from a capture: a sentence, the arithmetic, and the packets that prove it.
//!
//! ```text
//!  evidence  what is gathered in one pass                      records  what is kept of each packet
//!  opening   the handshake and what follows from it           shot     single packets, field by field
//!  sending   round trips, windows, loss, throughput           closing  who ended it, and why
//!  packets   single packets, datagrams, errors, fragments     words    the sentences
//! ```
//!
//! A question is a row of [`QUESTIONS`]. Nothing here reads packets again: what [`Evidence`] holds is all there is.

mod closing;
mod evidence;
mod opening;
mod packets;
mod records;
mod sending;
mod shot;
#[cfg(test)]
mod tests;
mod words;

use std::net::SocketAddr;

pub use evidence::{Evidence, Want};
pub(in crate::track) use packets::unanswered;
pub(in crate::track) use records::{Connection, Segment};
pub(in crate::track) use words::Ms;

/// A lab question.
pub struct Question {
    /// Its short name: `handshake`.
    pub name: &'static str,
    /// What has to be given with it.
    pub takes: Takes,
    /// The question in words.
    pub words: &'static str,
    /// What a capture must hold to answer it.
    pub needs: &'static str,
    method: Method,
}

/// What has to be given with a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Takes {
    /// Nothing.
    Nothing,
    /// A text to look for.
    Text,
    /// So many packet numbers.
    Numbers(usize),
}

/// How a question is answered.
enum Method {
    /// From one TCP connection: the one asked for, else the first that can answer.
    Connection(fn(&Connection, &Ask) -> Found),
    /// From the whole capture.
    Capture(fn(&Evidence, &Ask) -> Found),
    /// Not from a capture; where to ask instead.
    Elsewhere(&'static str),
}

/// A question as it was asked.
#[derive(Clone, Debug)]
pub struct Ask {
    /// The `tcp.stream` that it is about.
    pub stream: Option<u32>,
    /// Packet numbers.
    pub numbers: Vec<u64>,
    /// A text to look for.
    pub text: Option<String>,
    /// The most rows of a table.
    pub rows: usize,
}

impl Default for Ask {
    fn default() -> Self {
        Self {
            stream: None,
            numbers: Vec::new(),
            text: None,
            rows: 10,
        }
    }
}

impl Ask {
    /// What has to be gathered to answer it.
    pub fn want(&self) -> Want {
        let text = self.text.iter().map(|text| text.clone().into_bytes());
        Want {
            stream: self.stream,
            numbers: self.numbers.clone(),
            texts: text.collect(),
            problems: false,
        }
    }
}

/// An answer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Answer {
    /// The TCP connection that it is about: number, client, server.
    pub connection: Option<(u32, SocketAddr, SocketAddr)>,
    /// One or two sentences. Safe to show.
    pub says: String,
    /// How that comes about, line by line; tables have aligned columns. Safe to show.
    pub steps: Vec<String>,
    /// The packets that prove it.
    pub packets: Vec<u64>,
    /// The values in it, by name.
    pub values: Vec<(&'static str, Datum)>,
}

/// A value of an answer.
#[derive(Clone, Debug, PartialEq)]
pub enum Datum {
    /// A number.
    Number(u64),
    /// A number with decimals.
    Ratio(f64),
    /// Nanoseconds.
    Span(i64),
    /// True or false.
    Flag(bool),
    /// Text. Safe to show.
    Text(String),
    /// Several of them.
    List(Vec<Self>),
}

macro_rules! datum {
    ($($from:ty, $value:ident => $to:expr;)*) => {
        $(impl From<$from> for Datum {
            fn from($value: $from) -> Self {
                $to
            }
        })*
    };
}

datum! {
    u64, n => Self::Number(n);
    u32, n => Self::Number(n.into());
    u16, n => Self::Number(n.into());
    u8, n => Self::Number(n.into());
    usize, n => Self::Number(n as u64);
    f64, n => Self::Ratio(n);
    bool, flag => Self::Flag(flag);
    &str, text => Self::Text(text.to_owned());
    String, text => Self::Text(text);
    Ms, span => Self::Span(span.0);
    Vec<Self>, list => Self::List(list);
}

/// An answer, or in words why this capture has none.
pub type Found = Result<Answer, String>;

impl Answer {
    fn new(says: String) -> Self {
        Self {
            says,
            ..Self::default()
        }
    }

    fn step(mut self, step: String) -> Self {
        self.steps.push(step);
        self
    }

    fn proof(mut self, packets: impl IntoIterator<Item = u64>) -> Self {
        self.packets.extend(packets);
        self.packets.sort_unstable();
        self.packets.dedup();
        self
    }

    fn value(mut self, name: &'static str, value: impl Into<Datum>) -> Self {
        self.values.push((name, value.into()));
        self
    }
}

const fn connection(
    name: &'static str,
    words: &'static str,
    needs: &'static str,
    answer: fn(&Connection, &Ask) -> Found,
) -> Question {
    Question {
        name,
        takes: Takes::Nothing,
        words,
        needs,
        method: Method::Connection(answer),
    }
}

const fn capture(
    name: &'static str,
    takes: Takes,
    words: &'static str,
    needs: &'static str,
    answer: fn(&Evidence, &Ask) -> Found,
) -> Question {
    Question {
        name,
        takes,
        words,
        needs,
        method: Method::Capture(answer),
    }
}

const fn elsewhere(name: &'static str, words: &'static str, instead: &'static str) -> Question {
    Question {
        name,
        takes: Takes::Nothing,
        words,
        needs: "the program's calls",
        method: Method::Elsewhere(instead),
    }
}

const TRACE: &str = "a capture knows packets, not the calls that caused them";

/// Every question.
#[rustfmt::skip]
pub static QUESTIONS: &[Question] = &[
    connection("isn", "What are the two initial sequence numbers?", "a SYN", opening::isn),
    connection("handshake", "Which three packets are the handshake, and what ties each ack to a seq?", "a handshake", opening::handshake),
    capture("which-segment", Takes::Text, "Which segment carries this text?", "data", packets::which_segment),
    connection("handshake-rtt", "How long did the handshake take, and which half was seen from here?", "a handshake", opening::handshake_rtt),
    connection("rtt", "What are SampleRTT, EstimatedRTT, DevRTT and RTO, segment by segment?", "an acknowledged segment", sending::rtt),
    connection("in-flight", "How many bytes are in flight: at most, and over time?", "data", sending::in_flight),
    connection("window", "What is the window, scaled: its least, was it ever 0, did it limit the sender?", "a segment with ACK", sending::window),
    connection("options", "What did each side offer, and what is in force?", "a SYN", opening::options),
    connection("retransmissions", "Which segments are retransmissions, of what, and why?", "data", sending::retransmissions),
    connection("throughput", "What are throughput and goodput, from which packet to which?", "data over some time", sending::throughput),
    connection("slow-start", "Where does slow start end?", "data over three round trips", sending::slow_start),
    connection("acks", "How much does one ACK cover, and are ACKs delayed?", "acknowledged data", sending::acks),
    connection("who-closed", "Who closed first, how, and who holds TIME-WAIT?", "a FIN or RST", closing::who_closed),
    connection("why-reset", "Why was there a RST?", "a RST", closing::why_reset),
    connection("segments-of-response", "How many data segments carried the first response?", "data both ways", sending::response),
    capture("dns", Takes::Nothing, "Which SYN goes to an address from which DNS answer?", "a DNS answer and a SYN", packets::dns),
    capture("udp", Takes::Nothing, "Which UDP reply, or ICMP error, belongs to which datagram?", "a UDP datagram", packets::udp),
    capture("checksum", Takes::Numbers(1), "Is the checksum of packet N right, wrong or not yet filled in?", "packet N", packets::checksum),
    capture("diff", Takes::Numbers(2), "Which fields differ between packets N and M, and which must?", "packets N and M", packets::diff),
    capture("fragments", Takes::Nothing, "Which fragments form the datagram, and what is missing?", "a fragment", packets::fragments),
    capture("hops", Takes::Nothing, "How many hops away is it, and what is the RTT of each?", "ICMP time exceeded", packets::hops),
    capture("nat", Takes::Nothing, "What did the NAT change?", "both sides of the NAT", packets::nat),
    elsewhere("which-call", "Which process, descriptor and system call made this segment?", TRACE),
    elsewhere("writes", "How did n writes become m segments?", TRACE),
    connection("next-segment", "What seq, ack and ports must the next segment have?", "an open connection", opening::next_segment),
];

/// The question of this name.
pub fn find(name: &str) -> Option<&'static Question> {
    QUESTIONS.iter().find(|question| question.name == name)
}

impl Question {
    /// Answers it from `evidence`, which was gathered as [`Ask::want`] says.
    ///
    /// # Errors
    /// In words, why this capture has no answer.
    pub fn answer(&self, evidence: &Evidence, ask: &Ask) -> Found {
        match self.method {
            Method::Connection(answer) => of_connections(evidence, ask, answer),
            Method::Capture(answer) => answer(evidence, ask),
            Method::Elsewhere(instead) => Err(instead.to_owned()),
        }
    }

    /// Whether it could be answered, whatever is given with it.
    ///
    /// # Errors
    /// In words, why not.
    pub fn is_answerable(&self, evidence: &Evidence) -> Result<(), String> {
        match self.takes {
            Takes::Nothing => self.answer(evidence, &Ask::default()).map(drop),
            Takes::Text if evidence.carries_data() => Ok(()),
            Takes::Text => Err(words::NO_DATA.to_owned()),
            Takes::Numbers(count) if evidence.packets >= count as u64 => Ok(()),
            Takes::Numbers(_) => Err(words::too_few(evidence.packets)),
        }
    }
}

/// The connection that was asked for, else the first that can answer; the reason is that of the first one.
fn of_connections(evidence: &Evidence, ask: &Ask, answer: fn(&Connection, &Ask) -> Found) -> Found {
    let mut why = None;
    for connection in &evidence.connections {
        match answer(connection, ask) {
            Ok(mut found) => {
                let [client, server] = connection.ends;
                found.connection = Some((connection.stream, client, server));
                return Ok(found);
            }
            Err(reason) => {
                why.get_or_insert((connection.stream, reason));
            }
        }
    }
    Err(match (why, ask.stream) {
        (Some((_, reason)), _) if evidence.connections.len() == 1 => reason,
        (Some((stream, reason)), _) => words::of_all(evidence.connections.len(), stream, &reason),
        (None, Some(stream)) => words::no_stream(stream),
        (None, None) => words::NO_TCP.to_owned(),
    })
}

impl Evidence {
    /// The capture has the connection and the packets that `ask` names.
    pub fn has(&self, ask: &Ask) -> bool {
        let stream = |wanted| self.connections.iter().any(|c| c.stream == wanted);
        ask.stream.is_none_or(stream) && ask.numbers.iter().all(|&n| n <= self.packets)
    }

    fn carries_data(&self) -> bool {
        let mut segments = self.connections.iter().flat_map(|c| &c.segments);
        !self.datagrams.is_empty() || segments.any(|segment| segment.len > 0)
    }
}
