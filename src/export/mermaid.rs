//! A story as a Mermaid sequence diagram, for Markdown that draws such.

use std::{collections::HashMap, fmt::Write as _, net::SocketAddr};

use super::Diagram;
use crate::{
    call::Address,
    render::ladder::{section_title, stream_name},
    text::Safe,
    track::{
        state::State,
        story::{Call, Fate, Item, Order, Row, Side, Span, What},
    },
};

/// The most columns of a message.
const LABEL: usize = 60;

/// Characters that are written, but for the last message and the closing words: Mermaid draws no more than 50,000.
const LONGEST: usize = 49_000;

/// The diagram, as far as Mermaid can take it.
pub fn mermaid(diagram: &Diagram) -> String {
    let mut names = Names::default();
    let mut body = String::new();
    let mut drawn = 0;
    // Writing to a String cannot fail.
    for note in &diagram.notes {
        let _ = writeln!(body, "    Note over s1: {}", plain(note));
    }
    'story: for chapter in &diagram.chapters {
        let header = &chapter.header;
        let [client, server] = &header.programs;
        let ends = [
            names.of(&header.client, client.as_deref()),
            names.of(&header.server, server.as_deref()),
        ];
        let over = format!("    Note over {},{}: ", ends[0], ends[1]);
        let _ = writeln!(body, "{over}{}", plain(&stream_name(header)));
        let mut states = header.states;
        for item in &chapter.items {
            if names.list.len() + body.len() > LONGEST {
                break 'story;
            }
            match item {
                Item::Flow(_) => {}
                Item::Section(section) => {
                    let _ = writeln!(body, "{over}{}", plain(&section_title(*section)));
                }
                Item::Note(note) => {
                    let _ = writeln!(body, "{over}{}", plain(&note.text));
                }
                Item::Call(call) => {
                    note(diagram, &ends, call, &mut body);
                    drawn += 1;
                }
                Item::Row(row) => {
                    message(diagram, &ends, row, &mut states, &mut body);
                    drawn += 1;
                }
            }
        }
    }
    if let Some(text) = diagram.missing_of(drawn) {
        let _ = writeln!(body, "    Note over s1: {}", plain(&text));
    }
    format!("sequenceDiagram\n{}{body}", names.list)
}

/// The participants: every socket once, in the order of first packets.
#[derive(Default)]
struct Names {
    known: HashMap<SocketAddr, usize>,
    count: usize,
    list: String,
}

impl Names {
    fn of(&mut self, socket: &Address, program: Option<&str>) -> String {
        let next = self.count + 1;
        let number = match socket {
            Address::Ip(socket) => *self.known.entry(*socket).or_insert(next),
            // Both ends may have the same name, or none.
            _ => next,
        };
        if number == next {
            self.count = next;
            let mut name = plain(&socket.to_string());
            if let Some(program) = program {
                let program = plain(&Safe(program.as_bytes()).to_string());
                let _ = write!(name, "<br/>{program}");
            }
            let _ = writeln!(self.list, "    participant s{number} as {name}");
        }
        format!("s{number}")
    }
}

/// A packet; the states follow where it changes them.
fn message(
    diagram: &Diagram,
    ends: &[String; 2],
    row: &Row,
    states: &mut Option<[State; 2]>,
    out: &mut String,
) {
    let again = matches!(&row.what, What::Segment(tcp) if matches!(tcp.order, Order::Again(_)));
    let arrow = match (again, row.fate.is_lost()) {
        (false, false) => "->>",
        (true, false) => "-->>",
        (false, true) => "-x",
        (true, true) => "--x",
    };
    let [from, to] = match row.from {
        Side::Client => [&ends[0], &ends[1]],
        Side::Server => [&ends[1], &ends[0]],
    };
    let mut text = diagram.words().row(row, LABEL);
    if row.states != *states
        && let Some([client, server]) = row.states
    {
        let _ = write!(text, " ({client}, {server})");
        *states = row.states;
    }
    let _ = write!(out, "    {from}{arrow}{to}: {}", plain(&text));
    let [sender, receiver] = &row.ties;
    let mut ties = vec![sender.clone()];
    if !receiver.is_empty() {
        ties.push(format!("got by {receiver}"));
    }
    if let Fate::Delivered(at) = row.fate {
        ties.push(format!("arrives after {}", Span(at.since(row.sent))));
    }
    ties.retain(|tie| !tie.is_empty());
    if !ties.is_empty() {
        let _ = write!(out, "<br/>{}", plain(&ties.join(", ")));
    }
    out.push('\n');
}

/// A call, beside the end that makes it.
fn note(diagram: &Diagram, [client, server]: &[String; 2], call: &Call, out: &mut String) {
    let at = match call.side {
        Side::Client => format!("left of {client}"),
        Side::Server => format!("right of {server}"),
    };
    let text = diagram.words().call(call, LABEL);
    let _ = writeln!(out, "    Note {at}: {}", plain(&text));
}

/// Words that Mermaid takes for the beginning of a style wherever they stand: it takes the last `;` from such lines.
const STYLES: [(&str, &str); 2] = [("style", "#115;tyle"), ("classDef", "#99;lassDef")];

/// Text that means nothing to Mermaid: letters, digits and a few harmless signs stay, all others are written as their
/// numbers, and so is the first letter of [`STYLES`] and of the word that would end a block.
fn plain(text: &str) -> String {
    let mut out = String::new();
    let mut word = String::new();
    for c in text.chars().chain(['\n']) {
        if c.is_ascii_alphanumeric() {
            word.push(c);
            continue;
        }
        if word.eq_ignore_ascii_case("end") {
            let _ = write!(out, "#{};", u32::from(word.remove(0)));
        }
        for (style, written) in STYLES {
            word = word.replace(style, written);
        }
        out.push_str(&std::mem::take(&mut word));
        match c {
            '\n' => {}
            ' ' | '.' | ',' | ':' | '=' | '(' | ')' | '[' | ']' | '/' | '_' | '-' => out.push(c),
            c if crate::text::is_unsafe(c) => out.push_str("#65533;"),
            c => {
                let _ = write!(out, "#{};", u32::from(c));
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_means_anything_to_mermaid() {
        assert_eq!(plain("SYN seq=0 mss=1460"), "SYN seq=0 mss=1460");
        assert_eq!(
            plain("END; the end, ending #1 <b> %% \"a\"\\n"),
            "#69;ND#59; the #101;nd, ending #35;1 #60;b#62; #37;#37; #34;a#34;#92;n"
        );
        assert_eq!(plain("\u{1b}\u{202e}é"), "#65533;#65533;#233;");
        // Of `style: "` Mermaid 11 draws `style: #34` otherwise.
        assert_eq!(
            plain("restyle: classDef x\""),
            "re#115;tyle: #99;lassDef x#34;"
        );
    }
}
