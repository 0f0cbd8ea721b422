//! Specifications as commands get them: words of the command line, lines of a file or of standard input.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, IsTerminal, Read as _},
    path::Path,
};

use anyhow::{Context as _, anyhow};
use sockwire::{
    craft::{Files, MAX_BYTES, Spec, SpecError},
    sys::signal::Stop,
    text::Safe,
};

use crate::cmd::{
    Exit, Failure, Global,
    output::{columns, write_wrapped},
};

/// The most bytes of a line: twice a packet's digits, and more words than any packet needs.
const LONGEST: u64 = 1 << 20;

/// The files of `file=NAME`.
pub(in crate::cmd) struct Disk;

impl Files for Disk {
    fn read(&self, name: &str) -> Result<Vec<u8>, String> {
        let mut bytes = Vec::new();
        File::open(name)
            .and_then(|file| file.take(MAX_BYTES as u64 + 1).read_to_end(&mut bytes))
            .map_err(|error| format!("cannot read {}: {error}", Safe(name.as_bytes())))?;
        if bytes.len() > MAX_BYTES {
            return Err(format!("the file is longer than {MAX_BYTES} bytes"));
        }
        Ok(bytes)
    }
}

/// Reads a specification.
pub(in crate::cmd) fn spec(text: &str) -> Result<Spec, Failure> {
    Spec::parse(text, &Disk).map_err(|error| Failure::new(Exit::Usage, told(error)))
}

/// The fault with the words that could stand there in lines as wide as the terminal.
fn told(mut error: SpecError) -> anyhow::Error {
    let help = error.help.take();
    let mut text = error.to_string();
    if let Some(help) = help {
        text.push('\n');
        write_wrapped(&mut text, 2, columns(), &help);
    }
    anyhow!("{}", text.trim_end())
}

/// Ends early where Ctrl-C came while it waited.
struct Until<R>(R, Stop);

impl<R: io::Read> io::Read for Until<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self.0.read(into) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted && self.1.asked() => Ok(0),
            read => read,
        }
    }
}

/// Where specifications come from: the command line, or lines.
pub(in crate::cmd) enum Specs {
    /// The words of the command line, joined, until they are taken.
    One(Option<String>),
    /// One a line.
    Lines {
        /// Read from here.
        from: Box<dyn BufRead>,
        /// What messages call it.
        name: String,
        /// Lines read.
        line: u64,
    },
}

impl Specs {
    /// `words` are the specification, or `-` for standard input; a file has one a line.
    pub(in crate::cmd) fn open(
        words: &[String],
        file: Option<&Path>,
        global: &Global,
    ) -> Result<Self, Failure> {
        let path = match (file, words) {
            (Some(path), _) => path,
            (None, [word]) if word == "-" => Path::new("-"),
            _ => return Ok(Self::One(Some(words.join(" ")))),
        };
        if path.as_os_str() == "-" {
            if io::stdin().is_terminal() {
                global.talk("specifications, one a line, then Ctrl-D:");
            }
            return Ok(Self::Lines {
                from: Box::new(BufReader::new(Until(io::stdin(), Stop::install()?))),
                name: "standard input".to_owned(),
                line: 0,
            });
        }
        let name = Safe(path.as_os_str().as_encoded_bytes()).to_string();
        let file = File::open(path)
            .with_context(|| format!("cannot read the specifications in {name}"))
            .map_err(|error| Failure::new(Exit::NoSuch, error))?;
        Ok(Self::Lines {
            from: Box::new(BufReader::new(file)),
            name,
            line: 0,
        })
    }

    /// The next specification; `None` after the last.
    pub(in crate::cmd) fn next(&mut self) -> Result<Option<Spec>, Failure> {
        match self {
            Self::One(text) => text.take().map(|text| spec(&text)).transpose(),
            Self::Lines { from, name, line } => loop {
                *line += 1;
                let mut bytes = Vec::new();
                let damaged = |error| Failure::new(Exit::Damaged, error);
                from.by_ref()
                    .take(LONGEST + 1)
                    .read_until(b'\n', &mut bytes)
                    .with_context(|| format!("cannot read {name}"))
                    .map_err(damaged)?;
                if bytes.is_empty() {
                    return Ok(None);
                }
                if bytes.len() as u64 > LONGEST {
                    let error = anyhow!("{name}, line {line}: longer than 1 MiB");
                    return Err(Failure::new(Exit::Usage, error));
                }
                let text = String::from_utf8_lossy(&bytes);
                let text = text.trim();
                if !text.is_empty() && !text.starts_with('#') {
                    return spec(text).map(Some).map_err(|failure| Failure {
                        error: failure.error.context(format!("{name}, line {line}")),
                        ..failure
                    });
                }
            },
        }
    }
}
