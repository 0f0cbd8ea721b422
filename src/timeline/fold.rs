//! Rows that say the same again and again are put together: calls that do not get on, and runs of data.

use std::{
    borrow::Cow,
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use super::{
    Kernel,
    row::{Call, Form, Idle, Link, Row, Run, Sent, Side, What, Who},
    seen,
};
use crate::{
    event::{CallId, Deed, Enter, PacketId, SocketId, Transport},
    time::{MILLISECOND, SECOND, Time},
};

/// So many calls that got nothing from a stream that has ended: the loop has no break.
pub const ENDLESS: u64 = 10;
/// So many calls in a second without a pause between them: the loop has no break.
pub const BUSY: u64 = 1_000;

/// A row's place among those that wait.
type Place = (Time, u64);

/// Calls that are the same for a reader.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Key {
    socket: Option<SocketId>,
    /// Of a call that is about no socket.
    thread: u32,
    name: Cow<'static, str>,
}

impl Key {
    pub(super) fn of(enter: &Enter) -> Self {
        Self {
            socket: enter.socket,
            thread: enter.socket.map_or(enter.by.thread, |_| 0),
            name: enter.name.clone(),
        }
    }
}

/// Why a call does not get on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stuck {
    /// It would have had to wait.
    Again,
    /// It moved nothing.
    Nothing,
}

#[derive(Debug)]
struct Stay {
    stuck: Stuck,
    /// Since the last success.
    total: u64,
    /// Since the last row.
    times: u64,
    since: Time,
    until: Time,
    enter: Arc<Enter>,
    who: Who,
    result: Result<i64, i32>,
    place: Option<Place>,
}

/// What becomes of a call.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It is told of together with others, in a row that waits already, or must be made.
    Folded {
        /// A row is to be made.
        new: bool,
    },
    /// It has a row of its own.
    Shown {
        /// How often the same call said `EAGAIN` before.
        after: u64,
        /// The row that would have told of those.
        instead_of: Option<Place>,
    },
}

/// Calls that do not get on.
#[derive(Debug, Default)]
pub(super) struct Idles {
    stays: BTreeMap<Key, Stay>,
}

impl Idles {
    /// Takes a call that has returned; `soon` when it did not wait.
    pub(super) fn push(&mut self, call: &Call, is_stream: bool, soon: bool) -> Fate {
        let Some((at, back)) = &call.answer else {
            return Fate::Shown {
                after: 0,
                instead_of: None,
            };
        };
        let key = Key::of(&call.enter);
        let soon = soon || self.is_endless(&key);
        let stuck = stuck(call, back.result, is_stream).filter(|_| soon);
        if let (Some(stay), Some(stuck)) = (self.stays.get_mut(&key), stuck)
            && stay.stuck == stuck
        {
            stay.total += 1;
            stay.times += 1;
            if stay.times == 1 {
                stay.since = call.entered;
            }
            stay.until = *at;
            stay.enter = call.enter.clone();
            stay.result = back.result;
            return Fate::Folded {
                new: stay.place.is_none(),
            };
        }
        let before = match stuck {
            // What is to be told of nothing stays to be told.
            None if self
                .stays
                .get(&key)
                .is_none_or(|stay| stay.stuck == Stuck::Nothing) =>
            {
                None
            }
            _ => self.stays.remove(&key),
        };
        let shown = Fate::Shown {
            after: before.as_ref().map_or(0, |stay| stay.total),
            instead_of: before.and_then(|stay| stay.place),
        };
        let Some(stuck) = stuck else { return shown };
        // The first that got nothing is the end of the stream: it is shown.
        let times = u64::from(stuck == Stuck::Again);
        let stay = Stay {
            stuck,
            total: times,
            times,
            since: call.entered,
            until: *at,
            enter: call.enter.clone(),
            who: call.who.clone(),
            result: back.result,
            place: None,
        };
        self.stays.insert(key, stay);
        match stuck {
            Stuck::Again => Fate::Folded { new: true },
            Stuck::Nothing => shown,
        }
    }

    /// A loop calls it on a stream that has ended: one that takes long did not wait for data, its thread did not run.
    pub(super) fn is_endless(&self, key: &Key) -> bool {
        let stay = self.stays.get(key);
        stay.is_some_and(|stay| stay.stuck == Stuck::Nothing && stay.total >= ENDLESS)
    }

    /// Where the row is that will tell of these calls.
    pub(super) fn told_at(&self, key: &Key) -> Option<Place> {
        self.stays.get(key)?.place
    }

    /// The row that tells of these calls is there from now on; where it was before.
    pub(super) fn tell_at(&mut self, key: &Key, place: Place) -> Option<Place> {
        self.stays.get_mut(key)?.place.replace(place)
    }

    /// The row that tells of these calls, when there are any.
    pub(super) fn tell(&mut self, key: &Key) -> Option<Idle> {
        let stay = self.stays.get_mut(key)?;
        stay.place = None;
        let times = std::mem::take(&mut stay.times);
        let length = stay.until.since(stay.since);
        let busy = times >= BUSY && length / MILLISECOND <= times.cast_signed();
        (times > 0).then(|| Idle {
            who: stay.who.clone(),
            enter: stay.enter.clone(),
            result: stay.result,
            times,
            since: stay.since,
            until: stay.until,
            no_break: match stay.stuck {
                Stuck::Nothing => stay.total >= ENDLESS,
                Stuck::Again => busy,
            },
        })
    }

    /// Those of a socket.
    pub(super) fn of(&self, socket: SocketId) -> Vec<Key> {
        let first = Key {
            socket: Some(socket),
            thread: 0,
            name: Cow::Borrowed(""),
        };
        let of_socket = self.stays.range(first..);
        let of_socket = of_socket.take_while(|(key, _)| key.socket == Some(socket));
        of_socket.map(|(key, _)| key.clone()).collect()
    }

    /// Nobody will call anything on this socket any more.
    pub(super) fn forget(&mut self, socket: SocketId) {
        for key in self.of(socket) {
            self.stays.remove(&key);
        }
    }

    /// All that have something to tell.
    pub(super) fn keys(&self) -> Vec<Key> {
        let untold = self.stays.iter().filter(|(_, stay)| stay.times > 0);
        untold.map(|(key, _)| key.clone()).collect()
    }
}

/// Why a call did not get on, when it did not.
fn stuck(call: &Call, result: Result<i64, i32>, is_stream: bool) -> Option<Stuck> {
    let moves = matches!(call.enter.deed, Deed::Send | Deed::Receive);
    match result {
        Err(libc::EAGAIN) if moves || matches!(call.enter.deed, Deed::Accept | Deed::Peek) => {
            Some(Stuck::Again)
        }
        // It waited for nothing and found nothing.
        Ok(0) if call.enter.deed == Deed::Wait && call.took() < Some(MILLISECOND) => {
            Some(Stuck::Again)
        }
        Ok(0) if moves && is_stream && call.moved() == 0 => Some(Stuck::Nothing),
        _ => None,
    }
}

/// Rows of data in one direction that are shown one by one; those behind are put together.
const UNFOLDED: u32 = 24;
/// The same after something else happened in a long run.
const UNFOLDED_AGAIN: u32 = 4;
/// A pause as long as this, in nanoseconds, and there is time to read each row.
const PAUSE: i64 = 50 * MILLISECOND;

/// A link by transport and number.
pub(super) type LinkId = (Transport, u32);

/// Data in one direction of a link.
#[derive(Debug)]
struct Course {
    link: Arc<Link>,
    /// From which end the data comes.
    from: Side,
    /// Rows of data so far.
    rows: u32,
    last: Time,
    run: Option<Run>,
    /// Calls that were entered and did not return.
    waiting: Vec<Row>,
}

/// What a row is in a run of data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Piece {
    /// Data on its way from this end.
    Data(Side),
    /// An acknowledgment of data from this end.
    Ack(Side),
    /// A call that waits to send or to receive data from this end.
    Waits(Side),
}

/// Runs of data.
#[derive(Debug, Default)]
pub(super) struct Runs {
    courses: HashMap<LinkId, Course>,
}

impl Runs {
    /// Takes a row, and passes on what is not put together. Gives a run that begins: it is to be told of after a second.
    pub(super) fn push(&mut self, row: Row, ready: &mut Vec<Row>) -> Option<LinkId> {
        if matches!(row.what, What::End(_)) {
            self.end(row.at, ready);
        }
        let Some(link) = &row.link else {
            ready.push(row);
            return None;
        };
        let id = (link.transport, link.number);
        let Some(piece) = piece(&row) else {
            if let Some(course) = self.courses.get_mut(&id) {
                course.flush(row.at, ready);
                course.rows = course.rows.min(UNFOLDED - UNFOLDED_AGAIN);
                if is_end(&row) {
                    self.courses.remove(&id);
                }
            }
            ready.push(row);
            return None;
        };
        let new = || Course {
            link: link.clone(),
            from: row.side,
            rows: 0,
            last: row.at,
            run: None,
            waiting: Vec::new(),
        };
        let course = match piece {
            Piece::Data(_) => self.courses.entry(id).or_insert_with(new),
            // Acknowledgments follow the end, too: a course begins with data.
            Piece::Ack(_) | Piece::Waits(_) => match self.courses.get_mut(&id) {
                Some(course) => course,
                None => {
                    ready.push(row);
                    return None;
                }
            },
        };
        if let Piece::Data(from) = piece {
            if course.from != from || row.at.since(course.last) >= PAUSE {
                course.flush(row.at, ready);
                (course.from, course.rows) = (from, 0);
            }
            course.rows = course.rows.saturating_add(1);
            course.last = row.at;
        }
        let is_beside = match piece {
            Piece::Data(_) => false,
            Piece::Ack(from) | Piece::Waits(from) => from != course.from,
        };
        if course.rows <= UNFOLDED || is_beside {
            ready.push(row);
            return None;
        }
        course.swallow(row, ready).then_some(id)
    }

    /// A second has passed since a run began.
    pub(super) fn second(&mut self, id: LinkId, at: Time, ready: &mut Vec<Row>) {
        if let Some(course) = self.courses.get_mut(&id) {
            let is_due = |run: &Run| at.since(run.since) >= SECOND;
            if course.run.as_ref().is_some_and(is_due) {
                course.flush(at, ready);
            }
        }
    }

    /// Tells of all runs.
    pub(super) fn end(&mut self, at: Time, ready: &mut Vec<Row>) {
        let mut ids: Vec<LinkId> = self.courses.keys().copied().collect();
        ids.sort_by_key(|(transport, number)| (*transport as u8, *number));
        for id in ids {
            if let Some(mut course) = self.courses.remove(&id) {
                course.flush(at, ready);
            }
        }
    }
}

impl Course {
    /// Puts a row to the run. True when that begins with it.
    fn swallow(&mut self, row: Row, ready: &mut Vec<Row>) -> bool {
        if let What::Call(call) = &row.what {
            if call.form == Form::Entered {
                self.waiting.push(row);
                return false;
            }
            if call.form == Form::Returned {
                let number = call.enter.call;
                let begun =
                    |row: &Row| matches!(&row.what, What::Call(c) if c.enter.call == number);
                match self.waiting.iter().position(begun) {
                    Some(at) => drop(self.waiting.swap_remove(at)),
                    // Its beginning was shown.
                    None => {
                        ready.push(row);
                        return false;
                    }
                }
            }
        }
        let begins = self.run.is_none();
        let run = self.run.get_or_insert_with(|| Run::at(row.at));
        match &row.what {
            What::Call(call) => run.call(call),
            What::Packet(sent) => run.packet(sent),
            _ => {}
        }
        begins
    }

    /// Tells of the run, and of calls that still wait.
    fn flush(&mut self, at: Time, ready: &mut Vec<Row>) {
        if let Some(run) = self.run.take() {
            ready.push(Row {
                at,
                link: Some(self.link.clone()),
                side: self.from,
                what: What::Run(run),
            });
        }
        for mut row in self.waiting.drain(..) {
            row.at = at;
            ready.push(row);
        }
    }
}

impl Run {
    fn at(since: Time) -> Self {
        Self {
            since,
            sends: (0, 0),
            packets: (0, 0),
            receives: (0, 0),
            acks: 0,
            blocked: 0,
            numbers: (PacketId::MAX, 0),
            calls: (CallId::MAX, 0),
        }
    }

    fn call(&mut self, call: &Call) {
        let moved = match call.enter.deed {
            Deed::Send => &mut self.sends,
            _ => &mut self.receives,
        };
        moved.0 += 1;
        moved.1 = moved.1.saturating_add(call.moved());
        if call.enter.deed == Deed::Send && call.form == Form::Returned {
            self.blocked = self.blocked.saturating_add(call.took().unwrap_or(0));
        }
        let number = call.enter.call;
        self.calls = (self.calls.0.min(number), self.calls.1.max(number));
    }

    fn packet(&mut self, sent: &Sent) {
        match sent.data_len() {
            0 => self.acks += 1,
            len => {
                self.packets.0 += 1;
                self.packets.1 += u64::from(len);
            }
        }
        self.numbers.0 = self.numbers.0.min(sent.number);
        self.numbers.1 = self.numbers.1.max(sent.number);
    }
}

impl Sent {
    /// Bytes of data that it carries.
    pub fn data_len(&self) -> u32 {
        match self.seen.as_ref().map(|seen| &seen.what) {
            Some(seen::What::Segment(tcp)) => tcp.len,
            Some(seen::What::Datagram(len)) => *len,
            _ => 0,
        }
    }
}

/// Nothing comes after it.
fn is_end(row: &Row) -> bool {
    match &row.what {
        What::Call(call) => call.enter.deed == Deed::Close,
        What::Packet(sent) => {
            let what = sent.seen.as_ref().map(|seen| &seen.what);
            matches!(what, Some(seen::What::Segment(tcp)) if tcp.fin || tcp.rst)
        }
        _ => false,
    }
}

/// What a row is in a run of data; nothing when it has something else to say.
fn piece(row: &Row) -> Option<Piece> {
    match &row.what {
        What::Call(call) => {
            let from = match call.enter.deed {
                Deed::Send => row.side,
                Deed::Receive => row.side.other(),
                _ => return None,
            };
            match &call.answer {
                None => Some(Piece::Waits(from)),
                Some((_, back)) => {
                    (back.result.is_ok() && call.moved() > 0).then_some(Piece::Data(from))
                }
            }
        }
        What::Packet(sent) if sent.lost.is_none() && !sent.tied.again => {
            match sent.seen.as_ref().map(|seen| &seen.what)? {
                seen::What::Segment(tcp) if tcp.syn || tcp.fin || tcp.rst => None,
                seen::What::Segment(tcp) if tcp.len > 0 => Some(Piece::Data(row.side)),
                seen::What::Segment(_) => match sent.tied.kernel {
                    Some(Kernel::Ack(_) | Kernel::WindowUpdate | Kernel::DuplicateAck) => {
                        Some(Piece::Ack(row.side.other()))
                    }
                    _ => None,
                },
                seen::What::Datagram(_) => Some(Piece::Data(row.side)),
                seen::What::Error(_) => None,
            }
        }
        // Of a packet that was told of.
        What::Arrival(sent, false) if sent.data_len() > 0 => Some(Piece::Data(row.side)),
        What::Arrival(_, false) => Some(Piece::Ack(row.side.other())),
        _ => None,
    }
}
