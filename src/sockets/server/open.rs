//! Opening a server's socket, and stopping the server.

use std::{
    fs, io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    os::unix::fs::{FileTypeExt as _, MetadataExt as _},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use crate::{
    call::{Address, Choice, Family, Kind},
    sockets::{Event, Journal, Socket},
    sys::signal::Stop,
};

/// How a server opens, and when it ends.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where it listens. Port 0 takes a free one.
    pub address: Address,
    /// Streams or datagrams.
    pub kind: Kind,
    /// An IPv6 socket takes IPv4 as well, which it sees as mapped addresses; where this machine has no IPv6, an IPv4
    /// socket is used.
    pub both: bool,
    /// `SO_REUSEADDR`: a port whose earlier connections are in TIME-WAIT can be taken, if their server had set it too.
    pub reuse_address: bool,
    /// Connections that may wait in the accept queue; the kernel takes one more.
    pub backlog: i32,
    /// `TCP_NODELAY` on each connection.
    pub no_delay: bool,
    /// Ends after so many clients; of datagrams, after so many datagrams.
    pub clients: Option<u64>,
    /// Ends when a signal asks for it. [`Stop::insist`] makes sure that none is missed.
    pub stop: Option<Stop>,
}

impl Options {
    /// The usual ones: `SO_REUSEADDR`, 128 may wait, no end but by a [`Stopper`].
    pub const fn new(address: Address, kind: Kind) -> Self {
        Self {
            address,
            kind,
            both: false,
            reuse_address: true,
            backlog: 128,
            no_delay: false,
            clients: None,
            stop: None,
        }
    }
}

/// A server that is ready: its socket is bound, and of streams it listens.
#[derive(Debug)]
pub struct Server {
    pub(super) socket: Socket,
    pub(super) options: Options,
    /// The path it made.
    pub(super) path: Option<Bound>,
    pub(super) stopping: Stopping,
    address: Address,
}

/// Whether a server is to end.
#[derive(Clone, Debug)]
pub(super) struct Stopping {
    /// By a stopper.
    stopped: Arc<AtomicBool>,
    /// By a signal.
    stop: Option<Stop>,
}

impl Stopping {
    /// A stop has been asked for.
    pub(super) fn is_asked(&self) -> bool {
        self.stopped.load(Ordering::Relaxed) || self.stop.is_some_and(Stop::asked)
    }
}

/// Stops a server from another thread.
#[derive(Debug)]
pub struct Stopper {
    socket: socket2::Socket,
    stopped: Arc<AtomicBool>,
}

impl Server {
    /// Opens the socket, binds it, and of streams listens. The path of a Unix socket at which nobody listens any more
    /// is replaced.
    ///
    /// # Errors
    /// Those of the calls; `EADDRINUSE` also for a path at which something else is, or somebody listens.
    pub fn open(journal: &Journal, options: Options) -> io::Result<Self> {
        let opened = ready(journal, &options);
        let (socket, path) = match (opened, &options.address) {
            // No IPv6, or none with addresses: IPv4 is left.
            (Err(error), Address::Ip(address)) if options.both && has_no_ipv6(&error) => {
                let mut options = options.clone();
                let any = Ipv4Addr::UNSPECIFIED;
                (options.address, options.both) =
                    (SocketAddr::from((any, address.port())).into(), false);
                ready(journal, &options)?
            }
            (opened, _) => opened?,
        };
        let address = shown(socket.local()?);
        journal.tell(|| Event::Listening(address.clone()));
        let stopping = Stopping {
            stopped: Arc::default(),
            stop: options.stop,
        };
        Ok(Self {
            socket,
            options,
            path,
            stopping,
            address,
        })
    }

    /// Where it listens, with the port that it got.
    pub const fn address(&self) -> &Address {
        &self.address
    }

    /// What stops it. With [`super::Style::Fork`] use a signal: the stopper's descriptor would live on in the children.
    ///
    /// # Errors
    /// When there is no descriptor left.
    pub fn stopper(&self) -> io::Result<Stopper> {
        Ok(Stopper {
            socket: self.socket.open()?.try_clone()?,
            stopped: Arc::clone(&self.stopping.stopped),
        })
    }
}

impl Stopper {
    /// Ends the wait for clients. A client that a sequential server is serving is served to its end.
    pub fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
        // On Linux this wakes whoever waits, and that is all that is wanted: of datagram sockets it fails as well.
        let _ = self.socket.shutdown(std::net::Shutdown::Read);
    }
}

/// The calls from `socket` to `listen`.
fn ready(journal: &Journal, options: &Options) -> io::Result<(Socket, Option<Bound>)> {
    let family = options.address.family();
    let socket = Socket::new(journal, family, options.kind)?;
    if options.reuse_address && family != Family::Unix && options.kind == Kind::Stream {
        socket.set(Choice::ReuseAddr, 1)?;
    }
    if family == Family::Inet6 {
        socket.set(Choice::V6Only, u32::from(!options.both))?;
    }
    let path = bind(&socket, options)?;
    if options.kind == Kind::Stream {
        socket.listen(options.backlog)?;
    }
    Ok((socket, path))
}

/// Binds; a path that a dead server has left behind is taken over.
fn bind(socket: &Socket, options: &Options) -> io::Result<Option<Bound>> {
    let address = &options.address;
    let Address::Path(path) = address else {
        socket.bind(address)?;
        return Ok(None);
    };
    match socket.bind(address) {
        Err(error)
            if error.raw_os_error() == Some(libc::EADDRINUSE) && is_dead(path, options.kind) =>
        {
            fs::remove_file(path)?;
            socket.bind(address)?;
        }
        bound => bound?,
    }
    Ok(Some(Bound::new(path)?))
}

/// It is a socket, and nobody has it open: who connects is refused. Asked quietly, since it is no call of the server's.
fn is_dead(path: &Path, kind: Kind) -> bool {
    let is_socket =
        fs::symlink_metadata(path).is_ok_and(|metadata| metadata.file_type().is_socket());
    let refused = || {
        let caller = Socket::new(&Journal::default(), Family::Unix, kind)?;
        // A full queue would make it wait.
        caller.open()?.set_nonblocking(true)?;
        caller.connect(&Address::Path(path.into()))
    };
    is_socket
        && refused().is_err_and(|error: io::Error| error.raw_os_error() == Some(libc::ECONNREFUSED))
}

fn has_no_ipv6(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::EAFNOSUPPORT | libc::EADDRNOTAVAIL | libc::ENOPROTOOPT)
    )
}

/// An IPv4 address that an IPv6 socket shows as mapped, as what it is.
pub(super) fn shown(address: Address) -> Address {
    match address {
        Address::Ip(SocketAddr::V6(v6)) => match v6.ip().to_ipv4_mapped() {
            Some(v4) => Address::Ip((IpAddr::V4(v4), v6.port()).into()),
            None => Address::Ip(v6.into()),
        },
        other => other,
    }
}

/// A path that a Unix socket is bound to; it is removed at the end, unless something else is there by then.
#[derive(Debug)]
pub(super) struct Bound {
    path: PathBuf,
    file: (u64, u64),
}

impl Bound {
    fn new(path: &Path) -> io::Result<Self> {
        Ok(Self {
            path: path.into(),
            file: file(path)?,
        })
    }
}

impl Drop for Bound {
    fn drop(&mut self) {
        if file(&self.path).is_ok_and(|now| now == self.file) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Which file is there: its device and number.
fn file(path: &Path) -> io::Result<(u64, u64)> {
    fs::symlink_metadata(path).map(|metadata| (metadata.dev(), metadata.ino()))
}
