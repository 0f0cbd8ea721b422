//! Calls that have not returned when a trace, or a signal their process, ends: two programs that wait for each other say nothing else.

use std::collections::HashSet;

use super::{Open, Rows};
use crate::{
    call::Address,
    event::{Deed, Socket},
    timeline::{known::Known, row::What},
    track::story::Span,
};

/// Calls, the last of those that have not returned, that are looked at.
const LAST: usize = 1024;
/// Calls that are told of.
const TOLD: usize = 16;

impl Rows {
    /// Tells which calls of `process`, or of all that have not ended, wait.
    pub(super) fn wait(&mut self, process: Option<u32>, known: &Known) {
        let last = self.open.values().rev().take(LAST);
        let alive = |open: &&Open| self.who.contains_key(&open.who.process);
        let open: Vec<&Open> = last.filter(alive).collect();
        let receives = open.iter().filter(|open| open.enter.deed == Deed::Receive);
        let receiving: HashSet<_> = receives.filter_map(|open| ends(open, known)).collect();
        let of_it = |open: &&&Open| process.is_none_or(|process| open.who.process == process);
        let waiting = open.iter().filter(|open| open.enter.deed != Deed::Close);
        let told = waiting.filter(of_it).take(TOLD).map(|open| {
            let lasted = Span(self.now.since(open.entered));
            let (name, number) = (&open.enter.name, open.enter.call);
            // One that was attached to has begun before.
            let least = if open.enter.waited { "at least " } else { "" };
            let other = ends(open, known).map(|(local, peer)| (peer, local));
            let both = open.enter.deed == Deed::Receive
                && other.is_some_and(|other| receiving.contains(&other));
            let both = if both {
                ": both ends wait for data"
            } else {
                ""
            };
            let text = format!("{name} #{number} still waits, {least}{lasted}{both}");
            (open.who.clone(), text)
        });
        let mut told: Vec<_> = told.collect();
        told.reverse();
        for (who, text) in told {
            self.plain(Some(who.process), What::Note(Some(who), text));
        }
    }
}

/// The two ends of the connection that a call is about.
fn ends<'a>(open: &Open, known: &'a Known) -> Option<(&'a Address, &'a Address)> {
    let socket: &Socket = known.sockets.get(&open.enter.socket?)?;
    let ends = (socket.local.as_ref()?, socket.peer.as_ref()?);
    matches!(ends, (Address::Ip(_), Address::Ip(_))).then_some(ends)
}
