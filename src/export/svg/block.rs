//! The parts that a picture is stacked from: the head of a flow, its sections, rows and notes.

use std::{collections::BTreeSet, fmt::Write as _};

use crate::{
    export::{Diagram, markup::Escaped},
    render::ladder::{section_title, stream_name, width},
    text::write_wrapped,
    track::{
        state::State,
        story::{About, Chapter, Fate, Header, Item, Order, Part, Row, Side, Span, What},
    },
};

use super::{
    WIDTH,
    calls::{self, Bars},
    ties::Ties,
};

/// Where the lifelines stand.
pub(super) const LIFE: [u32; 2] = [100, 420];
/// The border beside texts.
pub(super) const BORDER: u32 = 6;
const ROW: u32 = 36;
/// Height of a line of text.
pub(super) const LINE: u32 = 16;
/// The arrow's height in its row.
const ARROW: u32 = 23;
/// Characters between the lifelines, and across the picture.
pub(super) const LABEL: usize = 42;
const ACROSS: usize = 69;

/// A part of a picture, drawn from its upper left corner.
pub(in crate::export) struct Block {
    /// Classes of the style sheet.
    pub(in crate::export) class: String,
    pub(in crate::export) height: u32,
    /// What it says to those who cannot see it.
    pub(in crate::export) title: Option<String>,
    /// Elements, escaped.
    pub(in crate::export) drawing: String,
    /// `frame.number` of a row's packet.
    pub(in crate::export) packet: Option<u64>,
    /// It stands for several packets.
    pub(in crate::export) folded: bool,
    /// Lights up with all parts that have one of these, too: first packets of rows.
    pub(in crate::export) ties: BTreeSet<u64>,
}

/// All parts of a diagram, from the top.
pub(in crate::export) fn blocks(diagram: &Diagram) -> Vec<Block> {
    let mut blocks = Vec::new();
    blocks.extend(
        diagram
            .notes
            .iter()
            .map(|text| words(text, "trouble", false)),
    );
    let has_calls = diagram.calls().next().is_some();
    for chapter in &diagram.chapters {
        blocks.push(head(diagram, &chapter.header));
        let mut bars = Bars::default();
        let ties = Ties::of(chapter);
        for item in &chapter.items {
            let block = match item {
                Item::Flow(_) => None,
                Item::Call(call) => Some(calls::drawn(diagram, call)),
                Item::Section(part) => Some(section(&section_title(*part))),
                Item::Row(row) => Some(drawn(diagram, chapter, row, has_calls)),
                Item::Note(note) => {
                    let class = match note.about {
                        About::Trouble => "trouble",
                        _ => "note",
                    };
                    Some(words(&note.text, class, true))
                }
            };
            blocks.extend(block.map(|block| Block {
                ties: ties.item(item),
                ..bars.beside(item, block)
            }));
        }
    }
    blocks.extend(diagram.missing().map(|text| words(&text, "trouble", false)));
    blocks.extend(legend(diagram).map(|text| words(&text, "note", false)));
    blocks
}

/// What is written with: elements behind each other.
pub(super) trait Drawing {
    /// A text; `anchor` is start, middle or end of it.
    fn text(&mut self, at: (u32, u32), anchor: &str, class: &str, text: &str);
    /// A straight line.
    fn line(&mut self, from: (u32, u32), to: (u32, u32), class: &str);
    /// The lifelines of both ends, over a height.
    fn lives(&mut self, height: u32);
}

impl Drawing for String {
    fn text(&mut self, (x, y): (u32, u32), anchor: &str, class: &str, text: &str) {
        // Writing to a String cannot fail.
        let _ = write!(self, "<text x=\"{x}\" y=\"{y}\"");
        if anchor != "start" {
            let _ = write!(self, " text-anchor=\"{anchor}\"");
        }
        if !class.is_empty() {
            let _ = write!(self, " class=\"{class}\"");
        }
        let _ = write!(self, ">{}</text>", Escaped(text));
    }

    fn line(&mut self, from: (u32, u32), to: (u32, u32), class: &str) {
        let _ = write!(
            self,
            "<line class=\"{class}\" x1=\"{}\" y1=\"{}\" x2=\"{}\" y2=\"{}\"/>",
            from.0, from.1, to.0, to.1
        );
    }

    fn lives(&mut self, height: u32) {
        for x in LIFE {
            self.line((x, 0), (x, height), "life");
        }
    }
}

fn head(diagram: &Diagram, header: &Header) -> Block {
    let mut drawing = String::new();
    let mut y = LINE + 8;
    let (near, far) = (BORDER, WIDTH - BORDER);
    let interface = usize::try_from(header.interface)
        .ok()
        .and_then(|index| diagram.interfaces.get(index));
    drawing.text((near, y), "start", "name", &stream_name(header));
    if let Some(name) = interface.filter(|name| !name.is_empty()) {
        let name = diagram.words().safe(name.as_bytes(), 24);
        drawing.text((far, y), "end", "far", &name);
    }
    y += LINE + 2;
    let (client, server) = (header.client.to_string(), header.server.to_string());
    let is_long = client.len() + server.len() + 3 > ACROSS;
    drawing.text((near, y), "start", "", &client);
    y += if is_long { LINE } else { 0 };
    drawing.text((far, y), "end", "", &server);
    if header.programs.iter().any(Option::is_some) {
        y += LINE;
        let name = |name: &Option<String>| {
            let name = name.as_deref().unwrap_or_default();
            diagram.words().safe(name.as_bytes(), ACROSS / 2 - 1)
        };
        let [client, server] = &header.programs;
        drawing.text((near, y), "start", "far", &name(client));
        drawing.text((far, y), "end", "far", &name(server));
    }
    if let Some(states) = header.states {
        y += LINE;
        put_states(&mut drawing, y, states);
    }
    y += 6;
    for x in LIFE {
        drawing.line((x, y - LINE / 2), (x, y), "life");
    }
    Block {
        class: "head".to_owned(),
        height: y,
        title: None,
        drawing,
        packet: None,
        folded: false,
        ties: BTreeSet::new(),
    }
}

/// States at both margins.
fn put_states(drawing: &mut String, y: u32, [client, server]: [State; 2]) {
    drawing.text((BORDER, y), "start", "far", client.name());
    drawing.text((WIDTH - BORDER, y), "end", "far", server.name());
}

fn section(title: &str) -> Block {
    let mut drawing = String::new();
    drawing.lives(LINE + 8);
    // Half the width of the words, with a little air.
    let half = width(title) as u32 * 4 + 6;
    drawing.line((BORDER, 13), (WIDTH / 2 - half, 13), "rule");
    drawing.line((WIDTH / 2 + half, 13), (WIDTH - BORDER, 13), "rule");
    drawing.text((WIDTH / 2, 17), "middle", "note over", title);
    Block {
        class: "section".to_owned(),
        height: LINE + 8,
        title: None,
        drawing,
        packet: None,
        folded: false,
        ties: BTreeSet::new(),
    }
}

/// A sentence, broken into lines; `inside` a flow, whose lifelines go on behind it.
fn words(text: &str, class: &str, inside: bool) -> Block {
    let lines = lines(text, ACROSS);
    let height = LINE * lines.len() as u32 + 8;
    let mut drawing = String::new();
    if inside {
        drawing.lives(height);
    }
    for (line, y) in lines.iter().zip((LINE..).step_by(LINE as usize)) {
        drawing.text((WIDTH / 2, y), "middle", &format!("{class} over"), line);
    }
    Block {
        class: "words".to_owned(),
        height,
        title: None,
        drawing,
        packet: None,
        folded: false,
        ties: BTreeSet::new(),
    }
}

/// A text in lines of so many characters.
pub(super) fn lines(text: &str, most: usize) -> Vec<String> {
    let mut lines = String::new();
    write_wrapped(&mut lines, 0, most, text);
    lines.lines().map(str::to_owned).collect()
}

fn drawn(diagram: &Diagram, chapter: &Chapter, row: &Row, has_calls: bool) -> Block {
    let says = diagram.words();
    let mut drawing = String::new();
    let ties = ties(row);
    let height = ROW + LINE * ties.len() as u32;
    drawing.lives(height);
    let time = diagram.seconds(row.sent);
    drawing.text((BORDER, 15), "start", "far", &time);
    if row.number > 0 {
        // Calls have numbers, too.
        let word = if has_calls { "packet " } else { "#" };
        let number = format!("{word}{}", row.number);
        drawing.text((WIDTH - BORDER, 15), "end", "far", &number);
    }
    if let Some(states) = row.states {
        put_states(&mut drawing, 30, states);
    }
    arrow(&mut drawing, row);
    drawing.text((WIDTH / 2, 16), "middle", "over", &says.row(row, LABEL));
    for (line, texts) in ties.iter().enumerate() {
        let y = ROW + 4 + LINE * line as u32;
        for (side, text) in [Side::Client, Side::Server].into_iter().zip(texts) {
            calls::beside(&mut drawing, side, y, "far over", text);
        }
    }

    let kind = chapter.header.label.kind.word();
    let mut class = format!("row {kind}");
    for (on, name) in marks(row) {
        if on {
            class.push(' ');
            class.push_str(name);
        }
    }
    let to = row.from.other().word();
    let what = match row.number {
        0 => "data".to_owned(),
        number => format!("packet {number}"),
    };
    let mut title = format!(
        "{what} at {time} s, {} to {to}: {}",
        row.from.word(),
        says.row(row, 160)
    );
    for (word, tie) in [("sent by", &row.ties[0]), ("got by", &row.ties[1])] {
        if !tie.is_empty() {
            let _ = write!(title, "; {word} {tie}");
        }
    }
    if row.fate.is_lost() {
        title.push_str(", lost");
    }
    if let Some([client, server]) = row.states {
        let _ = write!(title, "; client {client}, server {server}");
    }
    Block {
        class,
        height,
        title: Some(title),
        drawing,
        packet: Some(row.number).filter(|number| *number > 0),
        folded: matches!(row.what, What::Run { .. }),
        ties: BTreeSet::new(),
    }
}

/// What stands below an arrow at both ends, line by line.
fn ties(row: &Row) -> Vec<[String; 2]> {
    let [sender, receiver] = row.ties.clone();
    let arrives = match row.fate {
        Fate::Delivered(at) if at > row.sent => {
            format!("arrives after {}", Span(at.since(row.sent)))
        }
        _ => String::new(),
    };
    let mut ties = vec![[sender, receiver], [String::new(), arrives]];
    let fits = |line: &[String; 2]| width(&line[0]) + width(&line[1]) + 2 <= LABEL;
    if !fits(&ties[0]) {
        let receiver = std::mem::take(&mut ties[0][1]);
        ties.insert(1, [String::new(), receiver]);
    }
    ties.retain(|line| line.iter().any(|text| !text.is_empty()));
    if row.from == Side::Server {
        ties.iter_mut().for_each(|line| line.swap(0, 1));
    }
    ties
}

/// What sets a row apart, and the name of that in the style sheet.
fn marks(row: &Row) -> [(bool, &'static str); 6] {
    let tcp = match &row.what {
        What::Segment(tcp) => *tcp,
        _ => Default::default(),
    };
    [
        (matches!(tcp.order, Order::Again(_)), "again"),
        (tcp.rst, "rst"),
        (matches!(row.what, What::Error { .. }), "error"),
        (row.fate.is_lost(), "lost"),
        (matches!(row.what, What::Run { .. }), "run"),
        (tcp.window_zero, "zero-window"),
    ]
}

fn arrow(drawing: &mut String, row: &Row) {
    let [_, rst, error, lost, run, zero] = marks(row).map(|(on, _)| on);
    let [left, right] = LIFE;
    // Everything is drawn to the right, and turned around for the server.
    let x = |from_sender: u32| match row.from {
        Side::Client => left + from_sender,
        Side::Server => right - from_sender,
    };
    let whole = right - left;
    let end = match (lost, run) {
        (true, _) => whole * 3 / 4,
        // The head hides the end of a thick line.
        (false, _) => whole - 8,
    };
    let offsets: &[u32] = if rst || error { &[2, 5] } else { &[3] };
    for offset in offsets {
        let y = ARROW + offset - 1;
        drawing.line((x(1), y), (x(end), y), "a");
    }
    let middle = ARROW + 2;
    if lost {
        let (near, far) = (x(end), x(end + 9));
        drawing.line((near, middle - 5), (far, middle + 4), "x");
        drawing.line((near, middle + 4), (far, middle - 5), "x");
    } else {
        let (tip, back) = (x(whole - 1), x(whole - 12));
        let _ = write!(
            drawing,
            "<path class=\"h\" d=\"M{tip} {middle}L{back} {}V{}Z\"/>",
            middle - 5,
            middle + 5
        );
    }
    if zero {
        let corner = x(0) - 4;
        let _ = write!(
            drawing,
            "<rect class=\"zero\" x=\"{corner}\" y=\"{}\" width=\"8\" height=\"12\"/>",
            middle - 6
        );
    }
}

/// What the strokes mean, of those that occur.
fn legend(diagram: &Diagram) -> Option<String> {
    const WAITS: &str = "bar: a call waits";
    const MEANINGS: [&str; 6] = [
        "dashed: sent again",
        "double line: reset or error",
        "",
        "cross: lost",
        "thick: several segments",
        "block at the sender: window 0",
    ];
    let mut occurs = [false; 6];
    for row in diagram.rows() {
        for (occurs, (on, _)) in occurs.iter_mut().zip(marks(row)) {
            *occurs |= on;
        }
    }
    // Errors are drawn as resets are.
    occurs[1] |= std::mem::take(&mut occurs[2]);
    let meanings = MEANINGS.iter().zip(occurs).filter(|(_, on)| *on);
    let waits = diagram.calls().any(|call| call.part != Part::Whole);
    let meanings = meanings.map(|(meaning, _)| *meaning);
    let meanings: Vec<&str> = meanings.chain(waits.then_some(WAITS)).collect();
    (!meanings.is_empty()).then(|| meanings.join(" · "))
}
