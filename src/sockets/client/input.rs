//! What a client sends: lines or bytes as they can be read, or messages that are there from the beginning.

use std::{
    collections::VecDeque,
    fs::File,
    io::{self, Read as _},
    os::fd::{AsFd as _, BorrowedFd},
};

use memchr::{memchr, memchr_iter};

/// Ctrl-X.
const QUIT: u8 = 0x18;
/// What is read at once for a stream.
const CHUNK: usize = 64 * 1024;
/// What one datagram takes of a file.
const BLOCK: usize = 1024;
/// The longest datagram (UDP over IPv4); a longer line becomes several.
const LONGEST: usize = 65_507;

/// Where the bytes come from.
#[derive(Debug)]
pub struct Input {
    from: From,
    /// Line ends become CR LF.
    crlf: bool,
    /// The byte given out last; a line end when a line begins.
    last: u8,
    /// A piece that came back.
    back: Option<Vec<u8>>,
}

#[derive(Debug)]
enum From {
    Messages(VecDeque<Vec<u8>>),
    Reader(Reader),
}

/// A terminal, pipe or file.
#[derive(Debug)]
struct Reader {
    file: File,
    /// Each line is a piece of its own.
    by_lines: bool,
    /// A line that is only Ctrl-X ends it.
    keys: bool,
    /// Bytes that are read at once.
    size: usize,
    /// What was read: at most [`LONGEST`] and a chunk.
    held: Vec<u8>,
    /// From here on it is not yet given out.
    at: usize,
    /// Up to here it may be: a Ctrl-X behind it may turn out to be a line.
    usable: usize,
    /// What comes when all is given out.
    end: Option<Given>,
}

/// What could be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Given {
    /// A piece for one send.
    Piece,
    /// Nothing yet.
    Nothing,
    /// Nothing any more.
    End,
    /// The user asked to close.
    Quit,
}

impl Input {
    /// Messages, each for one send.
    pub fn messages(messages: impl IntoIterator<Item = Vec<u8>>, crlf: bool) -> Self {
        Self::new(From::Messages(messages.into_iter().collect()), crlf)
    }

    /// Lines that somebody types, or a pipe. A line that is only Ctrl-X closes, unless zero bytes show that nobody types.
    /// Where each is to be a datagram, they are given one by one.
    pub fn lines(file: File, one_by_one: bool, crlf: bool) -> Self {
        let reader = Reader {
            by_lines: one_by_one,
            keys: true,
            ..Reader::new(file, CHUNK)
        };
        Self::new(From::Reader(reader), crlf)
    }

    /// Bytes as they are; as datagrams in blocks of at most 1024.
    pub fn bytes(file: File, datagrams: bool, crlf: bool) -> Self {
        let size = if datagrams { BLOCK } else { CHUNK };
        Self::new(From::Reader(Reader::new(file, size)), crlf)
    }

    const fn new(from: From, crlf: bool) -> Self {
        Self {
            from,
            crlf,
            last: b'\n',
            back: None,
        }
    }

    /// Takes a piece back, which is then the next one.
    pub fn put_back(&mut self, piece: Vec<u8>) {
        self.back = Some(piece);
    }

    /// What to wait for before the next piece can be had; nothing when it is there.
    pub fn waits_for(&self) -> Option<BorrowedFd<'_>> {
        match &self.from {
            From::Reader(reader) if self.back.is_none() && reader.next().is_none() => {
                Some(reader.file.as_fd())
            }
            From::Reader(_) | From::Messages(_) => None,
        }
    }

    /// All of it can be taken without waiting or reading.
    pub const fn is_all_there(&self) -> bool {
        matches!(self.from, From::Messages(_))
    }

    /// Puts the next piece in place of `out`; reads at most once.
    ///
    /// # Errors
    /// Those of reading.
    pub fn take(&mut self, out: &mut Vec<u8>) -> io::Result<Given> {
        if let Some(piece) = self.back.take() {
            *out = piece;
            return Ok(Given::Piece);
        }
        out.clear();
        match &mut self.from {
            From::Messages(messages) => {
                let Some(message) = messages.pop_front() else {
                    return Ok(Given::End);
                };
                append(&message, self.crlf, &mut self.last, out);
                Ok(Given::Piece)
            }
            From::Reader(reader) => {
                if reader.next().is_none() {
                    reader.read(self.last)?;
                }
                let Some((given, len)) = reader.next() else {
                    return Ok(Given::Nothing);
                };
                let piece = &reader.held[reader.at..][..len];
                append(piece, self.crlf, &mut self.last, out);
                reader.at += len;
                Ok(given)
            }
        }
    }
}

impl Reader {
    const fn new(file: File, size: usize) -> Self {
        Self {
            file,
            by_lines: false,
            keys: false,
            size,
            held: Vec::new(),
            at: 0,
            usable: 0,
            end: None,
        }
    }

    /// What can be given out without reading, and its length.
    fn next(&self) -> Option<(Given, usize)> {
        let usable = &self.held[self.at..self.usable];
        if usable.is_empty() {
            return self.end.map(|end| (end, 0));
        }
        let len = match memchr(b'\n', usable) {
            _ if !self.by_lines => usable.len(),
            Some(at) => at + 1,
            None if usable.len() >= LONGEST || self.end.is_some() => usable.len(),
            None => return None,
        };
        Some((
            Given::Piece,
            len.min(if self.by_lines { LONGEST } else { len }),
        ))
    }

    /// Reads once; `last` is the byte given out before.
    fn read(&mut self, last: u8) -> io::Result<()> {
        self.held.drain(..self.at);
        self.at = 0;
        let before = self.held.len();
        self.held.resize(before + self.size, 0);
        let read = self.file.read(&mut self.held[before..]);
        self.held.truncate(before + *read.as_ref().unwrap_or(&0));
        let is_end = read? == 0;
        if is_end {
            self.end = Some(Given::End);
        }
        self.keys &= memchr(0, &self.held[before..]).is_none();
        self.usable = self.held.len();
        if !self.keys {
            return Ok(());
        }
        for at in memchr_iter(QUIT, &self.held) {
            let begins = match at.checked_sub(1) {
                Some(before) => self.held[before] == b'\n',
                None => last == b'\n',
            };
            let is_line = match (begins, &self.held[at + 1..]) {
                (false, _) => Some(false),
                (true, [] | [b'\r']) if !is_end => None,
                (true, rest) => {
                    Some(rest.is_empty() || rest.starts_with(b"\n") || rest.starts_with(b"\r\n"))
                }
            };
            match is_line {
                Some(false) => continue,
                Some(true) => self.end = Some(Given::Quit),
                None => {}
            }
            self.usable = at;
            break;
        }
        Ok(())
    }
}

/// Appends `bytes`; with `crlf` each line end that is not CR LF becomes so.
fn append(bytes: &[u8], crlf: bool, last: &mut u8, out: &mut Vec<u8>) {
    if crlf {
        for &byte in bytes {
            if byte == b'\n' && *last != b'\r' {
                out.push(b'\r');
            }
            out.push(byte);
            *last = byte;
        }
    } else {
        out.extend_from_slice(bytes);
        *last = bytes.last().copied().unwrap_or(*last);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::io::Write as _;

    use proptest::prelude::*;

    use super::*;

    /// A pipe of which each of `reads` is one read.
    fn taken(make: impl Fn(File) -> Input, reads: &[&[u8]]) -> Vec<(Given, Vec<u8>)> {
        let (reader, mut writer) = io::pipe().unwrap();
        let mut input = make(File::from(std::os::fd::OwnedFd::from(reader)));
        let mut all = Vec::new();
        let mut reads = reads.iter();
        let mut out = Vec::new();
        loop {
            while input.waits_for().is_some() {
                match reads.next() {
                    Some(bytes) => writer.write_all(bytes).unwrap(),
                    None => writer = io::pipe().unwrap().1,
                }
                match input.take(&mut out).unwrap() {
                    Given::Nothing => {}
                    given => all.push((given, out.clone())),
                }
            }
            let given = input.take(&mut out).unwrap();
            if given == Given::Piece {
                all.push((given, out.clone()));
                continue;
            }
            if all.last().map(|last| last.0) != Some(given) {
                all.push((given, Vec::new()));
            }
            return all;
        }
    }

    fn pieces(taken: &[(Given, Vec<u8>)]) -> (Vec<&[u8]>, Given) {
        let (last, pieces) = taken.split_last().unwrap();
        assert!(pieces.iter().all(|piece| piece.0 == Given::Piece));
        (pieces.iter().map(|piece| &piece.1[..]).collect(), last.0)
    }

    #[test]
    fn a_line_that_is_ctrl_x_closes_however_it_arrives() {
        for reads in [
            &[&b"one\n\x18\ntwo\n"[..]][..],
            &[b"one\n", b"\x18", b"\n"],
            &[b"one\n", b"\x18\r\n"],
            &[b"one\n", b"\x18"],
        ] {
            let taken = taken(|file| Input::lines(file, false, false), reads);
            assert_eq!(
                pieces(&taken),
                (vec![&b"one\n"[..]], Given::Quit),
                "{reads:?}"
            );
        }
    }

    proptest! {
        #[test]
        fn where_a_pipe_is_cut_changes_nothing(
            bytes in prop::collection::vec(prop::sample::select(&b"a\n\r\x18"[..]), 0..60),
            size in 1_usize..60,
            one_by_one: bool,
        ) {
            let reads: Vec<&[u8]> = bytes.chunks(size).collect();
            let taken = taken(|file| Input::lines(file, one_by_one, false), &reads);
            let (pieces, end) = pieces(&taken);
            let mut wanted = Vec::new();
            let mut wanted_end = Given::End;
            for line in bytes.split_inclusive(|&byte| byte == b'\n') {
                if matches!(line, b"\x18" | b"\x18\n" | b"\x18\r\n") {
                    wanted_end = Given::Quit;
                    break;
                }
                wanted.extend_from_slice(line);
            }
            prop_assert_eq!(pieces.concat(), wanted);
            prop_assert_eq!(end, wanted_end);
        }
    }

    #[test]
    fn ctrl_x_in_a_line_or_beside_zero_bytes_is_data() {
        for whole in [&b"a\x18\n"[..], b"\x18a\n", b"\0\n\x18\n"] {
            let taken = taken(|file| Input::lines(file, false, false), &[whole]);
            assert_eq!(pieces(&taken), (vec![whole], Given::End));
        }
    }

    #[test]
    fn for_datagrams_lines_come_one_by_one() {
        let lines = |file| Input::lines(file, true, true);
        let found = taken(lines, &[b"one\ntw", b"o\nrest"]);
        let wanted: [&[u8]; 3] = [b"one\r\n", b"two\r\n", b"rest"];
        assert_eq!(pieces(&found), (wanted.to_vec(), Given::End));
        let long = vec![b'x'; 40_000];
        let found = taken(lines, &[&long, &long]);
        let lens: Vec<_> = found.iter().map(|piece| piece.1.len()).collect();
        assert_eq!(lens, [LONGEST, 80_000 - LONGEST, 0]);
    }

    #[test]
    fn crlf_leaves_whole_line_ends_alone_also_between_pieces() {
        let crlf = |file| Input::bytes(file, false, true);
        let found = taken(crlf, &[b"a\nb\r", b"\n\n"]);
        let all: Vec<u8> = found.into_iter().flat_map(|piece| piece.1).collect();
        assert_eq!(all, b"a\r\nb\r\n\r\n");
    }
}
