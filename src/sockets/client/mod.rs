//! Clients: a connection over all addresses of a name, an exchange both ways at once, and the determined sender.
//!
//! ```
//! use sockwire::{call::{Address, Family, Kind}, sockets::{Journal, Socket, client::{Dial, Exchange, Input}}};
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let silent = Journal::default();
//! let server = Socket::new(&silent, Family::Inet, Kind::Stream)?;
//! server.bind(&Address::Ip(([127, 0, 0, 1], 0).into()))?;
//! server.listen(1)?;
//! let address = server.local()?;
//! let there = std::thread::spawn(move || -> std::io::Result<()> {
//!     let (client, _) = server.accept()?;
//!     let mut buffer = [0; 5];
//!     let len = client.recv(&mut buffer)?;
//!     client.send_all(&buffer[..len])
//! });
//!
//! let connected = Dial::default().one(&silent, &address).map_err(|tried| tried.error)?;
//! let mut answer = Vec::new();
//! let mut input = Input::messages([b"hello".to_vec()], false);
//! let finished = Exchange::new(&connected.socket, &mut input)
//!     .run(&mut |bytes, _| Ok(answer.extend_from_slice(bytes)))?;
//! assert_eq!((answer.as_slice(), finished.sent), (&b"hello"[..], 5));
//! # there.join().map_err(|_| "the server panicked")??;
//! # Ok(())
//! # }
//! ```

mod determined;
mod dial;
pub(super) mod exchange;
mod input;
mod meaning;

pub use determined::{Delivery, Determined, Fault, Progress};
pub use dial::{Connected, Dial, Source, Step, Tried};
pub use exchange::{Doing, Error, Exchange, Finished, Heard, Over};
pub use input::{Given, Input};
pub use meaning::{Meaning, meaning};

use std::fmt;

use crate::call::Address;

/// An address as people say it: `::1 port 5000`, a path, `@name`.
#[derive(Clone, Copy, Debug)]
pub struct Spoken<'a>(pub &'a Address);

impl fmt::Display for Spoken<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Address::Ip(address) => {
                // As a socket address it says the scope, which the IP address alone does not have.
                let whole = address.to_string();
                let node = whole.rsplit_once(':').map_or(&*whole, |(node, _)| node);
                let node = node.trim_start_matches('[').trim_end_matches(']');
                write!(f, "{node} port {}", address.port())
            }
            other => other.fmt(f),
        }
    }
}
