//! Calls, packets and words in the order of their times: a ladder, and between its rows the calls that cause them.

use std::{
    collections::{BTreeMap, HashMap},
    io::{self, Write as _},
};

use sockwire::{
    call::{Call, Called, Caller},
    decode::{Decoded, Decoder},
    frame::Batch,
    lab::{
        Host,
        channel::{Heard, Hearer},
    },
    render::{
        call::{Lines, Options},
        ladder::{Ladder, LadderOptions, Layout},
    },
    sockets::{Event, Told},
    time::{MILLISECOND, SECOND, Time},
    track::{
        Tracker,
        story::{Item, Label, Sight, Story, StoryOptions},
    },
};

use super::{super::output, Words, own::Own};

/// A call shorter than this is one moment, in nanoseconds: its packets stand below it.
const MOMENT: i64 = MILLISECOND;

/// An event on its way to be shown.
enum Entry {
    Began(Call),
    Returned(Called),
    /// Something that the program's own words are about.
    Said(Told),
}

/// A call's place among the events: its time, and a number that tells it from others of that time.
type Place = (Time, u64);

/// Puts everything into order, and writes it.
pub(super) struct Timeline {
    decoder: Decoder,
    decoded: Decoded,
    tracker: Tracker,
    story: Story,
    ladder: Ladder,
    layout: Layout,
    items: Vec<Item>,
    /// Which conversations are shown; without it all of them.
    own: Option<Own>,
    /// The conversation that items are about, and whether it is shown.
    current: (Option<Label>, bool),
    /// Titles of the row to come: what happened before it stands above them.
    ahead: Vec<Item>,
    /// The conversation that the last row was about.
    shown: Option<Label>,
    /// Events whose turn has not come.
    waiting: BTreeMap<Place, (Host, Caller, Entry)>,
    /// Of those, the beginnings of calls that have not returned.
    begun: HashMap<Caller, Place>,
    events: u64,
    /// Calls of client and server; the names of the hosts stand before them where there are two.
    lines: [Lines; 2],
    names: [&'static str; 2],
    words: Words,
    /// Whose words are said: the program's.
    speaker: Host,
    /// What times count from.
    origin: Time,
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
        let origin = options.ladder.origin.unwrap_or_default();
        Self {
            decoder: Decoder::default(),
            decoded: Decoded::default(),
            tracker: Tracker::default(),
            story: Story::new(StoryOptions {
                // On an interface, packets must tell; of two hosts of our own, everything is known.
                listening: options.two.then(Vec::new),
                ..StoryOptions::default()
            }),
            layout: options.ladder.layout,
            ladder: Ladder::new(options.ladder),
            items: Vec::new(),
            own: options.own_only.then(Own::default),
            current: (None, true),
            ahead: Vec::new(),
            shown: None,
            waiting: BTreeMap::new(),
            begun: HashMap::new(),
            events: 0,
            lines: [Lines::new(options.calls), Lines::new(options.calls)],
            names: if options.two {
                ["client ", "server "]
            } else {
                [""; 2]
            },
            words,
            speaker: options.speaker,
            origin,
            text: String::new(),
        }
    }

    /// Names of the interfaces, by index.
    pub(super) fn interfaces(&mut self, names: Vec<String>) {
        self.ladder.interfaces(names);
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
        if let Some(own) = &mut self.own {
            own.event(&told.event);
        }
        self.events += 1;
        let Told { time, by, event } = told;
        let place = (time, self.events);
        let (place, entry) = match event {
            Event::Calling(call) => {
                self.begun.insert(by, place);
                (place, Entry::Began(call))
            }
            Event::Called(called) => {
                let begun = self.begun.remove(&by);
                let returned = time.plus(called.took);
                // A call that cannot wait is told of once; how long it was kept from running says nothing.
                let is_moment = called.took < MOMENT || begun.is_none();
                if is_moment {
                    // Its beginning need not be seen, unless it has been already.
                    begun.map(|begun| self.waiting.remove(&begun));
                }
                let time = match is_moment && !waits_for_others(&called.call) {
                    true => time,
                    false => returned,
                };
                ((time, self.events), Entry::Returned(called))
            }
            event if host == self.speaker => (place, Entry::Said(Told { time, by, event })),
            _ => return,
        };
        self.waiting.insert(place, (host, by, entry));
    }

    /// Packet `index` of `batch`, which begins a row now or later.
    pub(super) fn packet(&mut self, batch: &Batch, index: usize, sight: Sight, is_lost: bool) {
        if index == 0 {
            self.decoder.batch(batch, &mut self.decoded);
        }
        // Nobody puts together a datagram of which a fragment never arrives.
        if !is_lost {
            self.tracker
                .packet(&self.decoder, batch, &mut self.decoded, index);
        }
        if let Some(packet) = self.decoded.packet(batch, index) {
            self.story.packet(&packet, sight, &mut self.items);
        }
    }

    /// What follows the packets: their fates, and times at which nothing happened.
    pub(super) fn story(&mut self, tell: impl FnOnce(&mut Story, &mut Vec<Item>)) {
        tell(&mut self.story, &mut self.items);
    }

    /// Writes what is known to come before everything that is not here yet: no event and no packet older than `seen` is
    /// to come.
    pub(super) fn draw(&mut self, seen: Time) -> io::Result<()> {
        let items = std::mem::take(&mut self.items);
        for item in &items {
            self.item(item)?;
        }
        self.items = items;
        self.items.clear();
        let held = self.story.held_since().unwrap_or(seen);
        self.calls_before(held.min(seen))?;
        // The program itself speaks as well, and not on a line that has begun.
        self.interrupt();
        self.write()
    }

    /// Writes all that is left.
    pub(super) fn finish(&mut self) -> io::Result<()> {
        self.story.finish(&mut self.items);
        self.draw(Time::from_nanos(i64::MAX))
    }

    fn item(&mut self, item: &Item) -> io::Result<()> {
        if let Item::Flow(header) = item {
            let is_shown = self.own.as_mut().is_none_or(|own| own.has(header));
            self.current = (Some(header.label), is_shown);
            // Others may have spoken in between, unseen.
            if is_shown && self.shown.replace(header.label) == Some(header.label) {
                return Ok(());
            }
        }
        if !self.current.1 {
            return Ok(());
        }
        if let Item::Flow(_) | Item::Section(_) = item {
            self.ahead.push(item.clone());
            return Ok(());
        }
        if let Item::Row(row) = item {
            self.calls_before(row.sent)?;
        }
        self.interrupt();
        self.write()?;
        for title in self.ahead.drain(..) {
            self.ladder.write(&title, &mut io::stderr())?;
        }
        self.ladder.write(item, &mut io::stderr())
    }

    /// Events up to `until`, in order.
    fn calls_before(&mut self, until: Time) -> io::Result<()> {
        while let Some(first) = self
            .waiting
            .first_entry()
            .filter(|entry| entry.key().0 <= until)
        {
            let ((time, _), (host, by, entry)) = first.remove_entry();
            let before = format!("{} {}", self.time(time), self.names[host as usize]);
            let [client, server] = &mut self.lines;
            let (lines, others) = match host {
                Host::Client => (client, server),
                Host::Server => (server, client),
            };
            others.interrupt(&mut self.text);
            match entry {
                Entry::Began(call) => lines.began(&before, by, &call, &mut self.text),
                Entry::Returned(called) => lines.returned(&before, by, &called, &mut self.text),
                Entry::Said(told) => {
                    lines.interrupt(&mut self.text);
                    self.write()?;
                    output::print(&(self.words)(&told))?;
                }
            }
        }
        Ok(())
    }

    fn interrupt(&mut self) {
        for lines in &mut self.lines {
            lines.interrupt(&mut self.text);
        }
    }

    /// As the ladder's own rows have it.
    fn time(&self, time: Time) -> String {
        let since = time.since(self.origin) as f64;
        match self.layout {
            Layout::Lab => format!("{:>7.2}", since / MILLISECOND as f64),
            Layout::Watch => format!("{:>10.6}", since / SECOND as f64),
        }
    }

    fn write(&mut self) -> io::Result<()> {
        let written = io::stderr().write_all(self.text.as_bytes());
        self.text.clear();
        written
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
