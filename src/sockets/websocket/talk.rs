//! A WebSocket connection after its handshake: bytes are received by one call each, and messages come out of them.

use std::{
    fmt,
    io::{self, Read, Write},
};

use tungstenite::{
    Error, Message, Utf8Bytes, WebSocket,
    error::ProtocolError,
    protocol::{CloseFrame, Role, WebSocketConfig},
};

use crate::{sockets::Socket, text::Safe};

/// The longest message, in bytes.
pub const MESSAGE_LIMIT: usize = 1 << 20;

/// Bytes that one `recv` takes at most.
const PIECE: usize = 4096;

/// What the other end has said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// A text message.
    Text(String),
    /// A message of bytes.
    Binary(Vec<u8>),
    /// A ping; the pong goes back by itself.
    Ping(Vec<u8>),
    /// A pong.
    Pong(Vec<u8>),
    /// It closes, or answers the close of this end: with a code and a reason, or without (RFC 6455 §7.4).
    Close(Option<(u16, String)>),
}

/// Why nothing more comes.
#[derive(Debug, thiserror::Error)]
pub enum Ended {
    /// Both ends have said that they close.
    #[error("closed by both ends")]
    Closed,
    /// The connection ended without a Close frame; programs call this 1006.
    #[error("the connection ended without a Close frame")]
    NoClose,
    /// The other end broke the rules, and has been told the code for it.
    #[error("closed with {0}: {1}")]
    Broken(u16, String),
    /// A call failed.
    #[error("{0}")]
    Call(#[from] io::Error),
}

/// The connection.
#[derive(Debug)]
pub struct Talk<'a> {
    frames: WebSocket<Wire<'a>>,
}

/// Gives tungstenite what has been received, and sends what it writes.
#[derive(Debug)]
struct Wire<'a> {
    socket: &'a Socket,
    buffer: Box<[u8; PIECE]>,
    /// The part of the buffer that is still to be read.
    came: std::ops::Range<usize>,
    /// `recv` has returned 0.
    over: bool,
    sent: u64,
}

impl Read for Wire<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.came.is_empty() && !self.over {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let len = (&self.buffer[self.came.clone()]).read(into)?;
        self.came.start += len;
        Ok(len)
    }
}

impl Write for Wire<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let len = self.socket.send(bytes)?;
        self.sent += len as u64;
        Ok(len)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> Talk<'a> {
    /// The talk over `socket`, whose handshake is done; `rest` is what came behind the head.
    pub(super) fn new(socket: &'a Socket, rest: Vec<u8>, role: Role) -> Self {
        let config = WebSocketConfig::default()
            .read_buffer_size(PIECE)
            .max_message_size(Some(MESSAGE_LIMIT))
            .max_frame_size(Some(MESSAGE_LIMIT));
        let wire = Wire {
            socket,
            buffer: Box::new([0; PIECE]),
            came: 0..0,
            over: false,
            sent: 0,
        };
        let frames = WebSocket::from_partially_read(wire, rest, role, Some(config));
        Self { frames }
    }

    /// Receives by one call, which may wait; 0 is the end of the connection. Call it when [`Self::said`] has nothing.
    ///
    /// # Errors
    /// Those of the call.
    pub fn receive(&mut self) -> io::Result<usize> {
        let wire = self.frames.get_mut();
        let len = wire.socket.recv(&mut wire.buffer[..])?;
        wire.came = 0..len;
        wire.over = len == 0;
        Ok(len)
    }

    /// The next message in what has been received; `None` while there is no whole one. Answers to pings and closes are sent.
    ///
    /// # Errors
    /// When nothing more will come.
    pub fn said(&mut self) -> Result<Option<Said>, Ended> {
        let message = match self.frames.read() {
            Ok(message) => message,
            Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
            Err(error) => return Err(self.ended(error)),
        };
        Ok(Some(match message {
            Message::Text(text) => Said::Text(text.as_str().to_owned()),
            Message::Binary(bytes) => Said::Binary(bytes.into()),
            Message::Ping(bytes) => Said::Ping(bytes.into()),
            Message::Pong(bytes) => Said::Pong(bytes.into()),
            Message::Close(frame) => {
                let code =
                    |frame: CloseFrame| (frame.code.into(), frame.reason.as_str().to_owned());
                Said::Close(frame.map(code))
            }
            // Only for those who ask for single frames.
            Message::Frame(_) => return Ok(None),
        }))
    }

    /// Sends a message, or what else `what` is.
    ///
    /// # Errors
    /// Those of the calls.
    pub fn say(&mut self, what: Said) -> Result<(), Ended> {
        let message = match what {
            Said::Text(text) => Message::Text(text.into()),
            Said::Binary(bytes) => Message::Binary(bytes.into()),
            Said::Ping(bytes) => Message::Ping(bytes.into()),
            Said::Pong(bytes) => Message::Pong(bytes.into()),
            Said::Close(None) => return self.close(None),
            Said::Close(Some((code, reason))) => return self.close(Some((code, &reason))),
        };
        self.frames.send(message).map_err(|error| self.ended(error))
    }

    fn close(&mut self, why: Option<(u16, &str)>) -> Result<(), Ended> {
        let frame = why.map(|(code, reason)| CloseFrame {
            code: code.into(),
            reason: Utf8Bytes::from(short(reason)),
        });
        match self.frames.close(frame) {
            Ok(()) => Ok(()),
            Err(Error::Io(error)) => Err(Ended::Call(error)),
            Err(_) => Err(Ended::Closed),
        }
    }

    /// Bytes sent, frames included.
    pub fn sent(&self) -> u64 {
        self.frames.get_ref().sent
    }

    /// Tells the other end what it did wrong, where it did (RFC 6455 §7.1.7).
    fn ended(&mut self, error: Error) -> Ended {
        let (code, why) = match error {
            Error::ConnectionClosed | Error::AlreadyClosed => return Ended::Closed,
            Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => return Ended::NoClose,
            Error::Io(error) => return Ended::Call(error),
            Error::Utf8(_) => (1007, "a text that is not UTF-8".to_owned()),
            Error::Capacity(_) => (1009, format!("longer than {MESSAGE_LIMIT} bytes")),
            error => (1002, error.to_string()),
        };
        // The other end may be gone already; what it did is told all the same.
        let _ = self.close(Some((code, &why)));
        Ended::Broken(code, why)
    }
}

/// As much of a reason as fits into a Close frame behind its code (RFC 6455 §5.5).
fn short(reason: &str) -> &str {
    let mut end = reason.len().min(123);
    while !reason.is_char_boundary(end) {
        end -= 1;
    }
    &reason[..end]
}

/// In words; safe to show.
impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = |f: &mut fmt::Formatter<'_>, kind: &str, bytes: &[u8]| {
            write!(f, "{kind} of {} bytes \"{}\"", bytes.len(), Safe(bytes))
        };
        match self {
            Self::Text(text) => bytes(f, "text", text.as_bytes()),
            Self::Binary(data) => bytes(f, "binary message", data),
            Self::Ping(data) => bytes(f, "ping", data),
            Self::Pong(data) => bytes(f, "pong", data),
            Self::Close(None) => f.write_str("close without a code"),
            Self::Close(Some((code, reason))) if reason.is_empty() => write!(f, "close {code}"),
            Self::Close(Some((code, reason))) => {
                write!(f, "close {code} \"{}\"", Safe(reason.as_bytes()))
            }
        }
    }
}
