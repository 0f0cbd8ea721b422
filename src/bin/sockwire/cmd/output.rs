//! Standard output and colour: data goes here, talk goes to stderr.

use std::{
    env,
    fs::File,
    io::{self, IsTerminal, Write},
    os::fd::AsFd,
    path::Path,
};

use nix::errno::Errno;
use sockwire::{
    file::{self, Create, Format, WriteError, Writer},
    render::{
        ladder::{LadderOptions, Layout},
        style::Palette,
    },
    text::ascii,
};

pub(crate) use sockwire::text::{split_at_width, write_wrapped};

use super::{ColorWhen, Global};

/// How much is gathered before it is written.
const FULL: usize = 256 * 1024;

/// Standard output behind one big buffer that the views write into. Nothing is written on drop: a command ends with
/// [`Output::flush`], whose error it reports.
pub(crate) struct Output {
    file: File,
    /// `text` leaves as ASCII.
    ascii: bool,
    /// Text on its way out.
    pub(crate) text: String,
    /// Bytes on their way out, for views that write bytes; never used together with `text`.
    pub(crate) bytes: Vec<u8>,
}

impl Output {
    /// Standard output; with `ascii`, text in other characters is spelled.
    pub(crate) fn stdout(ascii: bool) -> io::Result<Self> {
        Ok(Self {
            file: stdout()?,
            ascii,
            text: String::new(),
            bytes: Vec::new(),
        })
    }

    /// Writes what has been gathered, when it is much.
    pub(crate) fn flush_when_full(&mut self) -> io::Result<()> {
        if self.text.len() + self.bytes.len() < FULL {
            return Ok(());
        }
        self.flush()
    }

    /// Writes what has been gathered.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        if self.ascii && !self.text.is_ascii() {
            self.text = ascii(&self.text);
        }
        self.file.write_all(self.text.as_bytes())?;
        self.text.clear();
        self.file.write_all(&self.bytes)?;
        self.bytes.clear();
        Ok(())
    }
}

/// Writes all of `text` to standard output and says whether that worked.
pub(crate) fn print(text: &str) -> io::Result<()> {
    print_bytes(text.as_bytes())
}

/// Writes bytes to standard output as they are. Needs no descriptor, and takes no lock that a forked child could wait for.
pub(crate) fn print_bytes(mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match nix::unistd::write(io::stdout(), bytes) {
            Ok(len) => bytes = &bytes[len.min(bytes.len())..],
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(())
}

/// Says something on stderr. That it is closed or full is no reason to stop, and none to panic, as `eprintln!` would.
pub(crate) fn talk(message: impl std::fmt::Display) {
    let _ = writeln!(io::stderr(), "{message}");
}

/// Standard output without a buffer.
pub(crate) fn stdout() -> io::Result<File> {
    Ok(File::from(io::stdout().as_fd().try_clone_to_owned()?))
}

/// The user and group that called sudo: files that the program makes belong to them.
pub(crate) fn caller() -> Option<(u32, u32)> {
    if !nix::unistd::geteuid().is_root() {
        return None;
    }
    let number = |name| env::var(name).ok()?.parse().ok();
    Some((number("SUDO_UID")?, number("SUDO_GID")?))
}

/// A capture file of the caller's, in the form that its name asks for; one that exists is replaced only with `force`.
pub(crate) fn capture_file(path: &Path, force: bool) -> Result<Writer, WriteError> {
    let how = Create {
        format: Format::from_name(path),
        force,
        owner: caller(),
    };
    file::create(path, how)
}

/// As wide as the terminal, 80 columns elsewhere.
pub(crate) fn columns() -> usize {
    let size = terminal_size::terminal_size_of(io::stdout());
    size.map_or(80, |(columns, _)| columns.0.into())
}

/// As high as the terminal, 24 lines elsewhere.
pub(crate) fn lines() -> usize {
    let size = terminal_size::terminal_size_of(io::stdout());
    size.map_or(24, |(_, lines)| lines.0.into())
}

/// How a ladder is drawn on this standard output: as wide as the terminal, 80 columns elsewhere.
pub(crate) fn ladder(layout: Layout, absolute: bool, global: &Global) -> LadderOptions {
    LadderOptions {
        width: columns(),
        ascii: global.ascii,
        colour: palette(global).on,
        absolute,
        layout,
        ..LadderOptions::default()
    }
}

/// The same on stderr.
pub(crate) fn ladder_beside(layout: Layout, global: &Global) -> LadderOptions {
    let size = terminal_size::terminal_size_of(io::stderr());
    LadderOptions {
        width: size.map_or(80, |(columns, _)| columns.0.into()),
        colour: colours(global, io::stderr().is_terminal()).on,
        ..ladder(layout, false, global)
    }
}

/// Colour for standard output.
pub(crate) fn palette(global: &Global) -> Palette {
    colours(global, io::stdout().is_terminal())
}

/// Colour for what may be a terminal.
fn colours(global: &Global, is_terminal: bool) -> Palette {
    Palette {
        on: wants_color(global.color, is_terminal, |name| {
            env::var(name).unwrap_or_default()
        }),
    }
}

/// `--color`, then `NO_COLOR`, then `CLICOLOR_FORCE`, then the terminal.
fn wants_color(when: ColorWhen, is_terminal: bool, variable: impl Fn(&str) -> String) -> bool {
    match when {
        ColorWhen::Always => true,
        ColorWhen::Never => false,
        ColorWhen::Auto if !variable("NO_COLOR").is_empty() => false,
        ColorWhen::Auto if !matches!(variable("CLICOLOR_FORCE").as_str(), "" | "0") => true,
        ColorWhen::Auto => is_terminal && variable("TERM") != "dumb",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colour_follows_option_then_environment_then_terminal() {
        let with = |when, is_terminal, set: &[(&str, &str)]| {
            wants_color(when, is_terminal, |name| {
                let found = set.iter().find(|(known, _)| *known == name);
                found.map_or("", |(_, value)| value).to_owned()
            })
        };
        assert!(with(ColorWhen::Always, false, &[("NO_COLOR", "1")]));
        assert!(!with(ColorWhen::Never, true, &[("CLICOLOR_FORCE", "1")]));
        let both = [("NO_COLOR", "1"), ("CLICOLOR_FORCE", "1")];
        assert!(!with(ColorWhen::Auto, true, &both));
        assert!(with(ColorWhen::Auto, true, &[("NO_COLOR", "")]));
        assert!(with(ColorWhen::Auto, false, &[("CLICOLOR_FORCE", "1")]));
        assert!(!with(ColorWhen::Auto, false, &[("CLICOLOR_FORCE", "0")]));
        assert!(!with(ColorWhen::Auto, true, &[("TERM", "dumb")]));
        assert!(with(ColorWhen::Auto, true, &[("TERM", "xterm")]));
        assert!(!with(ColorWhen::Auto, false, &[]));
    }
}
