//! The client's side of the handshake: a request that asks for WebSocket, and whether the answer agrees.

use tungstenite::{
    handshake::{client::generate_key, derive_accept_key},
    protocol::Role,
};

use super::Talk;
use crate::{
    sockets::{
        Socket,
        http::{Hear, HttpError, Url, ask},
    },
    text::Safe,
};

/// Why there is no WebSocket.
#[derive(Debug, thiserror::Error)]
pub enum NoWebSocket {
    /// There was no answer of HTTP.
    #[error("{0}")]
    Http(#[from] HttpError),
    /// The server answers, but does not change to WebSocket.
    #[error(
        "the server does not change to WebSocket: it answers {0} {1}, and 101 Switching Protocols would agree"
    )]
    Refused(u16, String),
    /// It agrees, but in a way that RFC 6455 §4.1 tells clients to refuse.
    #[error("the server's agreement is wrong (RFC 6455 section 4.1): {0}")]
    Wrong(&'static str),
}

/// What asks `url` for WebSocket; `key` is a nonce of 16 bytes in base64.
pub fn request(url: &Url, key: &str) -> String {
    let Url {
        target, authority, ..
    } = url;
    format!(
        "GET {target} HTTP/1.1\r\nHost: {authority}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
}

/// Asks for WebSocket over a connected socket. `hear` gets both heads.
///
/// # Errors
/// When a call fails, or the server does not agree.
pub fn open<'a>(
    socket: &'a Socket,
    url: &Url,
    hear: &mut Hear<'_>,
) -> Result<Talk<'a>, NoWebSocket> {
    let key = generate_key();
    let (head, rest) = ask(socket, &request(url, &key), hear)?;
    if head.first.code != 101 {
        let reason = Safe(head.first.reason.as_bytes()).to_string();
        return Err(NoWebSocket::Refused(head.first.code, reason));
    }
    let has = |name, item: &[u8]| head.items(name).any(|own| own.eq_ignore_ascii_case(item));
    let accept = derive_accept_key(key.as_bytes());
    let mut accepts = head.values("Sec-WebSocket-Accept");
    let wrong = [
        (!has("Upgrade", b"websocket"), "no Upgrade: websocket"),
        (!has("Connection", b"upgrade"), "no Connection: Upgrade"),
        (
            accepts.next() != Some(accept.as_bytes()),
            "Sec-WebSocket-Accept is not made of the key that was sent",
        ),
        (
            head.values("Sec-WebSocket-Extensions").next().is_some(),
            "an extension that was not asked for",
        ),
        (
            head.values("Sec-WebSocket-Protocol").next().is_some(),
            "a subprotocol that was not asked for",
        ),
    ];
    match wrong.into_iter().find(|(wrong, _)| *wrong) {
        Some((_, what)) => Err(NoWebSocket::Wrong(what)),
        None => Ok(Talk::new(socket, rest, Role::Client)),
    }
}
