//! Calls, packets and words in the order of their times: a ladder, and between its rows the calls that cause them.

use std::{
    collections::HashMap,
    io::{self, Write as _},
};

use sockwire::{
    call::{Call, Called, Caller},
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
    super::{
        drawing::{Drawing, Pen, Place},
        output,
    },
    Words,
    own::Own,
};

/// A call shorter than this is one moment, in nanoseconds: its packets stand below it.
const MOMENT: i64 = MILLISECOND;

/// An event on its way to be shown, with its host and its caller.
pub(super) type Entry = (Host, Caller, What);

pub(super) enum What {
    Began(Call),
    Returned(Called),
    /// Something that the program's own words are about.
    Said(Told),
}

/// Puts everything into order, and writes it.
pub(super) struct Timeline {
    /// Packets, and the events whose turn has not come.
    pub(super) drawing: Drawing<Entry>,
    /// Of those, the beginnings of calls that have not returned.
    begun: HashMap<Caller, Place>,
    page: Page,
}

/// Where it is written: calls and packets on stderr, the program's words on standard output.
struct Page {
    /// Which conversations are shown; without it all of them.
    own: Option<Own>,
    /// Calls of client and server; the names of the hosts stand before them where there are two.
    lines: [Lines; 2],
    names: [&'static str; 2],
    words: Words,
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
    /// Only the conversations of the program's sockets.
    pub(super) own_only: bool,
    /// Both hosts have a program that tells.
    pub(super) two: bool,
    /// Where the program runs that has something to say.
    pub(super) speaker: Host,
}

impl Timeline {
    pub(super) fn new(options: TimelineOptions, words: Words) -> Self {
        // On an interface, packets must tell; of two hosts of our own, everything is known.
        let listening = options.two.then(Vec::new);
        Self {
            drawing: Drawing::new(options.ladder, listening, options.two),
            begun: HashMap::new(),
            page: Page {
                own: options.own_only.then(Own::default),
                lines: [Lines::new(options.calls), Lines::new(options.calls)],
                names: match options.two {
                    true => ["client ", "server "],
                    false => [""; 2],
                },
                words,
                speaker: options.speaker,
                text: String::new(),
            },
        }
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
    /// Writes what there is. The program itself speaks as well, and not on a line that has begun.
    fn pause(&mut self) -> io::Result<()> {
        for lines in &mut self.lines {
            lines.interrupt(&mut self.text);
        }
        self.write()
    }

    fn write(&mut self) -> io::Result<()> {
        let written = io::stderr().write_all(self.text.as_bytes());
        self.text.clear();
        written
    }
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
            What::Said(told) => {
                lines.interrupt(&mut self.text);
                self.write()?;
                output::print(&(self.words)(&told))?;
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
