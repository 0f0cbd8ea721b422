//! Socket calls in an SVG picture: their words beside the lifeline of their end, and a bar along it while they wait.

use std::{collections::BTreeSet, fmt::Write as _};

use super::{
    WIDTH,
    block::{BORDER, Block, Drawing as _, LABEL, LIFE, LINE, lines},
};
use crate::{
    event::CallId,
    export::Diagram,
    track::story::{Call, Item, Part, Side},
};

/// From a lifeline to the words beside it.
const AIR: u32 = 12;
/// Lines of a call at most.
const LINES: usize = 3;
/// Bars beside each other at most; what waits besides has none.
const MOST: usize = 3;
/// From one bar to the next, and how wide they are.
const STEP: u32 = 7;
const BAR: u32 = 5;

/// A call at its end.
pub(super) fn drawn(diagram: &Diagram, call: &Call) -> Block {
    let says = diagram.words();
    let mut drawing = String::new();
    let mut text = vec![says.call(call, LABEL)];
    // What it had to leave out finds room on further lines.
    if text[0].contains("...") {
        text = lines(&says.call(call, LABEL * (LINES - 1)), LABEL);
    }
    text.truncate(LINES);
    let height = LINE * text.len() as u32 + 6;
    drawing.lives(height);
    let time = diagram.seconds(call.time);
    drawing.text((BORDER, 15), "start", "far", &time);
    let class = if call.is_trouble {
        "over trouble"
    } else {
        "over"
    };
    for (line, y) in text.iter().zip((15..).step_by(LINE as usize)) {
        beside(&mut drawing, call.side, y, class, line);
    }
    let side = call.side.word();
    let mut title = format!("call at {time} s, {side}: {}", says.call(call, 160));
    let packets = call.packets.iter().zip(["caused", "got data of"]);
    for (numbers, word) in packets.filter(|(numbers, _)| !numbers.is_empty()) {
        let _ = write!(title, "; {word} {}", listed(numbers));
    }
    Block {
        class: format!("call {side}"),
        height,
        title: Some(title),
        drawing,
        packet: None,
        folded: false,
        ties: BTreeSet::new(),
    }
}

/// Words beside the lifeline of an end, between both.
pub(super) fn beside(drawing: &mut String, side: Side, y: u32, class: &str, text: &str) {
    if text.is_empty() {
        return;
    }
    match side {
        Side::Client => drawing.text((LIFE[0] + AIR, y), "start", class, text),
        Side::Server => drawing.text((LIFE[1] - AIR, y), "end", class, text),
    }
}

/// "packet 7", "packets 7, 8, 12", "40 packets from 7 to 93".
fn listed(numbers: &[u64]) -> String {
    const LISTED: usize = 8;
    match numbers {
        [one] => format!("packet {one}"),
        [first, .., last] if numbers.len() > LISTED => {
            format!("{} packets from {first} to {last}", numbers.len())
        }
        _ => {
            let numbers: Vec<String> = numbers.iter().map(u64::to_string).collect();
            format!("packets {}", numbers.join(", "))
        }
    }
}

/// The calls of client and server that wait, each in its place beside the lifeline.
#[derive(Default)]
pub(super) struct Bars {
    waiting: [[Option<CallId>; MOST]; 2],
}

impl Bars {
    /// The block of an item, with the bars of calls that wait at that time.
    pub(super) fn beside(&mut self, item: &Item, mut block: Block) -> Block {
        let mut bars = String::new();
        let call = match item {
            Item::Call(call) => Some(call),
            _ => None,
        };
        let middle = LINE / 2 + 2;
        if let Some(call) = call.filter(|call| call.part == Part::Begins) {
            let places = &mut self.waiting[call.side as usize];
            if let Some(free) = places.iter_mut().find(|place| place.is_none()) {
                *free = Some(call.enter.call);
            }
        }
        for (side, places) in self.waiting.iter_mut().enumerate() {
            for (at, place) in places.iter_mut().enumerate() {
                let (mut from, mut to) = (0, block.height);
                match call.filter(|call| *place == Some(call.enter.call)) {
                    Some(call) if call.part == Part::Begins => from = middle,
                    Some(_) => to = middle,
                    None => {}
                }
                if place.is_some() {
                    bar(&mut bars, side, at as u32, from, to);
                }
                if to == middle {
                    *place = None;
                }
            }
        }
        // Under everything else.
        block.drawing.insert_str(0, &bars);
        block
    }
}

fn bar(out: &mut String, side: usize, at: u32, from: u32, to: u32) {
    let x = match side {
        0 => LIFE[0].saturating_sub(BAR / 2 + 1 + at * STEP),
        _ => (LIFE[1] - BAR / 2 + at * STEP).min(WIDTH),
    };
    let height = to.saturating_sub(from);
    // Writing to a String cannot fail.
    let _ = write!(
        out,
        "<rect class=\"bar\" x=\"{x}\" y=\"{from}\" width=\"{BAR}\" height=\"{height}\"/>"
    );
}
