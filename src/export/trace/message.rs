//! What calls of Unix sockets give each other: no packet carries it, so bytes are counted, and datagrams.

use std::{ops::Range, slice::from_ref};

use crate::{
    event::Deed,
    render::trace::picture,
    timeline::{
        Ground, Share, Tie,
        row::{Call, Named, Run, Side},
    },
    track::story::{self, EXCERPT, Fate},
};

/// What was sent or received in one call.
#[derive(Debug)]
struct Moved {
    /// Where it lies, counted from the beginning.
    range: Range<u64>,
    call: Named,
    tie: Tie,
    /// Where its row stands; of what was sent.
    place: usize,
}

/// What was sent, or received, in one direction.
#[derive(Debug, Default)]
struct Moves {
    end: u64,
    list: Vec<Moved>,
}

impl Moves {
    fn push(&mut self, call: &Call, count: u64, ground: Ground, place: usize) -> &Moved {
        let range = self.end..self.end.saturating_add(count);
        self.end = range.end;
        let number = call.enter.call;
        self.list.push(Moved {
            call: Named {
                call: number,
                name: call.enter.name.clone(),
            },
            tie: Tie {
                call: number,
                share: Share::Bytes(range.clone()),
                ground,
            },
            range,
            place,
        });
        &self.list[self.list.len() - 1]
    }
}

/// Both directions between two sockets: what was sent from the left and from the right, and what was received of it.
#[derive(Debug, Default)]
pub(super) struct Messages {
    sent: [Moves; 2],
    taken: [Moves; 2],
}

impl Messages {
    /// A call by the socket at `side`; gives the row of what it sends, which is to stand at `place`.
    pub(super) fn call(
        &mut self,
        call: &Call,
        side: Side,
        is_datagram: bool,
        place: usize,
    ) -> Option<story::Row> {
        let (_, back) = call.answer.as_ref()?;
        // Datagrams come whole, an empty one too.
        let (count, ground) = match (is_datagram, back.result) {
            (_, Err(_)) => return None,
            (true, Ok(_)) => (1, Ground::Order),
            (false, Ok(_)) => (call.moved(), Ground::Sequence),
        };
        if count == 0 {
            return None;
        }
        match call.enter.deed {
            Deed::Send => {
                let sent = self.sent[side as usize].push(call, count, ground, place);
                let tie = picture::tie(from_ref(&sent.call), from_ref(&sent.tie));
                let part = call.enter.parts.first();
                let head = part.map_or(&[][..], |part| &part.data.head);
                Some(story::Row {
                    from: side.in_story(false),
                    sent: call.entered,
                    fate: Fate::Seen,
                    states: None,
                    what: story::What::Message(call.moved()),
                    data: head[..head.len().min(EXCERPT)].to_vec(),
                    number: 0,
                    ties: [tie, String::new()],
                })
            }
            Deed::Receive => {
                self.taken[side.other() as usize].push(call, count, ground, place);
                None
            }
            _ => None,
        }
    }

    /// Calls that were put together.
    pub(super) fn run(&mut self, from: Side, run: &Run) {
        let sent = &mut self.sent[from as usize].end;
        *sent = sent.saturating_add(run.sends.1);
        let taken = &mut self.taken[from as usize].end;
        *taken = taken.saturating_add(run.receives.1);
    }

    /// Where rows stand, and the calls that got what they carry.
    pub(super) fn takers(&self) -> Vec<(usize, String)> {
        let mut takers = Vec::new();
        for (sent, taken) in self.sent.iter().zip(&self.taken) {
            let mut rest = &taken.list[..];
            for sent in &sent.list {
                let over = rest.partition_point(|taken| taken.range.end <= sent.range.start);
                rest = &rest[over..];
                let got = rest.partition_point(|taken| taken.range.start < sent.range.end);
                let got = &rest[..got];
                let calls: Vec<Named> = got.iter().map(|taken| taken.call.clone()).collect();
                let ties: Vec<Tie> = got.iter().map(|taken| taken.tie.clone()).collect();
                takers.push((sent.place, picture::tie(&calls, &ties)));
            }
        }
        takers
    }
}
