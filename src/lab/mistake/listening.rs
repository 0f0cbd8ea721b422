//! Mistakes about listening: at an address that nobody else reaches, and with a queue that fills up.

use std::{
    fs, io,
    net::Ipv4Addr,
    thread,
    time::{Duration, Instant},
};

use super::{Mistake, Said, Seen, Stage, Version, closing::waits_for_the_end, ms, seen::only_if};
use crate::{
    call::{Call, Choice},
    lab::{scenario::Host, wire::What},
    sockets::Socket,
    sys::queue::Ignored,
    time::SECOND,
};

pub(super) static LOOPBACK_BIND: Mistake = Mistake {
    name: "loopback-bind",
    title: "a server that only its own host reaches",
    habit: "sock.bind((\"127.0.0.1\", 5000)), as in the example that was tried at home",
    wrong: Version {
        title: "the server is bound to 127.0.0.1",
        client: tries,
        server: |stage| {
            let address = stage.port_at(Ipv4Addr::LOCALHOST);
            let listener = stage.listen(&address, 5)?;
            stage.wait();
            stage.note("on the server's own host:");
            let own = stage.stream()?;
            own.connect(&address)?;
            drop(listener.accept()?);
            Ok(())
        },
        see: |seen| {
            let mut sentences = Vec::new();
            let reset = seen.packets(Host::Server, What::Rst).next();
            let refused = seen.failed(Host::Client, libc::ECONNREFUSED).next();
            if let (Some(reset), Some(_)) = (reset, refused) {
                sentences.push(format!(
                    "From the other host: a RST answered the SYN (packet {}), and connect failed, ECONNREFUSED. The port is \
                     taken, but not at the address that the SYN was for.",
                    reset.number
                ));
            }
            let own = seen
                .calls(Host::Server, |call| {
                    matches!(call.call, Call::Connect { .. })
                })
                .filter_map(|said| said.called())
                .any(|call| call.result.is_ok());
            if own && seen.all_packets().len() == 2 {
                sentences.push(
                    "From the server's own host connect works, over its loopback interface: none of it is on the wire."
                        .to_owned(),
                );
            }
            sentences
        },
    },
    right: Version {
        title: "the server is bound to 0.0.0.0, every address of its host",
        client: tries,
        server: |stage| {
            let listener = stage.listen(&stage.port_at(Ipv4Addr::UNSPECIFIED), 5)?;
            drop(listener.accept()?);
            Ok(())
        },
        see: |seen| {
            let answered = seen.packets(Host::Server, What::SynAck).next();
            let sentence = "The other host is let in: a SYN,ACK answered its SYN.";
            only_if(answered.is_some(), sentence)
        },
    },
    rule: "Bind to 0.0.0.0 (or ::) to be reached from elsewhere; to 127.0.0.1 to make sure that no other host is let in.",
    next: "full-queue",
};

fn tries(stage: &Stage) -> io::Result<()> {
    let socket = stage.stream()?;
    // Refused, that is what it is about; let in, it waits for the end.
    if socket.connect(&stage.server()).is_ok() {
        socket.recv(&mut [0; 1])?;
    }
    stage.cue();
    Ok(())
}

pub(super) static FULL_QUEUE: Mistake = Mistake {
    name: "full-queue",
    title: "a full queue: SYNs are ignored as if they were lost",
    habit: "sock.listen(1), then a long piece of work before the next accept",
    wrong: Version {
        title: "listen(1), no accept, three clients",
        client: three_clients,
        server: |stage| {
            let before = ignored();
            let listener = stage.listen(&stage.server(), 1)?;
            stage.wait();
            let after = ignored_more(before);
            stage.note(format!(
                "/proc/net/netstat: ListenOverflows {} to {}, ListenDrops {} to {}",
                before.overflows, after.overflows, before.drops, after.drops
            ));
            serve_three(&listener)
        },
        see: |seen| {
            let mut sentences = Vec::new();
            let connects = connects(seen);
            let syns: Vec<_> = seen.packets(Host::Client, What::Syn).collect();
            let counted = seen
                .notes()
                .any(|note| note.starts_with("/proc/net/netstat"));
            if let ([first, second, third], [_, _, ignored, again]) = (&connects[..], &syns[..])
                && first.max(second) < third
                && again.time.since(ignored.time) > SECOND / 2
            {
                sentences.push(format!(
                    "The first two clients were let in by the kernel in {} and {}, though nobody had called accept: on \
                     Linux the queue of listen(1) has room for two.",
                    ms(*first),
                    ms(*second)
                ));
                sentences.push(format!(
                    "The third one's SYN (packet {}) got no answer; its kernel sent it again after {} (packet {}), and \
                     connect took {}.",
                    ignored.number,
                    ms(again.time.since(ignored.time)),
                    again.number,
                    ms(*third)
                ));
                if counted && ignored.arrived {
                    sentences.push(format!(
                        "That is not loss: the wire delivered packet {}, and the server's kernel counted what it ignored \
                         (ListenOverflows, ListenDrops; see: nstat -az TcpExtListen*). The ladder has ? there: no packet \
                         tells of it.",
                        ignored.number
                    ));
                }
            }
            sentences
        },
    },
    right: Version {
        title: "listen(128), no accept yet, three clients",
        client: three_clients,
        server: |stage| {
            let listener = stage.listen(&stage.server(), 128)?;
            stage.wait();
            stage.pause();
            serve_three(&listener)
        },
        see: |seen| {
            let syns = seen.packets(Host::Client, What::Syn).count();
            match (&connects(seen)[..], syns) {
                ([_, _, third], 3) => vec![format!(
                    "Three SYNs, three answers; the third connect took {}.",
                    ms(*third)
                )],
                _ => Vec::new(),
            }
        },
    },
    rule: "Give listen a generous backlog (128; the kernel's own limit is net.core.somaxconn), and accept without delay.",
    next: "address-in-use",
};

/// Three connections, one after the other; the server hears when the third one begins.
fn three_clients(stage: &Stage) -> io::Result<()> {
    let mut open = vec![stage.connect()?, stage.connect()?];
    stage.cue();
    open.push(stage.connect()?);
    for socket in open {
        drop(socket);
        // The next one leaves when this one is gone.
        stage.pause();
    }
    Ok(())
}

/// One after the other.
fn serve_three(listener: &Socket) -> io::Result<()> {
    for _ in 0..3 {
        let (conn, _) = listener.accept()?;
        conn.recv(&mut [0; 1024])?;
    }
    Ok(())
}

/// How long each of the client's calls of connect took, in nanoseconds; of those that worked.
fn connects(seen: &Seen) -> Vec<i64> {
    let calls = seen.calls(Host::Client, |call| {
        matches!(call.call, Call::Connect { .. }) && call.result.is_ok()
    });
    calls.map(Said::took).collect()
}

pub(super) static ADDRESS_IN_USE: Mistake = Mistake {
    name: "address-in-use",
    title: "a server that cannot start again: its port is in TIME-WAIT",
    habit: "sock.bind((\"\", 5000)), without SO_REUSEADDR, and the server is started again at once",
    wrong: Version {
        title: "the server closes first, ends, and binds again",
        client: waits_for_the_end,
        server: |stage| {
            serve_and_end(stage, stage.stream()?)?;
            let again = stage.stream()?;
            let refused = again.bind(&stage.server()).is_err();
            // Too late: the connection that is left is of a socket without it.
            again.set(Choice::ReuseAddr, 1)?;
            if refused && again.bind(&stage.server()).is_err() {
                stage.note("it does not start");
            }
            Ok(())
        },
        see: |seen| {
            let refused = seen.failed(Host::Server, libc::EADDRINUSE).count();
            let fin = [Host::Server, Host::Client].map(|host| seen.packets(host, What::Fin).next());
            let waits = seen.notes().any(|note| note.contains(TIME_WAIT));
            let mut sentences = Vec::new();
            if let [Some(server), Some(client)] = fin
                && server.time < client.time
                && waits
            {
                sentences.push(format!(
                    "The server sent the first FIN (packet {}), so its kernel keeps the connection in TIME-WAIT for a \
                     minute, though every descriptor is closed: a late segment of it must not reach a new connection.",
                    server.number
                ));
            }
            if refused == 2 {
                sentences.push(
                    "bind failed, EADDRINUSE; and again with SO_REUSEADDR, since the first server had not set it: both \
                     must."
                        .to_owned(),
                );
            }
            sentences
        },
    },
    right: Version {
        title: "both servers set SO_REUSEADDR before bind",
        client: waits_for_the_end,
        server: |stage| {
            let reusing = || {
                let socket = stage.stream()?;
                socket.set(Choice::ReuseAddr, 1)?;
                io::Result::Ok(socket)
            };
            serve_and_end(stage, reusing()?)?;
            reusing()?.bind(&stage.server())
        },
        see: |seen| {
            let bound = seen.calls(Host::Server, |call| {
                matches!(call.call, Call::Bind { .. }) && call.result.is_ok()
            });
            let waits = seen.notes().any(|note| note.contains(TIME_WAIT));
            let sentence =
                "The old connection is in TIME-WAIT as before, and bind works all the same.";
            only_if(bound.count() == 2 && waits, sentence)
        },
    },
    rule: "A server sets SO_REUSEADDR before it binds, always; a second server that listens is refused even so.",
    next: "loopback-bind",
};

const TIME_WAIT: &str = "in TIME-WAIT";

/// A server with one client, of which nothing is left but what its kernel keeps.
fn serve_and_end(stage: &Stage, listener: Socket) -> io::Result<()> {
    listener.bind(&stage.server())?;
    listener.listen(5)?;
    stage.cue();
    drop(listener.accept()?);
    drop(listener);
    // The client closes in its turn, and the last segments travel.
    stage.pause();
    stage.pause();
    let table = fs::read_to_string("/proc/thread-self/net/tcp")?;
    let count = time_waits(&table);
    stage.note(format!(
        "the server has ended; /proc/net/tcp: {count} {TIME_WAIT}"
    ));
    Ok(())
}

/// Connections in TIME-WAIT, which is state 06 of `/proc/net/tcp`, in the fourth column.
fn time_waits(table: &str) -> usize {
    let states = table
        .lines()
        .filter_map(|line| line.split_whitespace().nth(3));
    states.filter(|state| *state == "06").count()
}

/// What the kernel of this network has ignored.
fn ignored() -> Ignored {
    Ignored::look().unwrap_or_default()
}

/// The next other numbers, or these after half a second.
fn ignored_more(before: Ignored) -> Ignored {
    let start = Instant::now();
    loop {
        let now = ignored();
        if now != before || start.elapsed() > Duration::from_millis(500) {
            return now;
        }
        thread::sleep(Duration::from_millis(1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_in_time_wait_are_counted() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue\n   \
                     0: 0200000A:1388 0100000A:A028 06 00000000:00000000\n   \
                     1: 0200000A:1388 00000000:0000 0A 00000000:00000000\n";
        assert_eq!((time_waits(table), time_waits("")), (1, 0));
    }
}
