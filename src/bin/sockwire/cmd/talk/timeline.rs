//! Calls, packets and words in the order of their times: a ladder, and between its rows the calls that cause them.

use std::{
    collections::HashMap,
    io::{self, Write as _},
    mem,
};

use sockwire::{
    call::{Answer, Call, Called, Caller},
    lab::{
        Event as Happened, Host,
        channel::{Heard, Hearer},
    },
    render::{
        call::{Lines, Options},
        ladder::LadderOptions,
    },
    sockets::{Event, Told},
    time::{MILLISECOND, Time},
    track::story::Header,
};

use super::{
    super::drawing::{Drawing, Pen, Place},
    own::Own,
    speech::Speech,
};

/// A call shorter than this is one moment, in nanoseconds: its packets stand below it.
const MOMENT: i64 = MILLISECOND;

/// An event on its way to be shown, with its host and its caller.
pub(super) type Entry = (Host, Caller, What);

pub(super) enum What {
    Began(Call),
    Returned(Called),
    /// Calls that have moved data, not shown one by one.
    Moved(Moved),
    /// Something that the program's own words are about.
    Said(Told),
}

/// Calls that moved data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Moved {
    calls: u64,
    bytes: u64,
}

/// Puts everything into order, and writes it.
pub(super) struct Timeline {
    /// Packets, and the events whose turn has not come.
    pub(super) drawing: Drawing<Entry>,
    /// Of those, the beginnings of calls that have not returned.
    begun: HashMap<Caller, Place>,
    /// Of client and server, calls that are counted only; nothing before [`Timeline::shorten`].
    moved: Option<[Moved; 2]>,
    page: Page,
}

/// Where it is written: calls and packets on stderr, the program's words on standard output.
struct Page {
    /// Which conversations are shown; without it all of them.
    own: Option<Own>,
    /// Calls of client and server; the names of the hosts stand before them where there are two.
    lines: [Lines; 2],
    names: [&'static str; 2],
    speech: Speech,
    /// Whose words are said: the program's.
    speaker: Host,
    text: String,
}

/// How a timeline is drawn.
pub(super) struct TimelineOptions {
    /// The ladder, whose time counts from its origin.
    pub(super) ladder: LadderOptions,
    /// The calls.
    pub(super) calls: Options,
    /// Both hosts have a program that tells, and all conversations are theirs; else only those of the program's sockets
    /// are shown.
    pub(super) two: bool,
    /// Where the program runs that has something to say.
    pub(super) speaker: Host,
}

impl Timeline {
    pub(super) fn new(options: TimelineOptions, speech: Speech) -> Self {
        // On an interface, packets must tell; of two hosts of our own, everything is known.
        let listening = options.two.then(Vec::new);
        Self {
            drawing: Drawing::new(options.ladder, listening, options.two),
            begun: HashMap::new(),
            moved: None,
            page: Page {
                own: (!options.two).then(Own::default),
                lines: [Lines::new(options.calls), Lines::new(options.calls)],
                names: match options.two {
                    true => ["client ", "server "],
                    false => [""; 2],
                },
                speech,
                speaker: options.speaker,
                text: String::new(),
            },
        }
    }

    /// From now on runs of data are one row, and the calls that move them are counted; `words` say so.
    pub(super) fn shorten(&mut self, words: &str) {
        self.drawing.put_together();
        self.page.interrupt();
        self.page.text.push_str(words);
        self.moved = Some([Moved::default(); 2]);
    }

    /// Takes what there is to hear at the moment, up to the first event after `until`: a program that tells without end
    /// is no reason to leave the packets alone. `also` hears it too. False when nothing more is to come.
    pub(super) fn hear(
        &mut self,
        hearer: &mut Hearer,
        until: Time,
        mut also: impl FnMut(Host, &Event),
    ) -> bool {
        loop {
            match hearer.next() {
                Heard::Told(host, told) => {
                    let time = told.time;
                    also(host, &told.event);
                    self.told(host, told);
                    if time > until {
                        return true;
                    }
                }
                Heard::Nothing => return true,
                Heard::End => return false,
            }
        }
    }

    /// The program of `host` has told something.
    fn told(&mut self, host: Host, told: Told) {
        if let Some(own) = &mut self.page.own {
            own.event(&told.event);
        }
        if self.is_counted(host, &told) {
            return;
        }
        let Told { time, by, event } = told;
        let (time, what) = match event {
            Event::Calling(call) => {
                let place = self.drawing.line(time, (host, by, What::Began(call)));
                self.begun.insert(by, place);
                return;
            }
            Event::Called(called) => {
                let begun = self.begun.remove(&by);
                let returned = time.plus(called.took);
                // A call that cannot wait is told of once; how long it was kept from running says nothing.
                let is_moment = called.took < MOMENT || begun.is_none();
                if let (true, Some(begun)) = (is_moment, begun) {
                    // Its beginning need not be seen, unless it has been already.
                    self.drawing.take_back(begun);
                }
                let time = match is_moment && !waits_for_others(&called.call) {
                    true => time,
                    false => returned,
                };
                (time, What::Returned(called))
            }
            event if host == self.page.speaker => (time, What::Said(Told { time, by, event })),
            _ => return,
        };
        self.drawing.line(time, (host, by, what));
    }

    /// Counts a call that moves a run's data. The count is shown before the next other call of its host.
    fn is_counted(&mut self, host: Host, told: &Told) -> bool {
        let Some(moved) = &mut self.moved else {
            return false;
        };
        let moved = &mut moved[host as usize];
        match &told.event {
            Event::Calling(Call::Send { .. } | Call::Recv { .. }) => return true,
            // One that was seen to begin is seen to return.
            Event::Called(called) if !self.begun.contains_key(&told.by) => {
                if let Some(bytes) = data(called) {
                    moved.calls += 1;
                    moved.bytes += bytes;
                    return true;
                }
            }
            _ => return false,
        }
        let moved = mem::take(moved);
        if moved.calls > 0 {
            let what = What::Moved(moved);
            self.drawing.line(told.time, (host, told.by, what));
        }
        false
    }

    /// What a lab tells, drawn as far as everything before it is known.
    pub(super) fn event(&mut self, event: &Happened, late: i64) -> io::Result<()> {
        self.drawing.event(event, late, &mut self.page)?;
        self.page.pause()
    }

    /// Writes what is known to come before everything that is not here yet: no event and no packet older than `seen` is
    /// to come.
    pub(super) fn draw(&mut self, seen: Time) -> io::Result<()> {
        self.drawing.draw(seen, &mut self.page)?;
        self.page.pause()
    }

    /// Writes all that is left.
    pub(super) fn finish(&mut self) -> io::Result<()> {
        self.drawing.finish(&mut self.page)?;
        self.page.pause()
    }
}

impl Page {
    /// Ends lines that have begun.
    fn interrupt(&mut self) {
        for lines in &mut self.lines {
            lines.interrupt(&mut self.text);
        }
    }

    /// Writes what there is. The program itself speaks as well, and not on a line that has begun.
    fn pause(&mut self) -> io::Result<()> {
        self.interrupt();
        self.write()
    }

    fn write(&mut self) -> io::Result<()> {
        let written = io::stderr().write_all(self.text.as_bytes());
        self.text.clear();
        written
    }
}

/// The bytes that a call has moved, where they are many.
fn data(called: &Called) -> Option<u64> {
    /// Shorter ones have something to say.
    const MANY: usize = 1000;
    let len = match (&called.call, &called.result) {
        (Call::Send { .. }, Ok(Answer::Count(len))) => *len,
        (Call::Recv { .. }, Ok(Answer::Data(data))) => data.len,
        _ => return None,
    };
    (len >= MANY).then_some(len as u64)
}

impl Pen for Page {
    type Line = Entry;

    fn wants(&mut self, header: &Header) -> bool {
        self.own.as_mut().is_none_or(|own| own.has(header))
    }

    fn line(&mut self, at: &str, (host, by, what): Entry) -> io::Result<()> {
        let before = format!("{at} {}", self.names[host as usize]);
        let [client, server] = &mut self.lines;
        let (lines, others) = match host {
            Host::Client => (client, server),
            Host::Server => (server, client),
        };
        others.interrupt(&mut self.text);
        match what {
            What::Began(call) => lines.began(&before, by, &call, &mut self.text),
            What::Returned(called) => lines.returned(&before, by, &called, &mut self.text),
            What::Moved(Moved { calls, bytes }) => {
                lines.interrupt(&mut self.text);
                let words = format!("{before}... {calls} more send and recv, {bytes} bytes\n");
                self.text.push_str(&words);
            }
            What::Said(told) => {
                lines.interrupt(&mut self.text);
                self.write()?;
                self.speech.say(&told);
            }
        }
        Ok(())
    }

    fn rows(&mut self, text: &str) -> io::Result<()> {
        self.pause()?;
        io::stderr().write_all(text.as_bytes())
    }
}

/// Calls that return because of what another one did; the others are causes themselves.
const fn waits_for_others(call: &Call) -> bool {
    matches!(
        call,
        Call::Accept { .. }
            | Call::Recv { .. }
            | Call::RecvFrom { .. }
            | Call::Poll { .. }
            | Call::WaitPid { .. }
    )
}
