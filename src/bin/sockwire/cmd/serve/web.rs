//! What `serve http` and `serve ws` do with a client.

use anyhow::anyhow;
use sockwire::sockets::server::Service;

use super::{Args, Exit, Failure, Kind};

/// The service for [`Kind::Http`] or [`Kind::Ws`], as the command line wants it.
pub(super) fn service(kind: Kind, _args: &Args) -> Result<Box<dyn Service>, Failure> {
    let error = anyhow!("serve {kind} is not in this version: serve tcp is");
    Err(Failure::new(Exit::Usage, error))
}
