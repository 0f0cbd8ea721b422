//! Logs of traces: JSON lines, one [`Entry`] each, written as they come and read back one by one.

use std::{
    borrow::Cow,
    io::{self, BufRead as _, BufReader, Read},
    path::Path,
};

use crate::{
    event::{Arg, Entry, Event, VERSION},
    sys::open::to_read,
    text::Safe,
};

/// Bytes that are read at once.
const BUFFER: usize = 128 << 10;
/// The longest line that is read, in bytes: a packet of 256 KiB in hexadecimal digits, or a thousand datagrams of one call.
const LONGEST: u64 = 4 << 20;

/// Why a log cannot be read, or not further. The entries before the fault have been delivered.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The path cannot be opened.
    #[error("cannot open {name}")]
    Open {
        /// The path.
        name: String,
        /// The system's reason.
        source: io::Error,
    },
    /// The system refused a read.
    #[error("cannot read {name} at line {line}")]
    Read {
        /// The path.
        name: String,
        /// The line, counted from 1.
        line: u64,
        /// The system's reason.
        source: io::Error,
    },
    /// It does not begin as logs do.
    #[error(
        "{name} is not the log of a trace: {found}; one is made by: sockwire trace --save my.log COMMAND"
    )]
    NoLog {
        /// The path.
        name: String,
        /// What is there instead.
        found: String,
    },
    /// A later program wrote it.
    #[error(
        "{name} is a log of version {version}, and this program reads version {VERSION}: read it with a newer sockwire"
    )]
    Newer {
        /// The path.
        name: String,
        /// Its version.
        version: u32,
    },
    /// A line is no entry, or the log ends too early.
    #[error("{name} is damaged at line {line}: {found}")]
    Damaged {
        /// The path.
        name: String,
        /// The line, counted from 1.
        line: u64,
        /// What is wrong with it.
        found: String,
    },
}

impl LogError {
    /// The path cannot be opened for this reason.
    pub fn open_kind(&self) -> Option<io::ErrorKind> {
        match self {
            Self::Open { source, .. } => Some(source.kind()),
            _ => None,
        }
    }
}

/// Appends an entry as it stands in a log, its line end included.
///
/// # Errors
/// When the entry cannot be written as JSON.
pub fn push_line(entry: &Entry, out: &mut Vec<u8>) -> io::Result<()> {
    serde_json::to_writer(&mut *out, entry)?;
    out.push(b'\n');
    Ok(())
}

/// Reads a log.
pub struct Reader {
    bytes: BufReader<Box<dyn Read + Send>>,
    name: String,
    /// The number of the line at hand, from 1.
    number: u64,
    line: Vec<u8>,
    /// The last entry was read, or a fault was found.
    over: bool,
}

impl Reader {
    /// Opens a path; `-` is standard input.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn open(path: &Path) -> Result<Self, LogError> {
        if path.as_os_str() == "-" {
            return Ok(Self::new(io::stdin(), "standard input"));
        }
        let name = path.to_string_lossy();
        let opened = to_read(path).and_then(|file| match file.metadata()?.is_dir() {
            true => Err(io::ErrorKind::IsADirectory.into()),
            false => Ok(file),
        });
        match opened {
            Ok(file) => Ok(Self::new(file, &name)),
            Err(source) => Err(LogError::Open {
                name: Safe(name.as_bytes()).to_string(),
                source,
            }),
        }
    }

    /// Reads from a stream; `name` is what messages call it.
    pub fn new(bytes: impl Read + Send + 'static, name: &str) -> Self {
        Self {
            bytes: BufReader::with_capacity(BUFFER, Box::new(bytes)),
            name: Safe(name.as_bytes()).to_string(),
            number: 0,
            line: Vec::new(),
            over: false,
        }
    }

    /// The next entry; `None` after the last one, and after a fault. Texts that views take for safe have no control
    /// bytes in them, whoever wrote the file.
    ///
    /// # Errors
    /// When the log is damaged, cannot be read on, or is no log.
    pub fn entry(&mut self) -> Result<Option<Entry>, LogError> {
        if self.over {
            return Ok(None);
        }
        let read = self.next();
        self.over = !matches!(&read, Ok(entry) if !matches!(entry.event, Event::End(_)));
        read.map(Some)
    }

    fn next(&mut self) -> Result<Entry, LogError> {
        self.number += 1;
        self.line.clear();
        let mut limited = (&mut self.bytes).take(LONGEST);
        let len = limited.read_until(b'\n', &mut self.line);
        let len = len.map_err(|source| LogError::Read {
            name: self.name.clone(),
            line: self.number,
            source,
        })?;
        let line = self.line.trim_ascii();
        let found = match serde_json::from_slice::<Entry>(line) {
            Ok(entry) => return self.checked(entry),
            Err(_) if len == 0 => "the log ends before its last entry".to_owned(),
            Err(_) if len as u64 == LONGEST => format!("it is longer than {LONGEST} bytes"),
            Err(_) if !self.line.ends_with(b"\n") => "it is cut off".to_owned(),
            Err(error) => Safe(error.to_string().as_bytes()).to_string(),
        };
        let name = self.name.clone();
        Err(match self.number {
            1 => LogError::NoLog {
                name,
                found: match len {
                    0 => "it is empty".to_owned(),
                    _ => format!("its first line is no entry of one ({found})"),
                },
            },
            line => LogError::Damaged { name, line, found },
        })
    }

    /// The first entry, and no other one, is the beginning.
    fn checked(&self, mut entry: Entry) -> Result<Entry, LogError> {
        let name = || self.name.clone();
        match (&entry.event, self.number) {
            (Event::Begin(begin), 1) if begin.version > VERSION => Err(LogError::Newer {
                name: name(),
                version: begin.version,
            }),
            (Event::Begin(_), 1) => {
                tame(&mut entry.event);
                Ok(entry)
            }
            (_, 1) => Err(LogError::NoLog {
                name: name(),
                found: "its first entry is not its beginning".to_owned(),
            }),
            (Event::Begin(_), line) => Err(LogError::Damaged {
                name: name(),
                line,
                found: "another log begins here".to_owned(),
            }),
            _ => {
                tame(&mut entry.event);
                Ok(entry)
            }
        }
    }
}

/// Escapes what must not reach a terminal in texts that views take for our own words.
fn tame(event: &mut Event) {
    fn text(text: &mut String) {
        if text.chars().any(|c| !c.is_ascii_graphic() && c != ' ') {
            *text = Safe(text.as_bytes()).to_string();
        }
    }
    fn word(word: &mut Cow<'static, str>) {
        text(word.to_mut());
    }
    // A line is only read when it is not nested deeply.
    fn args(all: &mut Vec<Arg>) {
        for arg in all {
            match arg {
                Arg::Word(words) | Arg::Memory(words) => word(words),
                Arg::Group(group) => args(group),
                _ => {}
            }
        }
    }
    match event {
        Event::Begin(begin) => text(&mut begin.ground),
        Event::Net(net) => {
            let texts = [&mut net.host, &mut net.unseen];
            texts.into_iter().flatten().for_each(text);
        }
        Event::Socket(socket) => {
            word(&mut socket.family);
            word(&mut socket.kind);
        }
        Event::Enter(enter) => {
            word(&mut enter.name);
            args(&mut enter.args);
        }
        Event::Return(returned) => args(&mut returned.out),
        Event::Packet(packet) => packet.lost.iter_mut().for_each(text),
        Event::Note(note) => text(&mut note.text),
        Event::Interface(_)
        | Event::Process(_)
        | Event::Exec(_)
        | Event::Exit(_)
        | Event::Arrival(_)
        | Event::End(_) => {}
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::{
        call::{Address, Caller, Data},
        event::{
            Begin, CallId, Deed, End, Enter, Note, Packet, Part, Process, Return, Socket,
            Transport, Way,
        },
        frame::KernelChecksum,
        time::Time,
    };

    fn entry(at: i64, event: Event) -> Entry {
        Entry {
            at: Time::from_nanos(at),
            event,
        }
    }

    fn begin(version: u32) -> Entry {
        entry(
            1,
            Event::Begin(Begin {
                version,
                what: "python3 -c \u{1b}".to_owned(),
                ground: "this machine".to_owned(),
            }),
        )
    }

    fn enter(call: CallId) -> Entry {
        entry(
            3,
            Event::Enter(Enter {
                call,
                by: Caller {
                    process: 7,
                    thread: 8,
                },
                name: "sendto".into(),
                deed: Deed::Send,
                socket: Some(1),
                closes: vec![],
                args: vec![
                    Arg::Fd(3),
                    Arg::Data(0),
                    Arg::Number(-1),
                    Arg::Word("MSG_DONTWAIT".into()),
                    Arg::Address(None),
                    Arg::Memory("&from".into()),
                    Arg::Text("\u{1b}[2J".to_owned()),
                ],
                parts: vec![Part {
                    data: Data::of(b"\xff\0"),
                    address: Some(Address::Ip("[::1]:80".parse().unwrap())),
                }],
                waited: true,
            }),
        )
    }

    fn log() -> Vec<Entry> {
        vec![
            begin(VERSION),
            entry(
                2,
                Event::Process(Process {
                    process: 7,
                    parent: None,
                    net: 1,
                    name: "a\nb".to_owned(),
                }),
            ),
            entry(
                2,
                Event::Socket(Socket {
                    id: 1,
                    net: 1,
                    family: "AF_UNIX".into(),
                    kind: "SOCK_STREAM".into(),
                    transport: Transport::Unix,
                    local: Some(Address::Path("/tmp/x".into())),
                    peer: Some(Address::Unnamed),
                    before: Some([5, u64::MAX]),
                    queued: Some([0, 7]),
                }),
            ),
            enter(1),
            entry(
                4,
                Event::Return(Return {
                    call: 1,
                    result: Err(11),
                    moved: 0,
                    opened: None,
                    out: vec![],
                    parts: vec![],
                }),
            ),
            entry(
                5,
                Event::Packet(Packet {
                    number: 1,
                    interface: 0,
                    way: Way::Loop,
                    wire_len: 3,
                    checksum: KernelChecksum::Unfilled,
                    bytes: vec![0, 1, 255],
                    lost: None,
                }),
            ),
            entry(6, Event::End(End::default())),
        ]
    }

    fn written(entries: &[Entry]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for entry in entries {
            push_line(entry, &mut bytes).unwrap();
        }
        bytes
    }

    /// All entries, and the fault behind them.
    fn read(bytes: Vec<u8>) -> (Vec<Entry>, Option<String>) {
        let mut reader = Reader::new(io::Cursor::new(bytes), "my.log");
        let mut entries = Vec::new();
        loop {
            match reader.entry() {
                Ok(Some(entry)) => entries.push(entry),
                Ok(None) => return (entries, None),
                Err(error) => {
                    assert!(reader.entry().unwrap().is_none());
                    return (entries, Some(error.to_string()));
                }
            }
        }
    }

    #[test]
    fn what_is_written_is_read() {
        assert_eq!(read(written(&log())), (log(), None));
    }

    #[test]
    fn a_damaged_log_gives_what_was_good_and_the_line() {
        let mut bytes = written(&log()[..4]);
        bytes.extend_from_slice(b"{\"at\":5,\"enter\":{}}\n");
        let (good, fault) = read(bytes);
        assert_eq!(good, log()[..4]);
        let fault = fault.unwrap();
        assert!(
            fault.contains("my.log is damaged at line 5: missing field"),
            "{fault}"
        );

        let whole = written(&log());
        let (good, fault) = read(whole[..whole.len() - 4].to_vec());
        assert_eq!(
            (good.len(), fault.unwrap()),
            (6, "my.log is damaged at line 7: it is cut off".to_owned())
        );

        let (good, fault) = read(written(&log()[..3]));
        assert_eq!(good.len(), 3);
        assert!(
            fault
                .unwrap()
                .ends_with("line 4: the log ends before its last entry")
        );
    }

    #[test]
    fn what_is_no_log_is_named_so() {
        let fault = |bytes: &[u8]| read(bytes.to_vec()).1.unwrap();
        assert!(fault(b"").contains("it is empty"));
        assert!(fault(b"GET / HTTP/1.0\r\n").contains("my.log is not the log of a trace"));
        assert!(fault(&written(&log()[1..])).contains("not its beginning"));
        assert!(fault(&[b'['; 9 << 20]).contains("longer than 4194304 bytes"));
        let twice = [written(&log()[..2]), written(&log())].concat();
        assert!(fault(&twice).contains("line 3: another log begins here"));
        let newer = written(&[begin(VERSION + 1)]);
        assert!(fault(&newer).contains("read it with a newer sockwire"));
    }

    #[test]
    fn a_file_cannot_put_control_bytes_where_our_own_words_stand() {
        let mut entries = log();
        entries.insert(
            1,
            entry(
                1,
                Event::Note(Note {
                    process: None,
                    text: "a\u{1b}[2Jb\u{9b}".to_owned(),
                }),
            ),
        );
        let (read, _) = read(written(&entries));
        assert!(
            matches!(&read[1].event, Event::Note(note) if note.text == "a\\x1b[2Jb\\u{9b}"),
            "{:?}",
            read[1]
        );
    }
}
