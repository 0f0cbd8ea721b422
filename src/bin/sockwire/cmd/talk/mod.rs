//! How the ordinary programs show what they do: what they have to say, and on request each socket call and the packets.
//!
//! ```text
//!  beside    calls alone, as the program makes them        timeline  calls, packets and words in order of time
//!  wire      calls and the packets of an interface         own       which conversations are the program's
//!  lab       both ends in a private network                peer      the other end there
//!  speech    the program's own words                   kind      what is spoken
//! ```

mod beside;
mod kind;
mod lab;
mod own;
mod peer;
mod speech;
mod timeline;
mod wire;

use std::{io::IsTerminal as _, net::IpAddr};

use clap::ValueEnum;
use sockwire::{
    call::Family,
    lab::{Host, PRIVATE_IPV4, PRIVATE_IPV6},
    render::call::{Language, Options},
    sockets::{Journal, Told},
};

use self::speech::Speech;
pub(crate) use self::{
    kind::{KINDS, Kind, unix_address},
    peer::{chat, echo, get, hello, receive, web},
};
use super::{Exit, Failure, Global, Outcome, lab::Cable, usage};

/// A server or client as a command runs it. It opens its sockets with the journal.
pub(crate) type Program = Box<dyn FnOnce(&Journal) -> Outcome + Send>;

/// Puts what a program tells, calls aside, into lines or bytes for standard output. It may run in another process than the
/// program.
pub(crate) type Words = Box<dyn FnMut(&Told) -> Vec<u8> + Send>;

/// What to show beside a program. Everything of it goes to stderr.
#[derive(clap::Args, Clone, Debug)]
#[command(next_help_heading = "Calls and packets, on stderr")]
pub(crate) struct Watching {
    /// Shows each socket call with its result and how long it blocked, in the spelling of c (unless said), python or java
    #[arg(long, value_name = "LANGUAGE", num_args = 0..=1, require_equals = true, default_missing_value = "c")]
    calls: Option<LanguageWord>,
    /// With the bytes of each socket address
    #[arg(short = 'x')]
    bytes: bool,
    /// Calls, and between them the packets that they cause; needs the right to capture
    #[arg(long)]
    wire: bool,
    /// Calls and packets with both ends in a private network; no right needed
    #[arg(long)]
    lab: bool,
    #[command(flatten)]
    cable: Cable,
}

/// The words for [`Language`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LanguageWord {
    C,
    Python,
    Java,
}

impl From<LanguageWord> for Language {
    fn from(word: LanguageWord) -> Self {
        match word {
            LanguageWord::C => Self::C,
            LanguageWord::Python => Self::Python,
            LanguageWord::Java => Self::Java,
        }
    }
}

/// Which end of a conversation a program is, and over what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// A client, or a server.
    pub(crate) host: Host,
    /// The family of its sockets.
    pub(crate) family: Family,
}

impl Place {
    /// Addresses of client and server in a private network.
    pub(crate) fn addresses(self) -> [IpAddr; 2] {
        match self.family {
            Family::Inet6 => PRIVATE_IPV6,
            Family::Inet | Family::Unix => PRIVATE_IPV4,
        }
    }
}

impl Watching {
    /// Both ends are to run in a private network: a client goes to the server's address of [`Place::addresses`].
    pub(crate) const fn lab(&self) -> bool {
        self.lab
    }

    /// Runs `program`. `other` makes the program at the other end, for a network of their own.
    pub(crate) fn run(
        &self,
        global: &Global,
        place: Place,
        program: Program,
        other: impl FnOnce() -> Program,
        words: Words,
    ) -> Outcome {
        if !self.lab && self.cable.is_asked() {
            return Err(usage(
                "--delay, --loss, --drop and the wire's other options are about a private network: add --lab",
            ));
        }
        // The programs of Unix sockets are on one host in any case, and what they send is no packet.
        let speech = Speech::new(words)?;
        let fault = speech.fault();
        fault.or(match (place.family, self.lab, self.wire) {
            (Family::Unix, ..) | (_, false, false) => beside::run(self, global, program, speech),
            (_, true, _) => lab::run(self, global, place, [program, other()], speech),
            (_, false, true) => wire::run(self, global, program, speech),
        })
    }

    /// Calls are to be shown.
    const fn shows_calls(&self) -> bool {
        self.calls.is_some() || self.bytes || self.wire || self.lab
    }

    /// How calls are shown; `live` piece by piece, as they are made.
    fn options(&self, global: &Global, live: bool) -> Options {
        Options {
            language: self.calls.map(Language::from).unwrap_or_default(),
            bytes: self.bytes,
            ascii: global.ascii,
            rewrite: live && std::io::stderr().is_terminal(),
        }
    }
}
