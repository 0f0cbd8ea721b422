//! What the views of a trace say alike: names of processes and connections, a packet's parts and ties, and rows that are sentences.

use std::fmt::Write as _;

use nix::sys::signal::Signal;

use super::super::{
    call::traced,
    ladder::{
        Words,
        arrow::{Glyphs, cut, width},
    },
};
use crate::{
    call::Address,
    event::{Arg, Deed, Enter, Return, Transport},
    text::{Safe, ascii, typed},
    time::{SECOND, Time},
    timeline::{
        Ground, Kernel, Tie,
        row::{Call, Idle, Link, Named, Run, Sent, What, Who, room},
        seen,
    },
    track::story::{self, Number, Order, Span},
};

/// The longest name of a process (`TASK_COMM_LEN` without its zero byte), in columns.
pub(super) const NAME: usize = 15;
/// Calls that are named one by one.
const NAMED: usize = 3;

/// How things are said.
#[derive(Clone, Copy, Debug)]
pub(super) struct Say {
    pub(super) ascii: bool,
}

impl Say {
    pub(super) fn glyphs(self) -> &'static Glyphs {
        Glyphs::of(self.ascii)
    }

    /// Text that is safe but may need ASCII.
    pub(super) fn plain(self, text: String) -> String {
        match self.ascii && !text.is_ascii() {
            true => ascii(&text),
            false => text,
        }
    }

    /// `python3[71]`.
    pub(super) fn who(self, who: &Who) -> String {
        format!("{}[{}]", self.name(&who.name), who.process)
    }

    /// The name of a program, which is anything that it wants.
    pub(super) fn name(self, name: &str) -> String {
        let name = self.plain(Safe(name.as_bytes()).to_string());
        cut(name, NAME, self.glyphs().more)
    }

    /// An address, safe to show.
    pub(super) fn address(self, address: Option<&Address>) -> String {
        let words = |address: &Address| self.plain(address.to_string());
        address.map_or_else(|| "?".to_owned(), words)
    }

    /// `C1`: T would be taken for a time.
    pub(super) fn label(self, link: &Link) -> String {
        let (letter, word) = match link.transport {
            Transport::Tcp => ('C', "tcp"),
            Transport::Udp => ('U', "udp"),
            Transport::Raw => ('R', "raw"),
            Transport::Unix => ('X', "unix"),
            Transport::Other => ('O', "other"),
        };
        format!("{letter}{} {word}", link.number)
    }

    /// `send #12`, `3 sends #12 to #14`.
    pub(super) fn calls(self, calls: &[Named]) -> String {
        let one = |named: &Named| match named.name.is_empty() {
            true => format!("call #{}", named.call),
            false => format!("{} #{}", self.name(&named.name), named.call),
        };
        match calls {
            [first, .., last] if calls.len() > NAMED => {
                let name = self.name(&first.name);
                let alike = calls.iter().all(|named| named.name == first.name);
                let name = if alike { &name } else { "calls" };
                format!("{} {name} #{} to #{}", calls.len(), first.call, last.call)
            }
            _ => calls.iter().map(one).collect::<Vec<_>>().join(", "),
        }
    }

    /// What the kernel sent a packet for; nothing for one that a call caused.
    pub(super) fn kernel(self, sent: &Sent) -> Option<String> {
        let words = match sent.tied.kernel? {
            Kernel::SynAck => "for listen",
            Kernel::Ack(Some(_)) => {
                let acked = self.calls(sent.acks.as_slice());
                return Some(format!("kernel: acks {acked}"));
            }
            Kernel::Ack(None) => "ack",
            Kernel::WindowUpdate => "window update",
            Kernel::DuplicateAck => "duplicate ACK",
            Kernel::KeepAlive => "keep-alive",
            Kernel::WindowProbe => "window probe",
            Kernel::NoSocket => "no socket there",
            Kernel::Reset => "reset",
            Kernel::Error => "error",
        };
        Some(format!("kernel: {words}"))
    }

    /// What a packet is, in the ladder's words.
    pub(super) fn packet(self, sent: &Sent, most: usize) -> String {
        let words = Words {
            absolute: false,
            ascii: self.ascii,
        };
        let Some(seen) = &sent.seen else {
            return cut(format!("{} bytes", sent.wire_len), most, self.glyphs().more);
        };
        let what = match &seen.what {
            seen::What::Segment(tcp) => story::What::Segment(story::Tcp {
                syn: tcp.syn,
                fin: tcp.fin,
                rst: tcp.rst,
                len: tcp.len,
                seq: Number {
                    raw: tcp.seq,
                    relative: sent.seq,
                },
                ack: sent.ack.map(|relative| Number {
                    raw: tcp.ack.unwrap_or(0),
                    relative,
                }),
                window_zero: tcp.window == 0 && !tcp.rst,
                order: match (sent.tied.kernel, sent.tied.again) {
                    (Some(Kernel::KeepAlive), _) => Order::KeepAlive,
                    (Some(Kernel::WindowProbe), _) => Order::WindowProbe,
                    (_, true) => Order::Again(None),
                    _ => Order::Next,
                },
                ..story::Tcp::default()
            }),
            seen::What::Datagram(len) => story::What::Datagram {
                len: *len,
                fragments: None,
                after: None,
            },
            seen::What::Error(says) => story::What::Error {
                says,
                about: None,
                by: None,
            },
        };
        words.fitting(&what, &seen.data, most)
    }

    /// Rows that are a sentence, not a call and not a packet.
    pub(super) fn sentence(self, what: &What) -> Option<String> {
        /// Columns of the command in the first row.
        const COMMAND: usize = 300;
        let glyphs = self.glyphs();
        let text = match what {
            What::Begin(begin) => {
                let traced = cut(typed(&begin.what), COMMAND, glyphs.more);
                format!("trace of {traced} on {}", Safe(begin.ground.as_bytes()))
            }
            What::Process(process) => {
                let name = self.name(&process.name);
                match process.parent {
                    Some(parent) => format!("{name}[{}] started by {parent}", process.process),
                    None => format!("{name}[{}] is traced", process.process),
                }
            }
            What::Exec(exec, before) => {
                let now = self.name(&exec.name);
                format!("{}[{}] runs {now} now", self.name(before), exec.process)
            }
            What::Exit(exit, name) => {
                let how = match exit.status {
                    Ok(status) => format!("ended with status {status}"),
                    Err(number) => match Signal::try_from(number) {
                        Ok(signal) => format!("was ended by {signal}"),
                        Err(_) => format!("was ended by signal {number}"),
                    },
                };
                format!("{}[{}] {how}", self.name(name), exit.process)
            }
            What::Note(Some(who), text) => {
                format!("{}: {}", self.who(who), Safe(text.as_bytes()))
            }
            What::Note(None, text) => Safe(text.as_bytes()).to_string(),
            What::Unseen(host, why) => {
                let host = host.as_deref().map(|host| format!(" of the {host}"));
                let host = Safe(host.as_deref().unwrap_or("").as_bytes()).to_string();
                format!("packets{host} are not seen: {}", Safe(why.as_bytes()))
            }
            What::End(end) => {
                let mut text = format!(
                    "{}, {}",
                    plural(end.calls, "call"),
                    plural(end.kept, "packet")
                );
                let left_out = [
                    (end.others, "of other programs"),
                    (end.duplicates, "second copies on the loopback interface"),
                ];
                for (count, whose) in left_out.iter().filter(|(count, _)| *count > 0) {
                    let _ = write!(text, "; left out: {count} {whose}");
                }
                if end.dropped > 0 {
                    let _ = write!(text, "; {} packets were not seen in time", end.dropped);
                }
                text
            }
            What::Run(run) => self.run(run, glyphs),
            What::Call(_) | What::Idle(_) | What::Packet(_) | What::Arrival(..) => return None,
        };
        Some(self.plain(text))
    }

    fn run(self, run: &Run, glyphs: &Glyphs) -> String {
        let counted = [
            (run.sends, "send"),
            (run.packets, "packet"),
            (run.receives, "receive"),
        ];
        let mut parts: Vec<String> = counted
            .iter()
            .filter(|((count, _), _)| *count > 0)
            .map(|((count, bytes), word)| format!("{} with {bytes} bytes", plural(*count, word)))
            .collect();
        if run.acks > 0 {
            parts.push(plural(run.acks, "ack"));
        }
        if run.blocked > 0 {
            parts.push(format!("blocked {} in send", Span(run.blocked)));
        }
        format!("{} {}", glyphs.more, parts.join(", "))
    }

    /// What is easily overlooked in a call: less was sent than was given, and the rest is the program's to send; a datagram
    /// was cut; what it closed is open elsewhere.
    pub(super) fn remark(self, call: &Call) -> Option<String> {
        let parts = call.enter.parts.iter().map(|part| part.data.len as u64);
        let given = parts.fold(0, u64::saturating_add);
        let taken = call.moved();
        if call.enter.deed == Deed::Send && (1..given).contains(&taken) {
            return Some(format!("only {taken} of {given} bytes"));
        }
        lost(call).or_else(|| self.held(call))
    }

    fn held(self, call: &Call) -> Option<String> {
        let by = call.held.by.iter().take(NAMED).map(|who| self.who(who));
        let mut by = by.collect::<Vec<_>>().join(", ");
        if by.is_empty() {
            return None;
        }
        if call.held.by.len() > NAMED {
            let _ = write!(by, " and {} more", call.held.by.len() - NAMED);
        }
        let what = match call.enter.socket {
            Some(_) => String::new(),
            None => plural(call.held.sockets, "connection") + " ",
        };
        Some(format!("({what}still open in {by})"))
    }

    /// What is said of calls that do not get on: what each returned and how often, and what that means.
    pub(super) fn idle(self, idle: &Idle) -> (String, Option<&'static str>) {
        let (times, speed, meaning) = self.idle_parts(idle);
        (format!("{times} {speed}").trim_end().to_owned(), meaning)
    }

    /// The same in three pieces: what and how often, how fast, and what that means.
    pub(super) fn idle_parts(self, idle: &Idle) -> (String, String, Option<&'static str>) {
        let result = match idle.result {
            Ok(n) => format!("= {n}"),
            Err(_) => "= -1 EAGAIN".to_owned(),
        };
        let nanos = idle.until.since(idle.since).max(1);
        let in_a_second = u128::from(idle.times) * u128::from(SECOND.unsigned_abs());
        let rate = in_a_second / u128::from(nanos.unsigned_abs());
        let (times, speed) = match idle.times {
            1 => ("once".to_owned(), String::new()),
            n @ 2..10 => (format!("{n} times"), format!("in {}", Span(nanos))),
            n => {
                let speed = format!("in {}, {rate} a second", Span(nanos));
                (format!("{n} times"), speed)
            }
        };
        let meaning = idle.no_break.then_some("the loop has no break");
        (format!("{result} {times}"), speed, meaning)
    }
}

/// `1 send`, `2 sends`.
pub(super) fn plural(count: u64, word: &str) -> String {
    match count {
        1 => format!("1 {word}"),
        n => format!("{n} {word}s"),
    }
}

/// How the text of a call ends from which arguments were left out.
pub(super) const CUT: &str = "...)";

/// Data of which nothing is left.
pub(super) const EMPTY: &str = "\"\"...";

/// A call and its result, side by side in `room` columns where that leaves every argument; else for two lines.
pub(super) fn both(enter: &Enter, back: &Return, room: usize) -> [String; 2] {
    /// The same of a result.
    const SHORT: &str = " ...";
    let [asked, answered] = [
        traced::asked(enter, room),
        traced::answered(enter, back, room),
    ];
    // First the data that came back is cut, then the data that was sent.
    let after = traced::answered(enter, back, room.saturating_sub(width(&asked) + 1));
    let before = traced::asked(enter, room.saturating_sub(width(&answered) + 1));
    let fits = |asked: &str, answered: &str| {
        let is_whole = !asked.ends_with(CUT) && !answered.ends_with(SHORT);
        is_whole && width(asked) + 1 + width(answered) <= room
    };
    // Data of which nothing would be left is worth a line of its own.
    let has_data = |text: &str| text.contains('"') && !text.contains(EMPTY);
    if fits(&asked, &after) && has_data(&after) == has_data(&answered) {
        return [asked, after];
    }
    if fits(&before, &answered) && !before.contains(EMPTY) {
        return [before, answered];
    }
    [asked, answered]
}

/// More was in the datagrams that a call returned than its buffer took: the kernel throws it away (recv(2)).
fn lost(call: &Call) -> Option<String> {
    let (_, back) = call.answer.as_ref()?;
    let got = u64::try_from(back.result.ok()?).ok()?;
    if call.enter.deed != Deed::Receive {
        return None;
    }
    let room = room(&call.enter);
    // With MSG_TRUNC the call says itself how much there was.
    let over = room.and_then(|room| got.checked_sub(room));
    let says = |arg: &Arg| match arg {
        Arg::Word(word) => word.split('|').any(|flag| flag == "MSG_TRUNC"),
        _ => false,
    };
    let is_said = back.out.iter().any(|arg| match arg {
        Arg::Group(args) => args.iter().any(says),
        arg => says(arg),
    });
    let lost = match over {
        Some(over @ 1..) => over,
        Some(0) => call.lost,
        _ if is_said => call.lost,
        _ => 0,
    };
    match (lost, is_said) {
        (0, false) => None,
        (0, true) => Some("the rest of the datagram is lost".to_owned()),
        (lost, _) => Some(format!("{} of the datagram lost", plural(lost, "byte"))),
    }
}

/// The grounds of ties, each once: `sequence`, `sequence, last close`.
pub(super) fn grounds(ties: &[Tie]) -> String {
    let mut grounds: Vec<Ground> = ties.iter().map(|tie| tie.ground).collect();
    grounds.sort_unstable();
    grounds.dedup();
    let words: Vec<&str> = grounds.iter().map(|ground| ground.word()).collect();
    words.join(", ")
}

/// Seconds since the beginning, with so many decimals.
pub(super) fn seconds(at: Time, origin: Time, decimals: usize) -> String {
    let since = at.since(origin);
    let sign = if since < 0 { "-" } else { "" };
    let (second, nanos) = (SECOND.unsigned_abs(), since.unsigned_abs());
    let part = format!("{:09}", nanos % second);
    format!("{sign}{}.{}", nanos / second, &part[..decimals.min(9)])
}
