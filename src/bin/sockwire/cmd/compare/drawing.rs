//! A kind's ladder, as lines that are printed below the table; the middle of a long one is left out.

use std::{
    collections::VecDeque,
    io,
    net::{IpAddr, SocketAddr},
};

use sockwire::{compare::PORT, lab::Event};

use crate::cmd::{Global, drawing};

/// Lines that are kept of the beginning and of the end.
const FIRST: usize = 40;
const LAST: usize = 12;

/// Draws while the exchange is played.
pub(super) struct Drawing {
    drawing: drawing::Drawing<String>,
    first: Vec<String>,
    last: VecDeque<String>,
    left_out: u64,
}

impl Drawing {
    pub(super) fn new(server: IpAddr, global: &Global) -> Self {
        let listening = vec![SocketAddr::new(server, PORT)];
        Self {
            drawing: drawing::Drawing::of_lab(listening, false, None, global),
            first: Vec::new(),
            last: VecDeque::new(),
            left_out: 0,
        }
    }

    pub(super) fn event(&mut self, event: &Event) -> io::Result<()> {
        let mut drawn = Vec::new();
        self.drawing.event(event, 0, &mut drawn)?;
        self.keep(&drawn);
        Ok(())
    }

    fn keep(&mut self, drawn: &[u8]) {
        for line in String::from_utf8_lossy(drawn).lines() {
            if self.first.len() < FIRST {
                self.first.push(line.to_owned());
                continue;
            }
            self.last.push_back(line.to_owned());
            if self.last.len() > LAST {
                self.last.pop_front();
                self.left_out += 1;
            }
        }
    }

    /// All lines.
    pub(super) fn finish(mut self) -> io::Result<Vec<String>> {
        let mut drawn = Vec::new();
        self.drawing.finish(&mut drawn)?;
        self.keep(&drawn);
        let mut lines = self.first;
        if self.left_out > 0 {
            lines.push(format!(
                "        … {} lines are left out; -w FILE keeps every packet …",
                self.left_out
            ));
        }
        lines.extend(self.last);
        Ok(lines)
    }
}
