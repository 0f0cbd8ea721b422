//! Programs on the lab's hosts: their threads, what they say line by line, and how they are made to end.

use std::{
    collections::HashSet,
    io::{self, IsTerminal as _},
    iter,
    sync::mpsc::{Receiver, Sender, SyncSender},
    time::Duration,
};

use nix::sys::signal::Signal;
use sockwire::{
    lab::{
        Event, Host, Transit,
        hosts::Body,
        program::{Guard, Program, Readiness, Start, is_inhabited, network, wait_for_port},
    },
    sys::{clock::Clock, process, signal::Stop},
    text::{Safe, push_lines},
    time::{MILLISECOND, SECOND, Time},
};

/// How long a server is waited for.
pub(super) const LIMIT: Duration = Duration::from_secs(5);

/// How long a thread may need to pass on what it has heard of a program.
const HEARING: Duration = Duration::from_millis(500);
/// So much is heard at a time: one that talks without end waits, and everything else has its turn.
const AT_ONCE: usize = 16;
/// More than can be on its way yet: who says so much when all have been ended has got away, and is not listened to.
const UNDERWAY: usize = 512;
/// A line that is not ended is shown after so many nanoseconds.
const UNENDED: i64 = 100 * MILLISECOND;
/// The longest line.
const LINE: usize = 16 << 10;

/// What stands between a host's name and what its program says.
pub(super) const fn bar(ascii: bool) -> char {
    if ascii { '|' } else { '│' }
}

/// What the programs' threads say.
pub(super) enum Said {
    Began {
        host: Host,
        process: u32,
        /// Signals go to its whole group.
        group: bool,
        network: String,
    },
    /// How it came out to wait for the server.
    Waited(Readiness),
    Words(Host, Time, Vec<u8>),
    Over(Host, Result<i32, i32>),
}

/// A host's thread. The server's opens the gate when it can be reached, and the client's waits for that.
pub(super) fn body(
    host: Host,
    command: String,
    port: u16,
    gate: Result<Sender<()>, Receiver<()>>,
    guard: &Guard,
    clock: Clock,
    say: SyncSender<Said>,
) -> Body {
    let guard = guard.clone();
    Box::new(move || {
        let opens = match gate {
            Ok(ready) => Some(ready),
            // The server has ended, or will not come.
            Err(gate) if gate.recv().is_err() => return Ok(()),
            Err(_) => None,
        };
        let is_client = host == Host::Client;
        let start = Start {
            command,
            input: is_client,
            // A terminal gives its input to its foreground group only, which is this process's.
            group: !is_client || !io::stdin().is_terminal(),
        };
        let hear = {
            let say = say.clone();
            move |words: &[u8]| {
                let said = Said::Words(host, clock.now(), words.to_vec());
                say.send(said).is_ok()
            }
        };
        let network = network()?;
        guard.watch(&network);
        let program = Program::start(&start, hear)?;
        // That nobody listens any more is no reason to leave a program alone.
        let _ = say.send(Said::Began {
            host,
            process: program.process,
            group: start.group,
            network: network.clone(),
        });
        if let Some(ready) = opens {
            // A daemon lives on when the program that was started has ended.
            let ended = || Ok(program.ended()?.filter(|_| !is_inhabited(&network)));
            let readiness = wait_for_port(port, LIMIT, ended)?;
            if !matches!(readiness, Readiness::Ended(_)) {
                let _ = ready.send(());
            }
            let _ = say.send(Said::Waited(readiness));
        }
        let ended = program.wait()?;
        let _ = say.send(Said::Over(host, ended));
        Ok(())
    })
}

/// What the programs' threads have said so far, but no more than [`AT_ONCE`].
pub(super) fn heard(said: &Receiver<Said>) -> Vec<Said> {
    said.try_iter().take(AT_ONCE).collect()
}

/// Both programs, and when they are to end.
pub(super) struct Pair {
    /// Client and server.
    pub(super) sides: [Side; 2],
    /// The networks in which they run.
    pub(super) networks: HashSet<String>,
    said: Receiver<Said>,
    /// The client has begun, or is about to.
    is_on: bool,
    clock: Clock,
    /// Lines that were said and not taken yet.
    lines: Vec<(Host, Time, Vec<u8>)>,
    stop: Stop,
    /// Nanoseconds of silence after which nothing more is to come.
    patience: i64,
    /// Everything older than this is known.
    seen: Time,
    /// When something has happened last.
    active: Time,
}

impl Pair {
    /// `said` is what their threads say.
    pub(super) fn new(said: Receiver<Said>, stop: Stop, patience: i64, clock: Clock) -> Self {
        let now = clock.now();
        Self {
            sides: Host::BOTH.map(Side::new),
            networks: HashSet::new(),
            said,
            is_on: false,
            clock,
            lines: Vec::new(),
            stop,
            patience,
            seen: now,
            active: now,
        }
    }

    /// Something happened on the wire, or nothing.
    pub(super) fn happened(&mut self, event: &Event) {
        match event {
            Event::Sent(Transit { time, .. }) | Event::Delivered { time, .. } => {
                self.seen = self.seen.max(*time);
                self.active = self.active.max(*time);
            }
            Event::Quiet(time) => self.seen = self.seen.max(*time),
            Event::Up(_) | Event::Called { .. } => {}
        }
    }

    /// Takes what the programs' threads have said; how it came out to wait for the server, where that is among it.
    pub(super) fn hear(&mut self) -> Option<Readiness> {
        self.take_all(heard(&self.said))
    }

    /// The same of what is on its way yet when all programs have been ended: until nobody is left to say anything, or all are
    /// silent.
    pub(super) fn hear_out(&mut self) -> Option<Readiness> {
        let said = iter::from_fn(|| self.said.recv_timeout(HEARING).ok());
        self.take_all(said.take(UNDERWAY).collect())
    }

    fn take_all(&mut self, said: Vec<Said>) -> Option<Readiness> {
        said.into_iter().filter_map(|said| self.take(said)).last()
    }

    fn take(&mut self, said: Said) -> Option<Readiness> {
        match said {
            Said::Began {
                host,
                process,
                group,
                network,
            } => {
                self.networks.insert(network);
                self.sides[host as usize].began(process, group);
            }
            Said::Waited(readiness) => {
                self.is_on = !matches!(readiness, Readiness::Ended(_));
                return Some(readiness);
            }
            Said::Words(host, time, words) => {
                self.active = self.active.max(time);
                let lines = self.sides[host as usize].hear(time, &words);
                let lines = lines.into_iter().map(|line| (host, time, line));
                self.lines.extend(lines);
            }
            Said::Over(host, ended) => self.ended(host, ended),
        }
        None
    }

    /// A program has ended.
    pub(super) fn ended(&mut self, host: Host, ended: Result<i32, i32>) {
        self.active = self.active.max(self.clock.now());
        self.sides[host as usize].ended = Some(ended);
    }

    /// Lines that were said, with their times; those that were begun a while before `now` as well.
    pub(super) fn lines(&mut self, now: Time) -> Vec<(Host, Time, Vec<u8>)> {
        let mut lines = std::mem::take(&mut self.lines);
        for (host, side) in Host::BOTH.into_iter().zip(&mut self.sides) {
            lines.extend(side.unended(now).map(|(time, line)| (host, time, line)));
        }
        lines
    }

    /// When the client has ended and the wire is silent, the server is asked to end. Ctrl-C is for both.
    pub(super) fn go_on(&mut self, now: Time) {
        let is_silent = self.is_silent();
        let [client, server] = &mut self.sides;
        if self.stop.asked() {
            client.interrupt(now);
            server.interrupt(now);
        } else if client.ended.is_some() && is_silent {
            server.end(now);
        }
    }

    pub(super) fn is_silent(&self) -> bool {
        self.seen.since(self.active) >= self.patience
    }

    /// Both have ended, or the server has before the client could begin, and nothing more is to come.
    pub(super) fn is_over(&self) -> bool {
        let [client, server] = &self.sides;
        let runs = self.is_on && client.ended.is_none();
        server.ended.is_some() && !runs && self.is_silent()
    }
}

/// Signals that make a program end, and how many nanoseconds after it was asked to each is sent.
type Steps = &'static [(i64, Signal)];

/// For a program to which Ctrl-C was for.
const INTERRUPT: Steps = &[
    (0, Signal::SIGINT),
    (SECOND, Signal::SIGTERM),
    (2 * SECOND, Signal::SIGKILL),
];
/// For one that has nothing more to do.
const END: Steps = &[(0, Signal::SIGTERM), (2 * SECOND, Signal::SIGKILL)];

/// A program is asked to end.
struct Asked {
    since: Time,
    /// Signals that are still to be sent.
    steps: Steps,
    /// The one that was sent last.
    last: Option<Signal>,
}

/// A program as it runs.
pub(super) struct Side {
    host: Host,
    /// Its process, and whether signals go to its group.
    process: Option<(u32, bool)>,
    /// How it ended.
    pub(super) ended: Option<Result<i32, i32>>,
    /// How it is asked to end.
    asked: Option<Asked>,
    /// The line that it has begun, since when.
    line: Vec<u8>,
    since: Time,
}

impl Side {
    pub(super) fn new(host: Host) -> Self {
        Self {
            host,
            process: None,
            ended: None,
            asked: None,
            line: Vec::new(),
            since: Time::default(),
        }
    }

    pub(super) fn began(&mut self, process: u32, group: bool) {
        self.process = Some((process, group));
    }

    /// Its process, while it runs.
    pub(super) fn running(&self) -> Option<u32> {
        let (process, _) = self.process?;
        self.ended.is_none().then_some(process)
    }

    pub(super) const fn has_begun(&self) -> bool {
        self.process.is_some()
    }

    /// It gets Ctrl-C, and what is stronger when it goes on. To be called again and again.
    pub(super) fn interrupt(&mut self, now: Time) {
        self.ask(now, INTERRUPT);
    }

    /// It is to end. To be called again and again.
    pub(super) fn end(&mut self, now: Time) {
        self.ask(now, END);
    }

    /// Sends the signal whose turn has come.
    fn ask(&mut self, now: Time, steps: Steps) {
        let (Some((process, group)), None) = (self.process, self.ended) else {
            return;
        };
        let asked = self.asked.get_or_insert_with(|| Asked {
            since: now,
            steps: match group {
                true => steps,
                // In this process's group it gets the terminal's Ctrl-C itself.
                false => &steps[1..],
            },
            last: None,
        });
        if let Some(((after, signal), rest)) = asked.steps.split_first()
            && now.since(asked.since) >= *after
        {
            process::tell(process, group, *signal);
            asked.last = Some(*signal);
            asked.steps = rest;
        }
    }

    /// Takes words; the lines that they end.
    pub(super) fn hear(&mut self, time: Time, words: &[u8]) -> Vec<Vec<u8>> {
        let mut lines = Vec::new();
        for piece in words.split_inclusive(|&byte| byte == b'\n') {
            if self.line.is_empty() {
                self.since = time;
            }
            self.line.extend_from_slice(piece);
            if piece.ends_with(b"\n") || self.line.len() >= LINE {
                lines.push(trimmed(std::mem::take(&mut self.line)));
            }
        }
        lines
    }

    /// A line that was begun a while before this time and is not ended, with its time.
    pub(super) fn unended(&mut self, now: Time) -> Option<(Time, Vec<u8>)> {
        let is_old = !self.line.is_empty() && now.since(self.since) >= UNENDED;
        is_old.then(|| (self.since, trimmed(std::mem::take(&mut self.line))))
    }

    /// How it ended, in a line.
    pub(super) fn fate(&self) -> String {
        let host = self.host;
        let Some(ended) = self.ended else {
            return match self.process {
                Some(_) => format!("the {host} was still running"),
                None => format!("the {host} was not started"),
            };
        };
        match self.asked.as_ref().and_then(|asked| asked.last) {
            Some(signal) if ended == Err(signal as i32) => {
                format!("the {host} was ended ({})", signal.as_str())
            }
            Some(signal) => {
                format!(
                    "the {host} ended after {}: {}",
                    signal.as_str(),
                    ending(ended)
                )
            }
            _ => format!("the {host} ended: {}", ending(ended)),
        }
    }
}

/// A line that a program said, safe to show: its tabs and backslashes stay as they are.
pub(super) fn shown(line: &[u8]) -> String {
    let mut text = String::new();
    let left = push_lines(line, &mut text);
    text + &Safe(&line[line.len() - left..]).to_string()
}

/// "exit code 0", "SIGTERM".
pub(super) fn ending(ended: Result<i32, i32>) -> String {
    match ended {
        Ok(code) => format!("exit code {code}"),
        Err(number) => match Signal::try_from(number) {
            Ok(signal) => signal.as_str().to_owned(),
            Err(_) => format!("signal {number}"),
        },
    }
}

/// Without what ends it.
fn trimmed(mut line: Vec<u8>) -> Vec<u8> {
    for end in [b'\n', b'\r'] {
        line.pop_if(|last| *last == end);
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_talks_without_end_is_heard_a_little_at_a_time() {
        let (say, said) = std::sync::mpsc::sync_channel(4);
        let words = || Said::Words(Host::Server, Time::default(), b"y\n".to_vec());
        let talks = std::thread::spawn(move || while say.send(words()).is_ok() {});
        assert!(heard(&said).len() <= AT_ONCE);
        drop(said);
        assert!(talks.join().is_ok());
    }

    #[test]
    fn words_become_lines_and_a_prompt_is_shown_after_a_while() {
        let mut side = Side::new(Host::Client);
        let at = Time::from_nanos;
        assert_eq!(side.hear(at(1), b"one\ntw"), [b"one".to_vec()]);
        assert_eq!(side.unended(at(UNENDED)), None);
        assert_eq!(side.hear(at(2), b"o\r\n\nname? ").len(), 2);
        let later = at(2 + UNENDED);
        assert_eq!(side.unended(later), Some((at(2), b"name? ".to_vec())));
        assert_eq!(side.unended(later), None);
        let endless = [b'x'; LINE + 1];
        assert_eq!(side.hear(at(3), &endless).len(), 1);
    }

    #[test]
    fn what_a_program_says_stays_as_it_is_and_moves_no_cursor() {
        assert_eq!(shown(b"b'a\\n'\tc"), "b'a\\n'\tc");
        assert_eq!(shown(b"red: \x1b[31m \xc3"), "red: \\x1b[31m \\xc3");
    }
}
