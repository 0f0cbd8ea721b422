//! HTTP/1 over the ordinary sockets: a request written by hand, and a server of a few pages.
//!
//! ```
//! use sockwire::{
//!     call::{Address, Family, Kind},
//!     sockets::{
//!         Journal, Socket,
//!         http::{Asking, Pages, Part, Url, get},
//!         server::{Options, Server, Style},
//!     },
//! };
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let silent = Journal::default();
//! let mut options = Options::new(Address::Ip(([127, 0, 0, 1], 0).into()), Kind::Stream);
//! options.clients = Some(1);
//! let server = Server::open(&silent, options)?;
//! let address = server.address().clone();
//! let served = std::thread::spawn(move || server.run(Style::Sequential, &Pages));
//!
//! let client = Socket::new(&silent, Family::Inet, Kind::Stream)?;
//! client.connect(&address)?;
//! let url = Url::parse(&format!("http://{address}/ip"), "http")?;
//! let asking = Asking { url: &url, head_only: false, minor: 0 };
//! assert!(asking.text().starts_with("GET /ip HTTP/1.0\r\nHost: 127.0.0.1:"));
//! let mut body = Vec::new();
//! let answered = get(&client, &asking, &mut |part| {
//!     if let Part::Body(bytes) = part {
//!         body.extend_from_slice(bytes);
//!     }
//!     Ok(())
//! })?;
//! assert_eq!(answered.head.first.code, 200);
//! assert_eq!(body, b"{\n  \"origin\": \"127.0.0.1\"\n}\n");
//! # drop(client);
//! # served.join().map_err(|_| "the server panicked")??;
//! # Ok(())
//! # }
//! ```

mod body;
mod client;
mod head;
mod server;
mod url;

pub use body::{BadBody, Body, Chunk};
pub use client::{Answered, Asking, Hear, HttpError, Part, ask, get};
pub use head::{
    BadHead, Gathering, HEAD_LIMIT, Head, HeadLine, Request, Response, Start, Whole, lines,
};
pub(crate) use server::wrong_method;
pub use server::{Answer, Opening, Pages, hear, linger};
pub use url::{Url, UrlError};
