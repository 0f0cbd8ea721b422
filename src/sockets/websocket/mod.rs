//! WebSocket over the ordinary sockets (RFC 6455): the handshake over HTTP, then messages. The frames are tungstenite's.

mod chat;
mod client;
mod server;
mod talk;

pub use chat::{Chat, ChatError, Heard};
pub use client::{NoWebSocket, open, request};
pub use server::Echo;
pub use talk::{Ended, MESSAGE_LIMIT, Said, Talk};

#[cfg(test)]
mod tests;
