//! What `serve http` and `serve ws` do with a client.

use sockwire::sockets::{http::Pages, server::Service, websocket::Echo};

use super::{Args, Failure, Kind, usage};

/// The service for [`Kind::Http`] or [`Kind::WebSocket`], as the command line wants it.
pub(super) fn service(kind: Kind, args: &Args) -> Result<Box<dyn Service>, Failure> {
    match (args.echo, args.receive) {
        (true, _) if kind == Kind::WebSocket => {
            return Err(usage("serve ws is an echo anyway: leave --echo out"));
        }
        (true, _) => {
            return Err(usage(
                "--echo is for serve tcp: HTTP has requests and answers",
            ));
        }
        (_, true) => {
            return Err(usage(
                "--receive is for serve tcp: it counts bytes of a stream",
            ));
        }
        _ => {}
    }
    Ok(match kind {
        Kind::WebSocket => Box::new(Echo),
        _ => Box::new(Pages),
    })
}
