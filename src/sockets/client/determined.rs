//! The determined sender: a file goes out again and again, until the patient receiver has counted all of it.

use std::{
    fmt, io,
    io::{Read, Seek},
    time::Duration,
};

use super::{Connected, Dial, Tried, meaning};
use crate::{
    call::{Address, Choice, Family, How, Kind},
    sockets::{Event, Journal},
    sys::signal::pause,
    text::Safe,
};

/// What is read and sent at once.
const BLOCK: usize = 64 * 1024;
/// The most of an answer that is read: a count has at most 20 digits.
const ANSWER: usize = 64;
/// The wait grows by this from try to try.
const STEP: Duration = Duration::from_millis(200);
/// And no longer than this.
const LONGEST: Duration = Duration::from_secs(3);

/// How a file is delivered.
pub struct Determined<'a> {
    /// How each connection is made.
    pub dial: &'a Dial,
    /// Where to.
    pub addresses: &'a [Address],
    /// Gives up after so many tries; without it never.
    pub tries: Option<u64>,
    /// The user wants to stop: asked whenever a signal may have come.
    pub stopped: &'a dyn Fn() -> bool,
}

/// How far a try is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Tries count from 1.
    pub attempt: u64,
    /// Bytes sent in it.
    pub sent: u64,
}

/// What came of it.
#[derive(Debug)]
pub struct Delivery {
    /// How often it was tried.
    pub tries: u64,
    /// Bytes of the file, as sent by the last try.
    pub bytes: u64,
    /// Why the last try was not enough; nothing when the receiver has counted every byte.
    pub fault: Option<Fault>,
}

/// Why a try was not enough.
#[derive(Debug)]
pub enum Fault {
    /// The receiver counted so many bytes.
    Counted(u64),
    /// The receiver answered with this, which is no number.
    Answered(Vec<u8>),
    /// No connection; a receiver that is not there yet.
    Unreachable(Vec<Tried>),
    /// The connection failed on the way.
    Broken(Family, io::Error),
    /// The user stopped it.
    Stopped,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Counted(count) => write!(f, "the receiver counted {count}"),
            Self::Answered(bytes) if bytes.is_empty() => {
                f.write_str("the receiver closed without a count")
            }
            Self::Answered(bytes) => {
                write!(
                    f,
                    "the receiver answered \"{}\", which is no count",
                    Safe(bytes)
                )
            }
            Self::Unreachable(_) => f.write_str("no receiver"),
            Self::Broken(family, error) => match meaning(*family, Kind::Stream, error) {
                Some(meaning) => f.write_str(meaning.word),
                None if error.kind() == io::ErrorKind::WouldBlock => f.write_str("timed out"),
                None => error.fmt(f),
            },
            Self::Stopped => f.write_str("stopped"),
        }
    }
}

impl Determined<'_> {
    /// Sends all of `file` until the receiver's count is the number of bytes that were sent, the last block too. Each try
    /// shuts its writing side down, so that the receiver sees the end, and reads the count as decimal digits.
    ///
    /// # Errors
    /// Those of reading the file. What the network does is a reason to try again.
    pub fn deliver(
        &self,
        journal: &Journal,
        file: &mut (impl Read + Seek),
        progress: &mut dyn FnMut(Progress),
    ) -> io::Result<Delivery> {
        let mut tries = 0;
        loop {
            tries += 1;
            file.rewind()?;
            let mut bytes = 0;
            let outcome = self.attempt(journal, file, &mut bytes, &mut |sent| {
                let attempt = tries;
                progress(Progress { attempt, sent });
            })?;
            let is_last = self.tries.is_some_and(|most| tries >= most) || (self.stopped)();
            let wait = (STEP * u32::try_from(tries).unwrap_or(u32::MAX).min(100)).min(LONGEST);
            journal.tell(|| {
                Event::Note(said(
                    tries,
                    bytes,
                    outcome.as_ref(),
                    (!is_last).then_some(wait),
                ))
            });
            if is_last || outcome.is_none() {
                let fault = outcome;
                return Ok(Delivery {
                    tries,
                    bytes,
                    fault,
                });
            }
            pause(wait);
            if (self.stopped)() {
                let fault = Some(Fault::Stopped);
                return Ok(Delivery {
                    tries,
                    bytes,
                    fault,
                });
            }
        }
    }

    /// One try; nothing when the counts agree.
    fn attempt(
        &self,
        journal: &Journal,
        file: &mut impl Read,
        bytes: &mut u64,
        progress: &mut dyn FnMut(u64),
    ) -> io::Result<Option<Fault>> {
        let connected = match self.dial.all(journal, self.addresses) {
            Ok(connected) => connected,
            Err(tried) => return Ok(Some(Fault::Unreachable(tried))),
        };
        let mut block = vec![0; BLOCK];
        loop {
            let len = match file.read(&mut block) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                read => read?,
            };
            if len == 0 {
                break;
            }
            if (self.stopped)() {
                return Ok(Some(Fault::Stopped));
            }
            if let Err(error) = connected.socket.send_all(&block[..len]) {
                return Ok(Some(self.broken(&connected, error)));
            }
            *bytes += len as u64;
            progress(*bytes);
        }
        match self.count(&connected) {
            Err(error) => Ok(Some(self.broken(&connected, error))),
            Ok(answer) => Ok(match number(&answer) {
                Some(count) if count == *bytes => None,
                Some(count) => Some(Fault::Counted(count)),
                None => Some(Fault::Answered(answer)),
            }),
        }
    }

    fn broken(&self, connected: &Connected, error: io::Error) -> Fault {
        if (self.stopped)() {
            return Fault::Stopped;
        }
        Fault::Broken(connected.peer.family(), error)
    }

    /// Ends sending, and reads what the receiver says until it closes.
    fn count(&self, connected: &Connected) -> io::Result<Vec<u8>> {
        let socket = &connected.socket;
        socket.shutdown(How::Write)?;
        if let Some(wait) = self.dial.wait {
            socket.set_time(Choice::ReceiveTimeout, wait)?;
        }
        let mut answer = Vec::new();
        let mut buffer = [0; ANSWER];
        while answer.len() < ANSWER {
            match socket.recv(&mut buffer)? {
                0 => break,
                len => answer.extend_from_slice(&buffer[..len]),
            }
        }
        Ok(answer)
    }
}

/// Decimal digits, with or without blanks and a line end around them.
fn number(answer: &[u8]) -> Option<u64> {
    let digits = answer.trim_ascii();
    if !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

fn said(attempt: u64, bytes: u64, fault: Option<&Fault>, again: Option<Duration>) -> String {
    let Some(fault) = fault else {
        return format!("try {attempt}: {bytes} bytes sent, and all of them counted");
    };
    let again = match again {
        Some(wait) if !matches!(fault, Fault::Stopped) => {
            format!("; again in {:.1} s", wait.as_secs_f64())
        }
        _ => String::new(),
    };
    match fault {
        Fault::Unreachable(_) => format!("try {attempt}: {fault}{again}"),
        _ => format!("try {attempt}: {bytes} bytes sent, {fault}{again}"),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::{io::Cursor, net::Ipv4Addr, thread};

    use super::*;
    use crate::sockets::Socket;

    /// A receiver on a port of its own that counts what it gets, and answers with what `lie` makes of it.
    fn receiver(lies: Vec<fn(u64) -> String>) -> (Address, thread::JoinHandle<Vec<u64>>) {
        let server = Socket::new(&Journal::default(), Family::Inet, Kind::Stream).unwrap();
        server
            .bind(&Address::Ip((Ipv4Addr::LOCALHOST, 0).into()))
            .unwrap();
        server.listen(1).unwrap();
        let address = server.local().unwrap();
        let counting = thread::spawn(move || {
            let mut counts = Vec::new();
            for lie in lies {
                let (client, _) = server.accept().unwrap();
                let mut buffer = vec![0; 4096];
                let mut count = 0;
                loop {
                    match client.recv(&mut buffer).unwrap() {
                        0 => break,
                        len => count += len as u64,
                    }
                }
                counts.push(count);
                client.send_all(lie(count).as_bytes()).unwrap();
            }
            counts
        });
        (address, counting)
    }

    #[test]
    fn it_sends_again_until_every_byte_is_counted() {
        // The last block is short, and counts as well.
        let size = 3 * BLOCK as u64 + 17;
        let (address, counting) = receiver(vec![
            |count| format!("{}\n", count - 17),
            |_| "sorry\u{1b}[2J".to_owned(),
            |_| String::new(),
            |count| count.to_string(),
        ]);
        let determined = Determined {
            dial: &Dial::default(),
            addresses: &[address],
            tries: None,
            stopped: &|| false,
        };
        let mut file = Cursor::new(vec![7; size as usize]);
        let mut seen = Vec::new();
        let delivery = determined
            .deliver(&Journal::default(), &mut file, &mut |progress| {
                seen.push(progress)
            })
            .unwrap();
        assert_eq!((delivery.tries, delivery.bytes), (4, size));
        assert!(delivery.fault.is_none(), "{:?}", delivery.fault);
        assert_eq!(counting.join().unwrap(), [size; 4]);
        let last = Progress {
            attempt: 4,
            sent: size,
        };
        assert_eq!(seen.last(), Some(&last));
    }

    #[test]
    fn it_gives_up_after_the_tries_it_was_given() {
        let (address, counting) = receiver(vec![|_| "1".to_owned(), |_| "x\u{1b}".to_owned()]);
        let determined = Determined {
            dial: &Dial::default(),
            addresses: &[address],
            tries: Some(2),
            stopped: &|| false,
        };
        let delivery = determined
            .deliver(&Journal::default(), &mut Cursor::new(b"abc"), &mut |_| {})
            .unwrap();
        assert_eq!(delivery.tries, 2);
        let fault = delivery.fault.unwrap().to_string();
        assert_eq!(fault, "the receiver answered \"x\\x1b\", which is no count");
        counting.join().unwrap();
    }

    #[test]
    fn a_count_is_decimal_digits() {
        assert_eq!(number(b"1073741824\r\n"), Some(1 << 30));
        for wrong in [&b""[..], b"+5", b"5 5", b"0x5", b"99999999999999999999999"] {
            assert_eq!(number(wrong), None);
        }
    }
}
