//! A trace as a picture, which is drawn when it is over.

use sockwire::{
    event::Entry,
    export::{html::html, mermaid::mermaid, svg::svg, trace::Drawing},
};

use super::{
    Failure,
    view::{Form, View},
};

/// Packets and calls that a reader can take: a picture of more is too tall for viewers.
const MOST: usize = 2000;

/// A picture that grows.
pub(super) struct Picturing {
    form: Form,
    drawing: Drawing,
}

impl Picturing {
    pub(super) fn new(form: Form) -> Self {
        Self {
            form,
            drawing: Drawing::new(MOST, form == Form::Html),
        }
    }
}

impl View for Picturing {
    fn entry(&mut self, entry: &Entry, _out: &mut String) {
        self.drawing.push(entry);
    }

    fn finish(&mut self, out: &mut String) -> Result<(), Failure> {
        let picture = self.drawing.finish();
        out.push_str(&match self.form {
            Form::Html => html(&picture.diagram, &picture.details),
            Form::Mermaid => mermaid(&picture.diagram),
            _ => svg(&picture.diagram),
        });
        Ok(())
    }
}
