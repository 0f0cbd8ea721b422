//! The views of a trace: entries in, text out.

use std::{mem, path::Path};

use anyhow::anyhow;

use sockwire::{
    event::Entry,
    export::{html::html, mermaid::mermaid, svg::svg, text::text as ladder, trace::Drawing},
    render::{
        ladder::{LadderOptions, Layout},
        trace::{Look, lanes::Lanes, lines::Lines, summary, why},
    },
    text::Safe,
    time::Time,
    timeline::{
        Folding, Timeline,
        row::Row,
        summary::Summary,
        why::{About, Why},
    },
};

use super::{Exit, Failure, Showing, json::Json, keeping::Place, usage};
use crate::cmd::{Global, output};

/// Makes text of a trace.
pub(super) trait View {
    /// Takes the next entry.
    fn entry(&mut self, entry: &Entry, out: &mut String);

    /// Nothing earlier is to come.
    fn quiet(&mut self, _reached: Time, _out: &mut String) {}

    /// There are no more entries. An error when what was asked for is not there.
    fn finish(&mut self, out: &mut String) -> Result<(), Failure>;
}

/// What is written into a file, by its suffix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Text,
    Json,
    Picture(Picture),
    Packets,
}

/// Connections one after the other, calls between the packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Picture {
    Ladder,
    Svg,
    Html,
    Mermaid,
}

const SUFFIXES: [(&str, Form); 8] = [
    ("txt", Form::Text),
    ("json", Form::Json),
    ("svg", Form::Picture(Picture::Svg)),
    ("html", Form::Picture(Picture::Html)),
    ("htm", Form::Picture(Picture::Html)),
    ("mmd", Form::Picture(Picture::Mermaid)),
    ("mermaid", Form::Picture(Picture::Mermaid)),
    ("pcapng", Form::Packets),
];

impl Form {
    /// What the name asks for.
    pub(super) fn of(path: &Path) -> Result<Self, Failure> {
        let suffix = path.extension().unwrap_or_default();
        let mut forms = SUFFIXES.iter();
        let form = forms.find(|(known, _)| suffix.eq_ignore_ascii_case(known));
        form.map(|(_, form)| *form).ok_or_else(|| {
            let known = SUFFIXES.map(|(known, _)| format!(".{known}")).join(", ");
            usage(format!(
                "{}: which form is that? The suffix says it: {known}",
                Safe(path.as_os_str().as_encoded_bytes())
            ))
        })
    }

    /// It is written line by line, and not at the end.
    pub(super) const fn grows(self) -> bool {
        matches!(self, Self::Text | Self::Json)
    }
}

/// The look of a view that goes to a terminal or in place of one.
pub(super) fn look_of(place: Place, global: &Global) -> Look {
    let options = match place {
        Place::Stdout => output::ladder(Layout::Watch, false, global),
        Place::Stderr => output::ladder_beside(Layout::Watch, global),
    };
    Look {
        width: options.width,
        ascii: options.ascii,
        colour: options.colour,
    }
}

/// The look of a view in a file.
pub(super) const fn look_in_file(global: &Global) -> Look {
    Look {
        width: 80,
        ascii: global.ascii,
        colour: false,
    }
}

/// The view that the options ask for.
pub(super) fn view(form: Form, showing: &Showing, look: Look) -> Box<dyn View> {
    if let Form::Picture(form) = form {
        return Drawn::boxed(form, look);
    }
    match showing {
        _ if form == Form::Json => Box::new(Json::default()),
        Showing { json: true, .. } => Box::new(Json::default()),
        Showing { ladder: true, .. } => Drawn::boxed(Picture::Ladder, look),
        Showing { lines: true, .. } => Rows::boxed(false, Lines::new(look)),
        Showing { summary: true, .. } => Box::new(Sums(Summary::default(), look)),
        Showing {
            why: Some(packet), ..
        } => Asked::boxed(About::Packet(*packet), look),
        Showing {
            effects: Some(call),
            ..
        } => Asked::boxed(About::Call(*call), look),
        _ => Rows::boxed(true, Lanes::new(look)),
    }
}

/// Rows as they become ready.
struct Rows<D> {
    timeline: Timeline,
    ready: Vec<Row>,
    draw: D,
}

/// Draws rows.
trait Draw {
    fn row(&mut self, row: &Row, out: &mut String);
}

impl Draw for Lines {
    fn row(&mut self, row: &Row, out: &mut String) {
        Self::row(self, row, out);
    }
}

impl Draw for Lanes {
    fn row(&mut self, row: &Row, out: &mut String) {
        Self::row(self, row, out);
    }
}

impl<D: Draw + 'static> Rows<D> {
    /// `runs`: long runs of data are put together.
    fn boxed(runs: bool, draw: D) -> Box<dyn View> {
        Box::new(Self {
            timeline: Timeline::passing(Folding { idle: true, runs }),
            ready: Vec::new(),
            draw,
        })
    }
}

impl<D: Draw> Rows<D> {
    fn draw(&mut self, out: &mut String) {
        for row in self.ready.drain(..) {
            self.draw.row(&row, out);
        }
    }
}

impl<D: Draw> View for Rows<D> {
    fn entry(&mut self, entry: &Entry, out: &mut String) {
        self.timeline.push(entry, &mut self.ready);
        self.draw(out);
    }

    fn quiet(&mut self, reached: Time, out: &mut String) {
        self.timeline.quiet(reached, &mut self.ready);
        self.draw(out);
    }

    fn finish(&mut self, out: &mut String) -> Result<(), Failure> {
        self.timeline.finish(&mut self.ready);
        self.draw(out);
        Ok(())
    }
}

/// Each connection in a few lines, at the end.
struct Sums(Summary, Look);

impl View for Sums {
    fn entry(&mut self, entry: &Entry, _: &mut String) {
        self.0.push(entry);
    }

    fn finish(&mut self, out: &mut String) -> Result<(), Failure> {
        let report = mem::take(&mut self.0).finish();
        summary::write(&report, self.1, out);
        Ok(())
    }
}

/// One packet, or one call, in sentences.
struct Asked {
    about: About,
    why: Why,
    look: Look,
}

impl Asked {
    fn boxed(about: About, look: Look) -> Box<dyn View> {
        let why = Why::new(about);
        Box::new(Self { about, why, look })
    }
}

impl View for Asked {
    fn entry(&mut self, entry: &Entry, _: &mut String) {
        self.why.push(entry);
    }

    fn finish(&mut self, out: &mut String) -> Result<(), Failure> {
        let why = mem::replace(&mut self.why, Why::new(self.about));
        match (why.finish(), self.about) {
            (Some(story), _) => {
                why::write(&story, self.look, out);
                Ok(())
            }
            (None, About::Packet(packet)) => Err(not_there("packet", packet)),
            (None, About::Call(call)) => Err(not_there("call", call)),
        }
    }
}

fn not_there(what: &str, number: u64) -> Failure {
    let error = anyhow!("there is no {what} {number} in this trace; --lines shows the numbers");
    Failure::new(Exit::NoMatch, error)
}

/// A picture, at the end.
struct Drawn {
    drawing: Drawing,
    form: Picture,
    look: Look,
}

impl Drawn {
    fn boxed(form: Picture, look: Look) -> Box<dyn View> {
        // A taller picture is more than its viewers take.
        let most = match form {
            Picture::Ladder => 1_000_000,
            Picture::Svg | Picture::Html | Picture::Mermaid => 2000,
        };
        Box::new(Self {
            drawing: Drawing::new(most, form == Picture::Html),
            form,
            look,
        })
    }
}

impl View for Drawn {
    fn entry(&mut self, entry: &Entry, _: &mut String) {
        self.drawing.push(entry);
    }

    fn finish(&mut self, out: &mut String) -> Result<(), Failure> {
        let picture = self.drawing.finish();
        let diagram = &picture.diagram;
        *out = match self.form {
            Picture::Svg => svg(diagram),
            Picture::Html => html(diagram, &picture.details),
            Picture::Mermaid => mermaid(diagram),
            Picture::Ladder => {
                let options = LadderOptions {
                    width: self.look.width,
                    ascii: self.look.ascii,
                    colour: self.look.colour,
                    calls: true,
                    ..LadderOptions::default()
                };
                String::from_utf8_lossy(&ladder(diagram, options)?).into_owned()
            }
        };
        Ok(())
    }
}
