//! What a server sends, on standard output: as it is, safe for a terminal, or as a hex dump.

use std::{
    fs::File,
    io::{self, IsTerminal as _, Write as _},
};

use sockwire::{
    render::hex::{self, Form},
    sys::signal::Stop,
    text::{Safe, ascii, push_lines},
};

use super::output;

/// Standard output, without a buffer: what comes is shown as it comes.
pub(super) struct Screen {
    file: File,
    shape: Shape,
    ascii: bool,
    stop: Stop,
    /// Bytes whose meaning depends on those that follow.
    begun: Vec<u8>,
    text: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    Raw,
    Text,
    Hex,
}

impl Screen {
    pub(super) fn new(hex: bool, ascii: bool, stop: Stop) -> io::Result<Self> {
        let shape = match (hex, io::stdout().is_terminal()) {
            (true, _) => Shape::Hex,
            (false, true) => Shape::Text,
            (false, false) => Shape::Raw,
        };
        Ok(Self {
            file: output::stdout()?,
            shape,
            ascii,
            stop,
            begun: Vec::new(),
            text: String::new(),
        })
    }

    /// Shows what one call received.
    pub(super) fn show(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.text.clear();
        match self.shape {
            Shape::Raw => return self.write(bytes),
            Shape::Hex => hex::bytes(bytes, Form::HexAscii, &mut self.text),
            Shape::Text => {
                self.begun.extend_from_slice(bytes);
                let left = push_lines(&self.begun, &mut self.text);
                self.begun.drain(..self.begun.len() - left);
            }
        }
        self.write_text()
    }

    /// Shows what has been waiting for more, and ends the line on a terminal, for what comes there next.
    pub(super) fn finish(&mut self) -> io::Result<()> {
        if self.shape != Shape::Text || self.text.is_empty() && self.begun.is_empty() {
            return Ok(());
        }
        let ends = self.text.ends_with('\n') && self.begun.is_empty();
        self.text = Safe(&self.begun).to_string();
        if !ends {
            self.text.push('\n');
        }
        self.write_text()
    }

    fn write_text(&mut self) -> io::Result<()> {
        let text = std::mem::take(&mut self.text);
        let written = match self.ascii && !text.is_ascii() {
            true => self.write(ascii(&text).as_bytes()),
            false => self.write(text.as_bytes()),
        };
        self.text = text;
        written
    }

    /// Writes all of it. When the user stops it while the reader takes nothing, that is as good as a reader who has gone.
    fn write(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            match self.file.write(bytes) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(len) => bytes = &bytes[len..],
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                    if self.stop.asked() {
                        return Err(io::ErrorKind::BrokenPipe.into());
                    }
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}
