//! The timeline: calls of the connecting side left, those of the accepting side right, and the wire between them.
//!
//! ```text
//!  time  left lane       │ wire            │ right lane      packet
//!        #12 send(3, …)
//!                        │── 5 bytes ─────▶│ recv #15            7
//! ```

use std::collections::{BTreeSet, HashSet};

use super::{
    super::{
        call::traced,
        ladder::arrow::{Arrow, Glyphs, cut, width},
        style::{Palette, push},
    },
    Look,
    lines::protocol,
    page::{self, Columns, Piece, WIDE},
    words::{CUT, EMPTY, Say, both, grounds, plural, seconds},
};
use anstyle::Style;

use crate::{
    event::{CallId, Deed, Transport, Way},
    text::{Safe, split_at_width, write_wrapped},
    time::{MILLISECOND, Time},
    timeline::{
        Ground, Kernel, Tie,
        row::{Call, Form, Idle, Link, Named, Row, Run, Sent, Side, What},
        seen,
    },
    track::story::Span,
};

/// A call shorter than this did not wait for anybody, in nanoseconds.
const MOMENT: i64 = MILLISECOND;

/// Lanes being drawn.
#[derive(Debug)]
pub struct Lanes {
    say: Say,
    palette: Palette,
    columns: Columns,
    /// The first row's time: what the others count from.
    origin: Option<Time>,
    /// The connection of the last row that had one.
    link: Option<(Transport, u32)>,
    is_told_of_unix: bool,
    /// Connections of which it was said that an end is not traced.
    untraced: HashSet<(u32, Side)>,
    /// The call of the row above.
    above: Option<CallId>,
    /// Calls that were entered and have not returned, behind their process: of the left lane, of the right one.
    blocked: [BTreeSet<(u32, CallId)>; 2],
}

impl Lanes {
    /// Nothing is drawn yet.
    pub fn new(look: Look) -> Self {
        Self {
            say: Say { ascii: look.ascii },
            palette: Palette { on: look.colour },
            columns: Columns::of(look.width),
            origin: None,
            link: None,
            is_told_of_unix: false,
            untraced: HashSet::new(),
            above: None,
            blocked: Default::default(),
        }
    }

    /// Appends the lines of a row.
    pub fn row(&mut self, row: &Row, out: &mut String) {
        if self.origin.is_none() {
            self.origin = Some(row.at);
            self.head(out);
        }
        if let Some(link) = &row.link {
            self.turn_to(link, out);
            self.untraced(link, row, out);
        }
        let above = self.above.take();
        match &row.what {
            What::Call(call) => self.call(row, call, out),
            What::Idle(idle) => self.idle(row, idle, out),
            What::Packet(sent) => self.packet(row, sent, above, out),
            What::Arrival(sent, again) => self.arrival(row, sent, *again, out),
            What::Run(run) => self.run(row, run, out),
            What::Process(_) | What::Exec(..) => self.aside(row, out),
            What::Exit(exit, _) => {
                let its = (exit.process, 0)..=(exit.process, CallId::MAX);
                for blocked in &mut self.blocked {
                    while let Some(call) = blocked.range(its.clone()).next().copied() {
                        blocked.remove(&call);
                    }
                }
                self.aside(row, out);
            }
            _ => self.sentence(row, out),
        }
    }

    /// What the columns are.
    fn head(&self, out: &mut String) {
        let c = self.columns;
        let faint = self.palette.faint();
        let middle = (c.walls[0] + c.walls[1] + 1 - "wire".len()) / 2;
        let words = [
            (c.time - "time".len(), "time"),
            (c.left, "connects"),
            (middle, "wire"),
            (c.walls[1] + 2, "accepts"),
            (c.total - "packet".len(), "packet"),
        ];
        let pieces = words.map(|(column, text)| Piece::words(column, faint, text.to_owned()));
        self.draw(pieces.into(), false, out);
    }

    /// A title where the connection changes.
    fn turn_to(&mut self, link: &Link, out: &mut String) {
        let id = (link.transport, link.number);
        if self.link.replace(id) == Some(id) {
            return;
        }
        self.above = None;
        let to = self.say.glyphs().to;
        let [left, right] = &link.ends;
        let label = self.say.label(link);
        let addresses = match (link.transport, &left.address, &right.address) {
            (Transport::Unix, None, None) => String::new(),
            _ => format!(
                " {} {to} {}",
                self.say.address(left.address.as_ref()),
                self.say.address(right.address.as_ref())
            ),
        };
        let who = link.ends.each_ref().map(|end| match &end.who {
            Some(who) => self.say.who(who),
            None => "not traced".to_owned(),
        });
        let who = format!("{} {to} {}", who[0], who[1]);
        let room = self.columns.total - 4;
        let both = format!("{label}{addresses}  {who}");
        if width(&both) <= room {
            self.rule(&both, out);
            return;
        }
        let short = cut(format!("{label}{addresses}"), room, self.say.glyphs().more);
        self.rule(&short, out);
        self.rule(&cut(who, room, self.say.glyphs().more), out);
    }

    /// `-- text ----`, to the end of the row.
    fn rule(&self, text: &str, out: &mut String) {
        let mut line = format!("-- {text} ");
        let used = width(&line);
        line.push_str(&"-".repeat(self.columns.total.saturating_sub(used)));
        push(out, self.palette.heading(), line.trim_end());
        out.push('\n');
    }

    /// Says once of a connection that an end is not traced, and once that Unix sockets have no packets.
    fn untraced(&mut self, link: &Link, row: &Row, out: &mut String) {
        if link.transport == Transport::Unix {
            if !self.is_told_of_unix {
                self.is_told_of_unix = true;
                let text = "a Unix socket: there are no packets".to_owned();
                self.wrapped(&text, out);
            }
            return;
        }
        let unknown = |side: Side| {
            let end = &link.ends[side as usize];
            end.socket.is_none() && end.who.is_none()
        };
        let side = match &row.what {
            What::Packet(sent) => {
                let by_socket = sent.tied.kernel != Some(Kernel::NoSocket);
                (by_socket && sent.tied.sender.is_none()).then_some(row.side)
            }
            What::Call(call) if matches!(call.enter.deed, Deed::Send | Deed::Receive) => {
                Some(row.side.other())
            }
            _ => None,
        };
        let Some(side) = side.filter(|&side| unknown(side)) else {
            return;
        };
        if self.untraced.insert((link.number, side)) {
            let piece = self.beside(side, "not traced".to_owned(), self.palette.faint());
            self.draw(vec![piece], true, out);
        }
    }

    fn call(&mut self, row: &Row, call: &Call, out: &mut String) {
        let number = call.enter.call;
        let key = (call.who.process, number);
        match call.form {
            Form::Entered => drop(self.blocked[row.side as usize].insert(key)),
            // What is known of the connection by now may have turned it round.
            Form::Whole | Form::Returned => {
                for blocked in &mut self.blocked {
                    blocked.remove(&key);
                }
            }
        }
        let more = self.say.glyphs().more;
        let room = self.room(call, row.side);
        let back = call.answer.as_ref().map(|(_, back)| back);
        let [asked, answered] = match (call.form, back) {
            (Form::Returned, Some(back)) => {
                let name = format!("{more} {}", self.say.name(&call.enter.name));
                [
                    name,
                    self.say
                        .plain(traced::answered(&call.enter, back, room - 2)),
                ]
            }
            (_, Some(back)) => {
                let both = both(&call.enter, back, room.saturating_sub(self.around(call)));
                both.map(|text| self.say.plain(text))
            }
            (_, None) => {
                let asked = traced::asked(&call.enter, room.saturating_sub(self.around(call)));
                [self.say.plain(asked), more.to_owned()]
            }
        };
        let mut lines = vec![format!("#{number} {asked}")];
        let mut add = |text: String| match lines.last_mut() {
            _ if text.is_empty() => {}
            Some(last) if width(last) + 1 + width(&text) <= room => {
                last.push(' ');
                last.push_str(&text);
            }
            _ => lines.push(format!("  {text}")),
        };
        add(answered);
        let is_slow = |took: &i64| call.form == Form::Returned && *took >= MOMENT;
        let took = call.took().filter(is_slow);
        add(took.map_or_else(String::new, |took| format!("after {}", Span(took))));
        add(self.say.remark(call).unwrap_or_default());
        if call.after > 0 {
            let times = if self.say.ascii { "x" } else { "×" };
            add(format!("after {} {times} EAGAIN", call.after));
        }
        let style = match &call.answer {
            Some((_, back)) if back.result.is_err() => self.palette.remark(),
            _ => self.palette.side(row.side == Side::Left),
        };
        self.lane(row, &lines, room, style, out);
        self.above = Some(number);
    }

    /// Columns for a call: both lanes and the wire for one whose arguments would be cut otherwise.
    fn room(&self, call: &Call, side: Side) -> usize {
        let c = self.columns;
        let room = c.room(side).saturating_sub(2);
        let asked = traced::asked(&call.enter, room.saturating_sub(self.around(call)));
        let is_cut = asked.ends_with(CUT) || asked.contains(EMPTY);
        match call.form != Form::Returned && is_cut {
            true => c.total - c.left - 2,
            false => room,
        }
    }

    /// Columns of what stands beside a call: its number, and the sign that it goes on.
    fn around(&self, call: &Call) -> usize {
        let more = match call.form {
            Form::Entered => width(self.say.glyphs().more) + 1,
            _ => 0,
        };
        width(&format!("#{} ", call.enter.call)) + more
    }

    fn idle(&mut self, row: &Row, idle: &Idle, out: &mut String) {
        let room = self.columns.room(row.side).saturating_sub(2);
        let asked = self.say.plain(traced::asked(&idle.enter, room));
        let (times, speed, meaning) = self.say.idle_parts(idle);
        let said = [&*times, &speed, meaning.unwrap_or("")];
        let said = said.into_iter().filter(|text| !text.is_empty());
        let mut lines = vec![asked];
        lines.extend(said.map(|text| format!("  {text}")));
        let style = match idle.no_break {
            true => self.palette.problem(),
            false => self.palette.remark(),
        };
        self.lane(row, &lines, room, style, out);
    }

    /// Lines of at most `room` columns in the lane of the row's side, with its time.
    fn lane(&self, row: &Row, lines: &[String], room: usize, style: Style, out: &mut String) {
        let c = self.columns;
        let more = self.say.glyphs().more;
        // Lines of one call begin in one column.
        let widest = lines.iter().map(|line| width(line).min(room)).max();
        let column = match row.side {
            Side::Left => c.left + usize::from(self.is_blocked(Side::Left)) * 2,
            Side::Right => (c.walls[1] + 2).min(c.total - widest.unwrap_or(0)),
        };
        for (n, line) in lines.iter().enumerate() {
            let mut pieces = Vec::new();
            if n == 0 {
                pieces.push(self.time(row.at));
            }
            pieces.push(Piece::words(column, style, cut(line.clone(), room, more)));
            self.draw(pieces, true, out);
        }
    }

    fn packet(&mut self, row: &Row, sent: &Sent, above: Option<CallId>, out: &mut String) {
        let (from, to) = (row.side, row.side.other());
        let mut pieces = vec![self.time(row.at), self.number(sent)];
        let mut below = Vec::new();
        let underway = sent.way == Way::Wire && sent.arrived.is_none() && sent.lost.is_none();
        pieces.push(self.arrow(sent, from, underway));
        let mut full = [false; 2];
        let mut beside = |side: Side, texts: &[String]| {
            let room = if full[side as usize] {
                0
            } else {
                self.margin(side)
            };
            match texts.iter().find(|text| width(text) <= room) {
                Some(text) => {
                    full[side as usize] = true;
                    pieces.push(self.beside(side, text.clone(), self.palette.faint()));
                }
                None => below.extend(texts.first().map(|text| (side, text.clone()))),
            }
        };
        if let Some(kernel) = self.say.kernel(sent) {
            let short = kernel.replace("kernel: ", "");
            let shortest = match sent.acks.as_ref() {
                Some(acks) => format!("acks #{}", acks.call),
                None => short.clone(),
            };
            beside(from, &[kernel, short, shortest]);
        }
        let is_above = matches!(&*sent.causes, [one] if above == Some(one.call));
        let texts = self.tie(&sent.causes, &sent.tied.causes, is_above);
        beside(from, &texts);
        beside(to, &self.tie(&sent.takers, &sent.tied.takers, false));
        if let Some(why) = &sent.lost {
            let why = self.say.plain(Safe(why.as_bytes()).to_string());
            beside(to, &[format!("lost: {why}"), why]);
        } else if let Some(arrived) = sent.arrived {
            let after = Span(arrived.since(sent.sent));
            beside(to, &[format!("after {after}"), format!("+{after}")]);
        }
        self.draw(pieces, true, out);
        for (side, text) in below {
            self.below(side, &text, out);
        }
    }

    /// How a margin names calls, the longest form first; nothing that needs no saying.
    fn tie(&self, calls: &[Named], ties: &[Tie], is_above: bool) -> Vec<String> {
        let plain = ties.iter().all(|tie| tie.ground == Ground::Sequence);
        if calls.is_empty() || plain && is_above {
            return Vec::new();
        }
        let names = self.say.calls(calls);
        let numbers = match calls {
            [one] => format!("#{}", one.call),
            [first, .., last] => format!("#{} to #{}", first.call, last.call),
            [] => return Vec::new(),
        };
        let ground = grounds(ties);
        match (plain, is_above) {
            (true, _) => vec![names, numbers],
            // The row above is the call.
            (false, true) => vec![format!("({ground})"), ground],
            (false, false) => {
                vec![
                    format!("{names} ({ground})"),
                    format!("{numbers} ({ground})"),
                    format!("{numbers} {ground}"),
                ]
            }
        }
    }

    /// The arrow of a packet; one that is under way ends on the wire.
    fn arrow(&self, sent: &Sent, from: Side, underway: bool) -> Piece {
        let c = self.columns;
        let glyphs = self.say.glyphs();
        let room = match underway {
            true => c.wire() * 4 / 5,
            false => c.wire(),
        };
        let arrow = self.shaft(stroke(sent, glyphs), from, room, sent.lost.is_some());
        let text = self.say.packet(sent, arrow.most_text());
        let column = match from {
            Side::Left => c.walls[0] + 1,
            Side::Right => c.walls[1] - room,
        };
        let is_reset = stroke(sent, glyphs) == glyphs.double;
        let style = match (sent.lost.is_some() || is_reset, sent.tied.again) {
            (true, _) => self.palette.problem(),
            (_, true) => self.palette.remark(),
            _ => self.palette.protocol(protocol(sent)),
        };
        Piece::arrow(column, style, arrow.draw(&text))
    }

    fn shaft(&self, stroke: char, from: Side, room: usize, dropped: bool) -> Arrow {
        Arrow {
            glyphs: self.say.glyphs(),
            to_the_right: from == Side::Left,
            stroke,
            dropped,
            lead: if self.columns.total < WIDE { 1 } else { 2 },
            room,
        }
    }

    /// A packet of the wire is there.
    fn arrival(&mut self, row: &Row, sent: &Sent, again: bool, out: &mut String) {
        let c = self.columns;
        let glyphs = self.say.glyphs();
        let room = c.wire() * 4 / 5;
        let arrow = self.shaft(glyphs.dashed, row.side, room, false);
        let copy = if again { " again" } else { "" };
        let text = format!("packet {}{copy}", sent.number);
        let column = match row.side {
            Side::Left => c.walls[1] - room,
            Side::Right => c.walls[0] + 1,
        };
        let mut pieces = vec![
            self.time(row.at),
            Piece::arrow(
                column,
                self.palette.protocol(protocol(sent)),
                arrow.draw(&cut(text, arrow.most_text(), glyphs.more)),
            ),
        ];
        let to = row.side.other();
        let after = sent.arrived.map_or(0, |at| at.since(sent.sent));
        let room = self.margin(to);
        let texts = [
            format!("after {}", Span(after)),
            format!("+{}", Span(after)),
            format!("+{} ms", after / MILLISECOND),
        ];
        let fits = texts.into_iter().find(|text| width(text) <= room);
        let text = fits.unwrap_or_default();
        pieces.push(self.beside(to, text, self.palette.faint()));
        self.draw(pieces, true, out);
    }

    fn run(&mut self, row: &Row, run: &Run, out: &mut String) {
        let c = self.columns;
        let glyphs = self.say.glyphs();
        let from = row.side;
        let arrow = self.shaft(glyphs.double, from, c.wire(), false);
        let words = match run.packets {
            (0, _) => Vec::new(),
            (count, bytes) => vec![
                format!("{}, {bytes} bytes", plural(count, "packet")),
                format!("{}, {bytes} B", plural(count, "packet")),
                plural(count, "packet"),
            ],
        };
        let fits = words
            .into_iter()
            .find(|text| width(text) <= arrow.most_text());
        let mut pieces = vec![
            self.time(row.at),
            Piece::arrow(
                c.walls[0] + 1,
                self.palette.protocol("tcp"),
                arrow.draw(&fits.unwrap_or_default()),
            ),
        ];
        let counted = [
            (from, run.sends, "send"),
            (from.other(), run.receives, "recv"),
        ];
        for (side, (count, bytes), word) in counted {
            let texts = [
                format!("{}, {bytes} bytes", plural(count, word)),
                plural(count, word),
            ];
            let room = self.margin(side);
            let fits = texts.into_iter().find(|text| width(text) <= room);
            if let (Some(text), true) = (fits, count > 0) {
                let style = self.palette.side(side == Side::Left);
                pieces.push(self.beside(side, text, style));
            }
        }
        self.draw(pieces, true, out);
        if run.blocked > 0 {
            let text = format!("blocked {} in send", Span(run.blocked));
            self.below(from, &text, out);
        }
    }

    /// A sentence about a process, in its lane.
    fn aside(&self, row: &Row, out: &mut String) {
        let text = self.say.sentence(&row.what).unwrap_or_default();
        let room = self.columns.room(row.side).saturating_sub(2);
        self.lane(row, &[text], room, self.palette.faint(), out);
    }

    /// A sentence over all columns.
    fn sentence(&self, row: &Row, out: &mut String) {
        let text = self.say.sentence(&row.what).unwrap_or_default();
        self.wrapped(&text, out);
    }

    fn wrapped(&self, text: &str, out: &mut String) {
        let mut lines = String::new();
        write_wrapped(&mut lines, self.columns.left, self.columns.total, text);
        for line in lines.lines() {
            push(out, self.palette.faint(), line);
            out.push('\n');
        }
    }

    fn time(&self, at: Time) -> Piece {
        let c = self.columns;
        let text = seconds(at, self.origin.unwrap_or(at), c.decimals);
        // After a few hundred seconds the last digits go.
        let text = split_at_width(&text, c.time).0.to_owned();
        Piece::words(
            c.time.saturating_sub(text.len()),
            self.palette.faint(),
            text,
        )
    }

    fn number(&self, sent: &Sent) -> Piece {
        let text = sent.number.to_string();
        let column = self.columns.total.saturating_sub(text.len());
        Piece::words(column, self.palette.faint(), text)
    }

    /// Columns beside a wall; a call that waits takes two.
    fn margin(&self, side: Side) -> usize {
        self.columns.margin() - if self.is_blocked(side) { 2 } else { 0 }
    }

    fn is_blocked(&self, side: Side) -> bool {
        !self.blocked[side as usize].is_empty()
    }

    /// Text in a lane, next to the wall.
    fn beside(&self, side: Side, text: String, style: Style) -> Piece {
        let c = self.columns;
        let column = match side {
            Side::Left => c.walls[0].saturating_sub(1 + width(&text)),
            Side::Right => c.walls[1] + 2,
        };
        Piece::words(column, style, text)
    }

    /// What found no room beside an arrow.
    fn below(&self, side: Side, text: &str, out: &mut String) {
        let c = self.columns;
        let text = cut(text.to_owned(), c.room(side) - 2, self.say.glyphs().more);
        let column = match side {
            Side::Left => c.left + 2,
            Side::Right => (c.walls[1] + 2).min(c.total - width(&text)),
        };
        let style = self.palette.faint();
        self.draw(vec![Piece::words(column, style, text)], true, out);
    }

    /// Writes a line; the marks of calls that wait stand at the outer edges of both lanes.
    fn draw(&self, pieces: Vec<Piece>, walls: bool, out: &mut String) {
        let mut marks = Vec::new();
        if walls {
            let glyphs = self.say.glyphs();
            let waits = if self.say.ascii { ':' } else { '┊' };
            let blocked = [Side::Left, Side::Right].map(|side| self.is_blocked(side));
            let edges = [self.columns.left, self.columns.right - 1];
            let edges = edges.into_iter().zip(blocked);
            marks.extend(self.columns.walls.map(|column| (column, glyphs.wall)));
            marks.extend(
                edges
                    .filter(|(_, is)| *is)
                    .map(|(column, _)| (column, waits)),
            );
        }
        page::draw(pieces, &marks, out);
    }
}

/// What an arrow is drawn with.
fn stroke(sent: &Sent, glyphs: &Glyphs) -> char {
    match sent.seen.as_ref().map(|seen| &seen.what) {
        Some(seen::What::Error(_)) => glyphs.double,
        Some(seen::What::Segment(tcp)) if tcp.rst => glyphs.double,
        _ if sent.tied.again => glyphs.dashed,
        _ => glyphs.solid,
    }
}
