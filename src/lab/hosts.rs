//! Two hosts in private networks with a wire between them, or one host alone, and in each a function of the caller's, instead
//! of a scenario.

use std::{io, net::IpAddr, ops::ControlFlow, sync::mpsc::channel, time::Instant};

use nix::sched::{CloneFlags, unshare};

use super::{
    Event, LabError, Link, Listener, Trying as _,
    loopback::{self, Tap},
    namespaces,
    refusal::Way,
    scenario::Host,
    threads::Threads,
};
use crate::sys::{
    netlink::{LOOPBACK, Netlink},
    netns,
};

/// What a host does, in a thread of its own inside its network: sockets that it opens are this host's. So are all its
/// descriptors: what it has closed may still be open in the rest of the process.
pub type Body = Box<dyn FnOnce() -> Result<(), LabError> + Send>;

/// Brings two hosts up, with `addresses` on their `eth0`, and runs `bodies` in them, client and server, both at once; a
/// client that needs a ready server waits for a word of it, over a channel of the caller's. `listener` is told of every
/// frame that the wire carries. Ends when both bodies have returned and nothing is on the wire any more, when one
/// fails, or when the listener breaks off; a body still running then loses its network with the process.
///
/// With [`Way::User`] the process enters a user namespace for good, and must have one thread only.
///
/// # Errors
/// When the system refuses, a step of the construction fails, or a body does; nothing is left behind.
pub fn run(
    link: &Link,
    addresses: [IpAddr; 2],
    way: Way,
    bodies: [Body; 2],
    listener: Listener<'_>,
) -> Result<(), LabError> {
    let start = Instant::now();
    let (threads, networks) = namespaces::raise(link, addresses, way)?;
    let enter = namespaces::enter(&networks);
    let took = i64::try_from(start.elapsed().as_nanos()).unwrap_or(i64::MAX);
    // Told first, so that whoever listens can introduce the hosts before they speak.
    if let ControlFlow::Break(()) = listener(Event::Up(took)) {
        return Ok(());
    }
    begin(&threads, enter, bodies)?;
    threads.listen(namespaces::SILENCE, listener)
}

/// The same with both bodies on one host, which has its loopback interface only: every packet there is told, and as delivered
/// when it is sent. What goes to `port` is the client's.
///
/// # Errors
/// As [`run`].
pub fn run_on_one(
    port: u16,
    way: Way,
    bodies: [Body; 2],
    listener: Listener<'_>,
) -> Result<(), LabError> {
    let start = Instant::now();
    if way == Way::User {
        netns::enter_user()?;
    }
    let threads = Threads::new();
    let (built, building) = channel();
    let clock = threads.clock;
    threads.spawn("tap", move |voice| {
        let network = netns::unshare_network().trying("make a host's network namespace")?;
        let link = Netlink::open().and_then(|link| link.up(LOOPBACK));
        link.trying("set a host's loopback interface up")?;
        let capture = loopback::open()?;
        if built.send(network).is_err() {
            return Ok(());
        }
        let tap = Tap {
            ports: vec![port],
            all: true,
            sent: 0,
        };
        tap.run(capture, clock, voice)
    })?;
    let network = building.recv().map_err(|_| threads.failure())?;
    let enter = [network.try_clone(), network.try_clone()].map(|network| {
        let network = network.trying("keep a handle on a network");
        move || netns::join(network?).trying("enter a host's network namespace")
    });
    let took = i64::try_from(start.elapsed().as_nanos()).unwrap_or(i64::MAX);
    if let ControlFlow::Break(()) = listener(Event::Up(took)) {
        return Ok(());
    }
    begin(&threads, enter, bodies)?;
    threads.listen(loopback::SILENCE, listener)
}

/// A thread for each body, inside its network.
fn begin<F>(threads: &Threads, enter: [F; 2], bodies: [Body; 2]) -> Result<(), LabError>
where
    F: FnOnce() -> Result<(), LabError> + Send + 'static,
{
    for ((host, enter), body) in Host::BOTH.into_iter().zip(enter).zip(bodies) {
        threads.spawn(host.name(), move |voice| {
            // Descriptors of its own, as two machines have them: what a server forks inherits none of the client's.
            unshare(CloneFlags::CLONE_FILES)
                .map_err(io::Error::from)
                .trying("give a host descriptors of its own")?;
            enter()?;
            body()?;
            voice.done(host);
            Ok(())
        })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::{
        io::{Read, Write},
        net::{TcpListener, TcpStream},
        sync::mpsc::channel,
    };

    use super::*;
    use crate::{lab::PRIVATE_IPV4, sys::machine};

    #[test]
    fn each_body_runs_in_a_network_of_its_own_and_the_wire_is_heard() {
        if !machine::has(caps::Capability::CAP_SYS_ADMIN) {
            crate::testing::skipped("a test has many threads: it needs CAP_SYS_ADMIN");
            return;
        }
        let (ready, wait) = channel();
        let server = PRIVATE_IPV4[1];
        let bodies: [Body; 2] = [
            Box::new(move || {
                wait.recv().unwrap();
                let mut stream = TcpStream::connect((server, 5000)).unwrap();
                stream.write_all(b"hello").unwrap();
                Ok(())
            }),
            Box::new(move || {
                let listener = TcpListener::bind((server, 5000)).unwrap();
                ready.send(()).unwrap();
                let mut heard = String::new();
                let (mut stream, _) = listener.accept().unwrap();
                stream.read_to_string(&mut heard).unwrap();
                assert_eq!(heard, "hello");
                Ok(())
            }),
        ];
        let (mut sent, mut up) = (0, false);
        run(
            &Link::default(),
            PRIVATE_IPV4,
            Way::Administrator,
            bodies,
            &mut |event| {
                up |= matches!(event, Event::Up(_));
                sent += u32::from(matches!(event, Event::Sent(_)));
                ControlFlow::Continue(())
            },
        )
        .unwrap();
        assert!(up && sent >= 6, "{up} {sent}");
    }
}
