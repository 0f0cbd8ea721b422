//! Watches interfaces: down, up again, deleted, each by name.

use std::collections::VecDeque;

use crate::{
    frame::{InterfaceChange, InterfaceState},
    sys::packet::PacketSocket,
    time::{MILLISECOND, Time},
};

/// How often the kernel is asked, in nanoseconds.
const EVERY: i64 = 500 * MILLISECOND;

/// The interfaces of a capture and their last known states.
#[derive(Debug, Default)]
pub(super) struct Links {
    watched: Vec<Watched>,
    looked: Option<Time>,
    news: VecDeque<(InterfaceChange, u32)>,
}

#[derive(Debug)]
struct Watched {
    ifindex: u32,
    name: String,
    up: bool,
}

impl Links {
    /// Begins to watch an interface, unless it is watched already.
    pub(super) fn watch(&mut self, ifindex: u32, name: String, up: bool) {
        if !self.watched.iter().any(|w| w.ifindex == ifindex) {
            self.watched.push(Watched { ifindex, name, up });
        }
    }

    /// The next change, with the number of its interface; looks at most every half second.
    pub(super) fn next(
        &mut self,
        socket: &PacketSocket,
        now: Time,
    ) -> Option<(InterfaceChange, u32)> {
        if self
            .looked
            .is_none_or(|then| now.since(then) >= EVERY || now < then)
        {
            self.looked = Some(now);
            self.look(socket, now);
        }
        self.news.pop_front()
    }

    fn look(&mut self, socket: &PacketSocket, time: Time) {
        let news = &mut self.news;
        self.watched.retain_mut(|watched| {
            // By number first: a name can pass to another interface.
            let present = socket.name_of(watched.ifindex);
            let up = present.and_then(|name| {
                watched.name = name;
                socket.is_up(watched.ifindex)
            });
            let state = match up {
                Err(_) => InterfaceState::Deleted,
                Ok(up) if up == watched.up => return true,
                Ok(true) => InterfaceState::Up,
                Ok(false) => InterfaceState::Down,
            };
            watched.up = state == InterfaceState::Up;
            let name = watched.name.clone();
            news.push_back((InterfaceChange { name, time, state }, watched.ifindex));
            state != InterfaceState::Deleted
        });
    }
}
