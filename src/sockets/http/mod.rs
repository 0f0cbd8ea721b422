//! HTTP/1 over the ordinary sockets: a request written by hand, and a server of a few pages.

mod body;
mod client;
mod head;
mod server;
mod url;

pub use body::{BadBody, Body, Chunk};
pub use client::{Answered, Asking, Hear, HttpError, Part, get, read_head};
pub use head::{
    BadHead, Gathering, HEAD_LIMIT, Head, HeadLine, Request, Response, Start, Whole, lines,
};
pub(crate) use server::wrong_method;
pub use server::{Answer, Opening, Pages, date, hear, linger};
pub use url::{Url, UrlError};
