//! Calls in the order in which they happen: one that waits is seen at once, and its line goes on when it returns, unless
//! something else was shown in between.

use std::collections::BTreeMap;

use super::{Language, name, sockaddrs};
use crate::{
    call::{Call, Called, Caller, Family},
    text::ascii,
};

/// How calls are shown.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// In whose words.
    pub language: Language,
    /// With the bytes of each `sockaddr`.
    pub bytes: bool,
    /// ASCII characters only.
    pub ascii: bool,
    /// The text goes to a terminal piece by piece: a line that goes on is written anew, since keys may have been echoed
    /// behind its first piece.
    pub rewrite: bool,
}

/// Writes calls line by line. Every text that it gets is made safe to show.
#[derive(Debug)]
pub struct Lines {
    options: Options,
    /// The first caller; lines name theirs once there is another one.
    first: Option<Caller>,
    several: bool,
    /// Somebody else writes to the same place, unseen: no line stays open.
    apart: bool,
    /// Whose call has the last line, which has no end yet, and its name.
    open: Option<(Caller, String)>,
    /// Calls that have not returned and whose line has ended, by thread.
    unfinished: BTreeMap<u32, String>,
    /// It has been said that Unix sockets send no packets.
    is_told_of_unix: bool,
}

const UNFINISHED: &str = " <unfinished ...>\n";

impl Lines {
    /// Nothing has been called yet.
    pub const fn new(options: Options) -> Self {
        Self {
            options,
            first: None,
            several: false,
            apart: false,
            open: None,
            unfinished: BTreeMap::new(),
            is_told_of_unix: false,
        }
    }

    /// From now on others write to the same place, as after a fork: each call names its caller, and no line stays open.
    pub const fn share(&mut self) {
        (self.several, self.apart) = (true, true);
    }

    /// A call has been made that may block. `before` stands before it on its line: a time, a host.
    pub fn began(&mut self, before: &str, by: Caller, call: &Call, out: &mut String) {
        self.interrupt(out);
        self.meet(by);
        let asked = self.options.language.asked(call);
        let name = name(&asked).to_owned();
        out.push_str(&format!("{before}{}{}", self.name(by), self.spelled(asked)));
        if self.apart {
            out.push_str(UNFINISHED);
            self.unfinished.insert(by.thread, name);
        } else {
            self.open = Some((by, name));
        }
    }

    /// A call has returned.
    pub fn returned(&mut self, before: &str, by: Caller, called: &Called, out: &mut String) {
        let language = self.options.language;
        let asked = self.spelled(language.asked(&called.call));
        let is_open = matches!(&self.open, Some((caller, _)) if *caller == by);
        if is_open {
            self.open = None;
            if self.options.rewrite {
                // To the line's beginning, and away with what is there.
                out.push_str("\r\x1b[K");
                out.push_str(&format!("{before}{}{asked}", self.name(by)));
            }
        } else {
            self.interrupt(out);
            self.meet(by);
            let begins = match self.unfinished.remove(&by.thread) {
                Some(name) => format!("<... {name} resumed>"),
                None => asked,
            };
            out.push_str(&format!("{before}{}{begins}", self.name(by)));
        }
        out.push_str(&self.spelled(language.answered(called)));
        out.push('\n');
        if self.options.bytes {
            out.push_str(&sockaddrs(called));
        }
        let is_unix = matches!(
            called.call,
            Call::Socket {
                family: Family::Unix,
                ..
            }
        );
        if is_unix && called.result.is_ok() && !self.is_told_of_unix {
            self.is_told_of_unix = true;
            out.push_str("    Unix socket: no packets\n");
        }
    }

    /// Something else is about to be written: a line that is open ends.
    pub fn interrupt(&mut self, out: &mut String) {
        if let Some((by, name)) = self.open.take() {
            out.push_str(UNFINISHED);
            self.unfinished.insert(by.thread, name);
        }
    }

    fn spelled(&self, text: String) -> String {
        match self.options.ascii {
            true => ascii(&text),
            false => text,
        }
    }

    fn meet(&mut self, by: Caller) {
        let first = *self.first.get_or_insert(by);
        self.several |= first != by;
    }

    /// Process or thread, by the kernel's number; nothing while there is one only.
    fn name(&self, by: Caller) -> String {
        match self.several {
            true => format!("[{}] ", by.thread),
            false => String::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::{Answer, Data, Kind};

    const ONE: Caller = Caller {
        process: 7,
        thread: 7,
    };
    const OTHER: Caller = Caller {
        process: 7,
        thread: 8,
    };

    fn recv() -> Called {
        Called {
            call: Call::Recv { fd: 3, size: 9 },
            result: Ok(Answer::Data(Data::of(b"x"))),
            took: 0,
        }
    }

    /// What happens to one caller's `recv`.
    #[derive(Clone, Copy)]
    enum Step {
        Begins(Caller),
        Returns(Caller),
        SomethingElse,
    }
    use Step::{Begins, Returns, SomethingElse};

    /// Each piece as it is written.
    fn pieces(lines: &mut Lines, steps: &[Step]) -> Vec<String> {
        let piece = |step: &Step| {
            let mut out = String::new();
            match *step {
                Begins(by) => lines.began("", by, &recv().call, &mut out),
                Returns(by) => lines.returned("", by, &recv(), &mut out),
                SomethingElse => lines.interrupt(&mut out),
            }
            out
        };
        steps.iter().map(piece).collect()
    }

    #[test]
    fn a_call_is_seen_at_once_and_its_line_goes_on() {
        let mut lines = Lines::new(Options::default());
        let said = pieces(&mut lines, &[Begins(ONE), Returns(ONE)]);
        assert_eq!(said, ["recv(3, buffer, 9, 0)", " = 1 \"x\"\n"]);
    }

    #[test]
    fn others_in_between_leave_it_unfinished() {
        let mut lines = Lines::new(Options::default());
        let steps = [
            Begins(ONE),
            Begins(OTHER),
            Returns(ONE),
            SomethingElse,
            Returns(OTHER),
        ];
        assert_eq!(
            pieces(&mut lines, &steps).concat(),
            "recv(3, buffer, 9, 0) <unfinished ...>\n\
             [8] recv(3, buffer, 9, 0) <unfinished ...>\n\
             [7] <... recv resumed> = 1 \"x\"\n\
             [8] <... recv resumed> = 1 \"x\"\n"
        );
    }

    #[test]
    fn where_others_write_unseen_every_line_is_whole() {
        let mut lines = Lines::new(Options::default());
        lines.share();
        assert_eq!(
            pieces(&mut lines, &[Begins(ONE), Returns(ONE)]),
            [
                "[7] recv(3, buffer, 9, 0) <unfinished ...>\n",
                "[7] <... recv resumed> = 1 \"x\"\n"
            ]
        );
    }

    #[test]
    fn on_a_terminal_the_line_is_written_anew() {
        let mut lines = Lines::new(Options {
            rewrite: true,
            ..Options::default()
        });
        let mut out = String::new();
        lines.began("", ONE, &recv().call, &mut out);
        lines.returned("", ONE, &recv(), &mut out);
        let whole = "recv(3, buffer, 9, 0) = 1 \"x\"\n";
        assert!(out.ends_with(&format!("\r\x1b[K{whole}")), "{out:?}");
    }

    #[test]
    fn ascii_is_all_there_is_where_it_is_asked_for() {
        let mut lines = Lines::new(Options {
            ascii: true,
            ..Options::default()
        });
        let send = Called {
            call: Call::Send {
                fd: 3,
                data: Data::of("é".as_bytes()),
                now: false,
            },
            result: Ok(Answer::Count(2)),
            took: 0,
        };
        let mut out = String::new();
        lines.returned("", ONE, &send, &mut out);
        assert_eq!(out, "send(3, \"\\u{e9}\", 2, MSG_NOSIGNAL) = 2\n");
    }

    #[test]
    fn unix_sockets_say_once_that_there_are_no_packets() {
        let socket = Called {
            call: Call::Socket {
                family: Family::Unix,
                kind: Kind::Stream,
            },
            result: Ok(Answer::Fd(3)),
            took: 0,
        };
        let mut lines = Lines::new(Options::default());
        let mut out = String::new();
        lines.returned("", ONE, &socket, &mut out);
        lines.returned("", ONE, &socket, &mut out);
        assert_eq!(out.matches("no packets").count(), 1);
        assert!(out.starts_with("socket(AF_UNIX, SOCK_STREAM, 0) = 3\n"));
    }
}
