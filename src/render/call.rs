//! Socket calls as text, in the spelling of C, Python or Java. What was asked and what came back are two pieces of one line,
//! so that a call is seen as soon as it is made.

mod c;
mod java;
mod lines;
mod python;
mod sockaddr;
#[cfg(test)]
mod tests;
pub mod traced;

pub use lines::{Lines, Options};
use unicode_width::UnicodeWidthStr as _;

use crate::{
    call::{Address, Answer, Call, Called, Data},
    text::Safe,
    time::MILLISECOND,
    track::story::Span,
};

/// In whose words calls are shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Language {
    /// The system's own calls, as their manual pages write them.
    #[default]
    C,
    /// Methods of `socket.socket`.
    Python,
    /// Channels of `java.nio.channels`, whose methods are one call each, as those of `java.net.Socket` are not.
    Java,
}

/// Columns for data within a line; longer data is cut.
const DATA: usize = 32;

/// Descriptors that a line lists; the others are counted.
const LISTED: usize = 8;

/// A call shorter than this did not wait for anybody, in nanoseconds.
const WAITED: i64 = MILLISECOND;

impl Language {
    /// The call with its arguments: `recv(3, buffer, 1024, 0)`.
    pub fn asked(self, call: &Call) -> String {
        match self {
            Self::C => c::asked(call),
            Self::Python => python::asked(call),
            Self::Java => java::asked(call),
        }
    }

    /// What stands behind the call when it has returned: ` = 6 "hello\n"`, and how long it blocked, if that is long.
    pub fn answered(self, called: &Called) -> String {
        let mut text = match (self, &called.result) {
            (Self::C, Ok(answer)) => format!(" = {}", c::answer(answer)),
            (Self::C, Err(error)) => format!(" = {}", c::error(&called.call, *error)),
            (Self::Python, Ok(answer)) => gives(&python::answer(answer)),
            (Self::Python, Err(error)) => {
                format!(" raises {}", python::error(&called.call, *error))
            }
            (Self::Java, Ok(answer)) => gives(&java::answer(&called.call, answer)),
            (Self::Java, Err(error)) => format!(" throws {}", java::error(&called.call, *error)),
        };
        if called.took >= WAITED && waits(&called.call) {
            text.push_str(&format!("  blocked {}", Span(called.took)));
        }
        text
    }

    /// The whole line, without a line feed.
    pub fn line(self, called: &Called) -> String {
        self.asked(&called.call) + &self.answered(called)
    }
}

/// What was asked without its arguments, which tells a call from others that have not returned either: `recv`.
fn name(asked: &str) -> &str {
    asked.split('(').next().unwrap_or(asked)
}

/// The bytes of each `sockaddr` that the call took or gave, and what they mean, in lines that are set in.
pub fn sockaddrs(called: &Called) -> String {
    addresses(called).map(sockaddr_of).collect()
}

/// The same of one address.
pub fn sockaddr_of(address: &Address) -> String {
    let mut text = String::new();
    sockaddr::explain(address, &mut text);
    text
}

/// Calls that may wait for somebody else; that others take long is the machine's affair.
const fn waits(call: &Call) -> bool {
    !matches!(
        call,
        Call::Socket { .. }
            | Call::SetSockOpt { .. }
            | Call::Bind { .. }
            | Call::Listen { .. }
            | Call::Shutdown { .. }
            | Call::Close { .. }
            | Call::GetSockName { .. }
            | Call::GetPeerName { .. }
            | Call::Fork
    )
}

/// Addresses that crossed the border to the kernel, either way.
fn addresses(called: &Called) -> impl Iterator<Item = &Address> {
    let asked = match &called.call {
        Call::Bind { address, .. } | Call::Connect { address, .. } => Some(address),
        Call::SendTo { to, .. } => Some(to),
        _ => None,
    };
    let answered = match &called.result {
        Ok(
            Answer::Accepted(_, address)
            | Answer::Datagram(_, address, _)
            | Answer::Address(address),
        ) => Some(address),
        _ => None,
    };
    asked.into_iter().chain(answered)
}

/// ` -> 6`; nothing where there is nothing to give.
fn gives(answer: &str) -> String {
    match answer {
        "" => String::new(),
        answer => format!(" -> {answer}"),
    }
}

/// Data between quotes, escaped by `escape`; what was cut shows as three dots.
fn quoted(data: &Data, escape: fn(&[u8]) -> String) -> String {
    quoted_in(data, DATA, escape)
}

/// The same in so many columns between the quotes.
fn quoted_in(data: &Data, columns: usize, escape: fn(&[u8]) -> String) -> String {
    // No character of several bytes is cut in two.
    let is_border = |&len: &usize| data.head.get(len).is_none_or(|byte| byte & 0xc0 != 0x80);
    let shown = (0..=data.head.len().min(columns))
        .rev()
        .filter(is_border)
        .map(|len| (len, escape(&data.head[..len])))
        .find(|(_, text)| text.width() <= columns);
    let (len, text) = shown.unwrap_or_default();
    let dots = if len < data.len { "..." } else { "" };
    format!("\"{text}\"{dots}")
}

/// The same, with its characters as they are.
fn text(data: &Data) -> String {
    quoted(data, readable)
}

/// What stands behind a datagram that was longer than the buffer.
const fn rest(cut: bool) -> &'static str {
    if cut { " (the rest is cut)" } else { "" }
}

/// A number, or -1, which stands for any process and for ever.
fn or_any(number: Option<u32>) -> String {
    number.map_or(-1, i64::from).to_string()
}

/// Characters as they are, apart from those that would end the text or move the cursor.
fn readable(bytes: &[u8]) -> String {
    Safe(bytes).to_string().replace('"', "\\\"")
}

/// Descriptors, each as `spell` says, between commas; the last of many only counted.
fn list<T>(of: &[T], spell: impl Fn(&T) -> String) -> String {
    let mut words: Vec<String> = of.iter().take(LISTED).map(spell).collect();
    if of.len() > LISTED {
        words.push(format!("and {} more", of.len() - LISTED));
    }
    words.join(", ")
}
