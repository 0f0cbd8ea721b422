//! Which call stands where: each in the chapter of its connection, at its end, between the packets before and after it.

use std::collections::{BTreeMap, HashMap};

use super::{Drawn, LinkId, message::Messages};
use crate::{
    call::Address,
    event::{CallId, Deed, PacketId, SocketId, Transport},
    render::trace::picture,
    time::Time,
    timeline::{
        Tie, Timeline,
        row::{Call, Link, Named, Row, Side, What},
    },
    track::story::{self, About, Chapter, Header, Item, Kind, Label, Note},
};

/// Packets of a run that are looked through for the first and the last call.
const NEAR: u64 = 64;

/// A chapter that calls are put into.
struct Draft {
    chapter: Chapter,
    begin: Time,
    link: Option<LinkId>,
    /// The link's left end is the story's server.
    turned: bool,
    /// What comes between its items, in order of time.
    between: Vec<(Time, Item)>,
    messages: Messages,
}

/// A chapter, when it begins, and an end of it.
type Place = (Time, usize, Side);

/// Chapters with calls, and how many calls found none.
pub(super) fn arrange(
    chapters: Vec<Chapter>,
    drawn: &Drawn,
    timeline: &Timeline,
) -> (Vec<Chapter>, u64) {
    let mut drafts = drafts(chapters, drawn);
    let of_packet = tie_rows(&mut drafts, drawn, timeline);
    let places = Places::of(&mut drafts, drawn, timeline, &of_packet);
    let mut homeless = 0;
    for row in &drawn.calls {
        let at = places.of_row(row);
        homeless += u64::from(at.is_empty());
        for (_, index, side) in at {
            let Some(draft) = drafts.get_mut(index) else {
                continue;
            };
            draft.put(row, side, timeline);
        }
    }
    for (at, packet, text) in &drawn.again {
        if let Some(draft) = of_packet.get(packet).and_then(|&at| drafts.get_mut(at)) {
            let note = Note {
                about: About::Trouble,
                time: *at,
                text: text.clone(),
            };
            draft.between.push((*at, Item::Note(note)));
        }
    }
    drafts.sort_by_key(|draft| draft.begin);
    let chapters = drafts.into_iter().map(Draft::finish);
    (chapters.collect(), homeless)
}

/// The story's chapters, each with its connection.
fn drafts(chapters: Vec<Chapter>, drawn: &Drawn) -> Vec<Draft> {
    let drafts = chapters.into_iter().map(|mut chapter| {
        let begin = rows(&chapter).next().map_or(Time::MAX, |row| row.sent);
        let link = rows(&chapter).find_map(|row| drawn.packets.get(&row.number));
        let link = link.map(|(link, _)| *link);
        let known = link.and_then(|link| drawn.links.get(&link));
        let mut turned = false;
        if let Some(known) = known {
            turned = known.ends[1].address.as_ref() == Some(&chapter.header.client)
                && known.ends[0].address.as_ref() != Some(&chapter.header.client);
            chapter.header.label.number = known.number.into();
            chapter.header.stream = None;
            chapter.header.programs = programs(known, turned);
        }
        Draft {
            chapter,
            begin,
            link,
            turned,
            between: Vec::new(),
            messages: Messages::default(),
        }
    });
    drafts.collect()
}

fn rows(chapter: &Chapter) -> impl Iterator<Item = &story::Row> {
    chapter.items.iter().filter_map(|item| match item {
        Item::Row(row) => Some(row),
        _ => None,
    })
}

/// The programs of client and server.
fn programs(link: &Link, turned: bool) -> [Option<String>; 2] {
    let mut programs = link
        .ends
        .each_ref()
        .map(|end| end.who.as_ref().map(picture::program));
    if turned {
        programs.reverse();
    }
    programs
}

/// A chapter of a connection that has no packets.
fn without_packets(id: LinkId, link: &Link, begin: Time, timeline: &Timeline) -> Draft {
    let kind = match id.0 {
        Transport::Unix => Kind::Unix,
        Transport::Udp => Kind::Udp,
        _ => Kind::Tcp,
    };
    let [client, server] = link.ends.each_ref().map(|end| {
        let socket = end.socket.and_then(|id| timeline.known().sockets.get(&id));
        let told = socket.and_then(|socket| socket.local.clone());
        end.address.clone().or(told).unwrap_or(Address::Unnamed)
    });
    let label = Label {
        kind,
        number: link.number.into(),
    };
    let header = Header {
        label,
        stream: None,
        client,
        server,
        interface: u32::MAX,
        programs: programs(link, false),
        states: None,
    };
    let text = match kind {
        Kind::Unix => "Unix sockets: there are no packets",
        _ => "no packet of it was seen",
    };
    // Above everything else.
    let note = Note {
        about: About::Remark,
        time: Time::from_nanos(i64::MIN),
        text: text.to_owned(),
    };
    Draft {
        chapter: Chapter {
            header,
            items: vec![Item::Note(note)],
        },
        begin,
        link: Some(id),
        turned: false,
        between: Vec::new(),
        messages: Messages::default(),
    }
}

/// Gives each packet's row its ties; answers with the chapter of each.
fn tie_rows(drafts: &mut [Draft], drawn: &Drawn, timeline: &Timeline) -> HashMap<PacketId, usize> {
    let mut of_packet = HashMap::new();
    for (at, draft) in drafts.iter_mut().enumerate() {
        for item in &mut draft.chapter.items {
            if let Item::Row(row) = item {
                of_packet.insert(row.number, at);
                row.ties = match row.what {
                    story::What::Run { last, .. } => run_ties(row.number, last, drawn, timeline),
                    _ => ties(row.number, drawn, timeline),
                };
            }
        }
    }
    of_packet
}

/// What calls have to do with a packet, at its sender's and at its receiver's end.
fn ties(packet: PacketId, drawn: &Drawn, timeline: &Timeline) -> [String; 2] {
    let Some(tied) = timeline.join().packet(packet) else {
        return Default::default();
    };
    let [mut sender, receiver] =
        [&tied.causes, &tied.takers].map(|ties| picture::tie(&drawn.named(ties), ties));
    if let (true, Some((_, sent))) = (sender.is_empty(), drawn.packets.get(&packet)) {
        sender = picture::kernel(sent);
    }
    [sender, receiver]
}

/// The same of many packets: the first and the last call.
fn run_ties(first: PacketId, last: PacketId, drawn: &Drawn, timeline: &Timeline) -> [String; 2] {
    let join = timeline.join();
    let Some(begin) = join.packet(first) else {
        return Default::default();
    };
    let is_alike = |packet: &PacketId| {
        let tied = join.packet(*packet);
        tied.is_some_and(|tied| tied.sender == begin.sender && tied.receiver == begin.receiver)
    };
    let near = last.saturating_sub(NEAR).max(first)..=last;
    let end = near.rev().filter(is_alike).find_map(|packet| {
        let tied = join.packet(packet)?;
        (!tied.causes.is_empty() || !tied.takers.is_empty()).then_some(tied)
    });
    let end = end.unwrap_or(begin);
    [(&begin.causes, &end.causes), (&begin.takers, &end.takers)].map(|(begin, end)| {
        let ties: Vec<Tie> = begin
            .first()
            .into_iter()
            .chain(end.last())
            .cloned()
            .collect();
        match &drawn.named(&ties)[..] {
            [from, to] if from.call != to.call => {
                let name = if from.name == to.name {
                    &*from.name
                } else {
                    "call"
                };
                let grounds = picture::tie(std::slice::from_ref(from), &ties);
                let grounds = grounds.split_once(" (").map_or("", |(_, grounds)| grounds);
                format!("{name} #{} to #{} ({grounds}", from.call, to.call)
            }
            [one, ..] => picture::tie(std::slice::from_ref(one), &ties),
            [] => String::new(),
        }
    })
}

impl Drawn {
    fn named(&self, ties: &[Tie]) -> Vec<Named> {
        let named = ties.iter().map(|tie| Named {
            call: tie.call,
            name: self.names.get(&tie.call).cloned().unwrap_or_default(),
        });
        named.collect()
    }
}

/// Where calls belong.
struct Places {
    /// By call, where one of its rows or packets tells.
    calls: HashMap<CallId, Place>,
    /// Chapters by connection, and by socket; of one that listens, those of the connections that it accepted.
    links: HashMap<LinkId, Vec<Place>>,
    sockets: HashMap<SocketId, Vec<Place>>,
}

impl Places {
    /// Also makes the chapters of connections without packets.
    fn of(
        drafts: &mut Vec<Draft>,
        drawn: &Drawn,
        timeline: &Timeline,
        of_packet: &HashMap<PacketId, usize>,
    ) -> Self {
        let mut links: HashMap<LinkId, Vec<Place>> = HashMap::new();
        for (at, draft) in drafts.iter().enumerate() {
            if let Some(link) = draft.link {
                let place = (draft.begin, at, Side::Left);
                links.entry(link).or_default().push(place);
            }
        }
        for row in &drawn.calls {
            let Some(link) = &row.link else { continue };
            let id = (link.transport, link.number);
            links.entry(id).or_insert_with(|| {
                let known = drawn.links.get(&id).unwrap_or(link);
                drafts.push(without_packets(id, known, row.at, timeline));
                vec![(row.at, drafts.len() - 1, Side::Left)]
            });
        }
        let mut sockets: HashMap<SocketId, Vec<Place>> = HashMap::new();
        // In an order of their own: maps have none.
        let known: BTreeMap<(u8, u32), _> = drawn
            .links
            .iter()
            .map(|(id, link)| ((id.0 as u8, id.1), (id, link)))
            .collect();
        for (id, link) in known.into_values() {
            let there = links.get(id).map_or(&[][..], Vec::as_slice);
            for (end, side) in link.ends.iter().zip([Side::Left, Side::Right]) {
                if let Some(socket) = end.socket {
                    let places = there.iter().map(|&(begin, at, _)| (begin, at, side));
                    sockets.entry(socket).or_default().extend(places);
                }
            }
        }
        for call in drawn.calls.iter().filter_map(whole) {
            let Some((_, back)) = &call.answer else {
                continue;
            };
            if let (Deed::Accept, Some(listener), Some(opened)) =
                (call.enter.deed, call.enter.socket, back.opened)
                && let Some(places) = sockets.get(&opened).cloned()
            {
                sockets.entry(listener).or_default().extend(places);
            }
        }
        for places in links.values_mut().chain(sockets.values_mut()) {
            places.sort_unstable();
        }
        let mut places = Self {
            calls: HashMap::new(),
            links,
            sockets,
        };
        places.calls = places.by_call(drafts, drawn, timeline, of_packet);
        places
    }

    fn by_call(
        &self,
        drafts: &[Draft],
        drawn: &Drawn,
        timeline: &Timeline,
        of_packet: &HashMap<PacketId, usize>,
    ) -> HashMap<CallId, Place> {
        let mut calls = HashMap::new();
        for row in &drawn.calls {
            let (Some(call), Some(link)) = (whole(row), &row.link) else {
                continue;
            };
            let id = (link.transport, link.number);
            let mut there = self.links.get(&id).and_then(|places| at(places, row.at));
            // Of datagrams the packet knows better than the time which exchange it was.
            let effects = timeline.join().call(call.enter.call);
            let packet = effects.and_then(|effects| effects.caused.first());
            if let Some(&chapter) = packet.and_then(|(packet, ..)| of_packet.get(packet))
                && let Some(draft) = drafts.get(chapter).filter(|draft| draft.link == Some(id))
            {
                there = Some((draft.begin, chapter, row.side));
            }
            if let Some((begin, chapter, _)) = there {
                calls.insert(call.enter.call, (begin, chapter, row.side));
            }
        }
        calls
    }

    /// The chapters and ends of a row; several of a call that closes several sockets.
    fn of_row(&self, row: &Row) -> Vec<Place> {
        if let What::Run(_) = row.what {
            let id = row.link.as_ref().map(|link| (link.transport, link.number));
            let places = id.and_then(|id| self.links.get(&id));
            let place = places.and_then(|places| at(places, row.at));
            let place = place.map(|(begin, chapter, _)| (begin, chapter, row.side));
            return place.into_iter().collect();
        }
        let (enter, back) = match &row.what {
            What::Call(call) => (&call.enter, call.answer.as_ref()),
            What::Idle(idle) => (&idle.enter, None),
            _ => return Vec::new(),
        };
        if let Some(&place) = self.calls.get(&enter.call) {
            return vec![place];
        }
        let opened = back.and_then(|(_, back)| back.opened);
        let closes = enter.closes.iter().copied();
        let mut places: Vec<Place> = match enter.socket.or(opened) {
            Some(socket) => vec![socket],
            None => closes.collect(),
        }
        .into_iter()
        .filter_map(|socket| at(self.sockets.get(&socket)?, row.at))
        .collect();
        places.sort_unstable();
        places.dedup_by_key(|(_, chapter, side)| (*chapter, *side));
        places
    }
}

/// The last chapter that had begun by then, or the first.
fn at(places: &[Place], time: Time) -> Option<Place> {
    let begun = places.partition_point(|(begin, ..)| *begin <= time);
    places.get(begun.saturating_sub(1)).copied()
}

fn causes(call: &Item, packet: &Item) -> bool {
    match (call, packet) {
        (Item::Call(call), Item::Row(row)) => call.packets[0].contains(&row.number),
        _ => false,
    }
}

fn whole(row: &Row) -> Option<&Call> {
    match &row.what {
        What::Call(call) => Some(call),
        _ => None,
    }
}

impl Draft {
    /// Puts a row between the items.
    fn put(&mut self, row: &Row, side: Side, timeline: &Timeline) {
        let end = side.in_story(self.turned);
        let (mut call, who, thread) = match &row.what {
            What::Call(call) => (picture::call(call), &call.who, call.enter.by.thread),
            What::Idle(idle) => (picture::idle(idle), &idle.who, idle.enter.by.thread),
            What::Run(run) => {
                self.messages.run(side, run);
                let text = picture::sentence(&row.what).unwrap_or_default();
                let note = Note {
                    about: About::Remark,
                    time: run.since,
                    text,
                };
                return self.between.push((run.since, Item::Note(note)));
            }
            _ => return,
        };
        (call.side, call.time) = (end, row.at);
        let mut says = Vec::new();
        let program = picture::program(who);
        if self.chapter.header.programs[end as usize].as_ref() != Some(&program) {
            says.push(program);
        }
        if thread != who.process {
            says.push(format!("thread {thread}"));
        }
        call.who = says.join(" ");
        if let Some(effects) = timeline.join().call(call.enter.call) {
            call.packets = [&effects.caused, &effects.took]
                .map(|packets| packets.iter().map(|(packet, ..)| *packet).collect());
        }
        self.between.push((row.at, Item::Call(call)));
        if let (What::Call(call), Some((Transport::Unix, _))) = (&row.what, self.link) {
            let is_datagram = self.is_datagram(call, timeline);
            let place = self.between.len();
            let message = self.messages.call(call, side, is_datagram, place);
            let message = message.map(|message| {
                let message = story::Row {
                    sent: row.at,
                    ..message
                };
                (row.at, Item::Row(message))
            });
            self.between.extend(message);
        }
    }

    fn is_datagram(&self, call: &Call, timeline: &Timeline) -> bool {
        let sockets = &timeline.known().sockets;
        let socket = call.enter.socket.and_then(|id| sockets.get(&id));
        socket.is_some_and(|socket| socket.kind != "SOCK_STREAM")
    }

    /// Items and what comes between them, in order of time.
    fn finish(mut self) -> Chapter {
        for (at, taker) in self.messages.takers() {
            if let Some((_, Item::Row(row))) = self.between.get_mut(at) {
                row.ties[1] = taker;
            }
        }
        // What was put together stands where it begins; a wire's second copies came last.
        self.between.sort_by_key(|(at, _)| *at);
        let mut between = self.between.into_iter().peekable();
        let mut items = Vec::new();
        // A section stands above its first packet, and the call that caused that.
        let mut section = None;
        for item in std::mem::take(&mut self.chapter.items) {
            let time = match &item {
                Item::Section(_) => {
                    section = Some(item);
                    continue;
                }
                Item::Row(row) => row.sent,
                Item::Note(note) => note.time,
                Item::Flow(_) | Item::Call(_) => Time::default(),
            };
            let before = |(at, _): &(Time, Item)| *at < time;
            let mut earlier: Vec<Item> = std::iter::from_fn(|| between.next_if(before))
                .map(|(_, item)| item)
                .collect();
            if let Some(section) = section.take() {
                let causes = earlier.iter().position(|call| causes(call, &item));
                earlier.insert(causes.unwrap_or(earlier.len()), section);
            }
            items.append(&mut earlier);
            items.push(item);
        }
        items.extend(section);
        items.extend(between.map(|(_, item)| item));
        self.chapter.items = items;
        self.chapter
    }
}
