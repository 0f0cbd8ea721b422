//! Real programs, traced in a private network.
#![allow(clippy::unwrap_used)]

use std::{
    cell::Cell,
    fs,
    io::{BufRead, BufReader, Write},
    os::fd::AsFd,
    process::{Child, ChildStdout, Command, Stdio},
    rc::Rc,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use super::*;
use crate::{
    call::Address,
    event::{Arg, Deed, Enter, Exec, Exit, Note, Process, Return, Socket, SocketId, Transport},
    sys::{clock::Clock, netlink::Netlink, netns},
    testing::skipped,
};

const PYTHON: &str = "/usr/bin/python3";

/// All that was told, in order.
#[derive(Default)]
struct Log {
    events: Vec<(Time, Event)>,
    networks: Vec<(NetId, Option<String>)>,
    /// How many calls of these names were made.
    counted: &'static [&'static str],
    count: Rc<Cell<usize>>,
}

impl Listener for Log {
    fn tell(&mut self, at: Time, event: Event) {
        let last = self.events.last().map_or_else(Time::default, |(at, _)| *at);
        assert!(last <= at, "{event:?} is told too late");
        if let Event::Enter(enter) = &event
            && self.counted.contains(&&*enter.name)
        {
            self.count.set(self.count.get() + 1);
        }
        self.events.push((at, event));
    }

    fn network(&mut self, net: NetId, host: Option<&str>, thread: u32) -> Result<(), String> {
        assert!(fs::exists(format!("/proc/{thread}/ns/net")).unwrap());
        self.networks.push((net, host.map(str::to_owned)));
        Ok(())
    }

    fn idle(&mut self, _: bool) {}
}

impl Log {
    fn all<'a, T>(&'a self, pick: impl Fn(&'a Event) -> Option<&'a T>) -> Vec<&'a T> {
        self.events
            .iter()
            .filter_map(|(_, event)| pick(event))
            .collect()
    }

    fn processes(&self) -> Vec<&Process> {
        self.all(|event| match event {
            Event::Process(process) => Some(process),
            _ => None,
        })
    }

    fn exits(&self) -> Vec<&Exit> {
        self.all(|event| match event {
            Event::Exit(exit) => Some(exit),
            _ => None,
        })
    }

    fn execs(&self) -> Vec<&Exec> {
        self.all(|event| match event {
            Event::Exec(exec) => Some(exec),
            _ => None,
        })
    }

    fn notes(&self) -> Vec<&Note> {
        self.all(|event| match event {
            Event::Note(note) => Some(note),
            _ => None,
        })
    }

    /// A socket as it was told last.
    fn socket(&self, id: SocketId) -> &Socket {
        let told = self.all(|event| match event {
            Event::Socket(socket) if socket.id == id => Some(socket),
            _ => None,
        });
        told.last().unwrap()
    }

    /// Calls with this name, and what they returned.
    fn calls(&self, name: &str) -> Vec<(&Enter, Option<&Return>)> {
        let made = self.all(|event| match event {
            Event::Enter(enter) if enter.name == name => Some(enter),
            _ => None,
        });
        let returned = |enter: &Enter| {
            let returns = self.all(|event| match event {
                Event::Return(back) if back.call == enter.call => Some(back),
                _ => None,
            });
            assert!(returns.len() < 2, "{enter:?} returned twice");
            returns.first().copied()
        };
        made.into_iter()
            .map(|enter| (enter, returned(enter)))
            .collect()
    }

    /// What the calls with this name returned.
    fn results(&self, name: &str) -> Vec<Result<i64, i32>> {
        let returned = self.calls(name).into_iter().filter_map(|(_, back)| back);
        returned.map(|back| back.result).collect()
    }
}

/// A network of its own for this thread; `None`: not here.
fn network() -> Option<OwnedFd> {
    let network = netns::unshare_network().inspect_err(|e| skipped(e)).ok()?;
    // The loopback interface is the first one of every network.
    Netlink::open().unwrap().up(1).unwrap();
    Some(network)
}

fn python(script: &str) -> Program {
    // Without -S it may look its user up, by sockets of its own.
    let words = [PYTHON, "-S", "-c", script].map(OsString::from).into();
    Program {
        words,
        ..Program::default()
    }
}

/// Python is here.
fn has_python() -> bool {
    let has = fs::exists(PYTHON).unwrap();
    if !has {
        skipped(format_args!("there is no {PYTHON}"));
    }
    has
}

/// A program in Python, traced in a network of its own until it has ended.
fn traced(script: &str) -> Option<(Log, Result<i32, i32>)> {
    if !has_python() {
        return None;
    }
    network()?;
    let (mut tracer, mut log) = (
        Tracer::new(Wanted::default(), Clock::start()),
        Log::default(),
    );
    let process = tracer.start(python(script), &mut log).unwrap();
    let ended = tracer.run(&|| false, &mut log).unwrap();
    let &[(ended, status)] = &ended[..] else {
        panic!("{ended:?}")
    };
    assert_eq!(ended, process);
    Some((log, status))
}

fn ip(text: &str) -> Option<Address> {
    Some(Address::Ip(text.parse().unwrap()))
}

#[test]
fn a_server_in_a_thread_and_its_client() {
    let Some((log, status)) = traced(
        "
import socket, threading
s = socket.create_server(('127.0.0.1', 5000))
def serve():
    c, _ = s.accept()
    c.sendall(c.recv(100).upper())
    c.close()
t = threading.Thread(target=serve)
t.start()
c = socket.create_connection(('127.0.0.1', 5000))
c.sendall(b'hello')
assert c.recv(100) == b'HELLO'
t.join()
c.close()
",
    ) else {
        return;
    };
    assert_eq!(status, Ok(0));
    assert_eq!(log.networks, [(1, None)]);
    let [(accept, Some(accepted))] = log.calls("accept4")[..] else {
        panic!()
    };
    assert_ne!(accept.by.thread, accept.by.process);
    let [(connect, Some(_))] = log.calls("connect")[..] else {
        panic!()
    };
    assert_eq!(connect.by.process, accept.by.process);
    let server = log.socket(accepted.opened.unwrap());
    let client = log.socket(connect.socket.unwrap());
    assert_eq!((&server.local, &server.peer), (&client.peer, &client.local));
    assert_eq!(server.local, ip("127.0.0.1:5000"));
    assert_eq!(
        (server.transport, &*server.family, &*server.kind),
        (Transport::Tcp, "AF_INET", "SOCK_STREAM")
    );
    assert_eq!(server.before, None);
    let receives = log.calls("recv");
    for (enter, back) in &receives {
        let back = back.unwrap();
        let expected: &[u8] = if enter.socket == Some(server.id) {
            b"hello"
        } else {
            b"HELLO"
        };
        assert_eq!((back.result, back.moved), (Ok(5), 5));
        assert_eq!(back.parts[0].data.head, expected);
    }
    assert_eq!(receives.len(), 2);
    let closes = log.calls("close");
    assert!(
        closes.iter().any(|(enter, _)| enter.closes == [server.id]),
        "{closes:?}"
    );
    assert_eq!(log.exits().len(), 1);
}

#[test]
fn a_call_that_a_signal_interrupts_is_one_call() {
    // With SA_RESTART the kernel makes accept again after each child's SIGCHLD.
    let Some((log, status)) = traced(
        "
import os, signal, socket, threading
signal.signal(signal.SIGCHLD, lambda *_: None)
signal.siginterrupt(signal.SIGCHLD, False)
s = socket.create_server(('127.0.0.1', 0))
at = s.getsockname()
client = os.fork()
if client == 0:
    s.close()
    for _ in range(20):
        c = socket.create_connection(at)
        assert c.recv(100) == b'x'
        # The child that has served it closes its end by ending.
        assert c.recv(100) == b''
        c.close()
    os._exit(0)
for _ in range(20):
    c, _ = s.accept()
    if os.fork() == 0:
        c.sendall(b'x')
        os._exit(0)
    c.close()
while True:
    try: os.wait()
    except ChildProcessError: break
",
    ) else {
        return;
    };
    assert_eq!(status, Ok(0));
    let accepts = log.results("accept4");
    assert_eq!(accepts.len(), 20, "{accepts:?}");
    assert!(accepts.iter().all(Result::is_ok), "{accepts:?}");
    let (processes, exits) = (log.processes(), log.exits());
    assert_eq!((processes.len(), exits.len()), (22, 22));
    assert!(
        processes[1..]
            .iter()
            .all(|p| p.parent == Some(processes[0].process))
    );
    // Each connection is let go of twice: by the parent's close, and by the end of the child that has served it.
    let exits = log.calls("exit");
    for (_, accepted) in log.calls("accept4") {
        let socket = accepted.unwrap().opened.unwrap();
        let by = |calls: &[(&Enter, Option<&Return>)]| {
            calls
                .iter()
                .filter(|(enter, back)| enter.closes.contains(&socket) && back.is_some())
                .count()
        };
        assert_eq!(
            (by(&log.calls("close")), by(&exits)),
            (1, 1),
            "socket {socket}"
        );
    }
}

#[test]
fn a_call_that_fails_by_a_signal_says_so() {
    // Without SA_RESTART it returns EINTR, and Python makes it again.
    let Some((log, status)) = traced(
        "
import os, signal, socket
signal.signal(signal.SIGALRM, lambda *_: 1 / 0)
s = socket.create_server(('127.0.0.1', 0))
signal.setitimer(signal.ITIMER_REAL, 0.05)
try: s.accept()
except ZeroDivisionError: pass
s.listen(5)
",
    ) else {
        return;
    };
    assert_eq!(status, Ok(0));
    assert_eq!(log.results("accept4"), [Err(libc::EINTR)]);
}

#[test]
fn a_program_that_is_run_loses_what_is_to_be_closed() {
    let Some((log, status)) = traced(
        "
import os, socket, subprocess
a = socket.socket()
b = socket.socket()
b.set_inheritable(True)
subprocess.run(['/bin/true'], close_fds=False, check=True)
",
    ) else {
        return;
    };
    assert_eq!(status, Ok(0));
    let [(execve, Some(back))] = log.calls("execve")[..] else {
        panic!("{:?}", log.events)
    };
    assert_eq!(
        (execve.deed, &execve.closes[..], back.result),
        (Deed::Close, &[1][..], Ok(0))
    );
    assert_eq!(execve.args, [Arg::Text("/bin/true".to_owned())]);
    let [exec] = log.execs()[..] else { panic!() };
    assert_eq!(
        (exec.process, &*exec.name, &exec.closes[..]),
        (execve.by.process, "true", &[1][..])
    );
    // The other one goes with the process.
    let ends: Vec<_> = log
        .calls("exit")
        .iter()
        .map(|(enter, _)| (enter.by.process == exec.process, enter.closes.clone()))
        .collect();
    assert_eq!(ends, [(true, vec![2])]);
}

#[test]
fn what_does_not_block_and_what_is_refused() {
    let Some((log, status)) = traced(
        "
import select, socket
s = socket.create_server(('::', 5000), family=socket.AF_INET6, dualstack_ipv6=True)
c = socket.socket()
c.setblocking(False)
assert c.connect_ex(('127.0.0.1', 5000)) == 115
select.select([], [c], [])
a, _ = s.accept()
try: c.recv(1)
except BlockingIOError: pass
a.send(b'x')
select.select([c], [], [])
c.recv(1)
r = socket.socket()
assert r.connect_ex(('127.0.0.1', 5001)) == 111
",
    ) else {
        return;
    };
    assert_eq!(status, Ok(0));
    let connects = log.calls("connect");
    let (first, refused) = (connects[0].0.socket.unwrap(), connects[1].0.socket.unwrap());
    assert_eq!(
        log.results("connect"),
        [Err(libc::EINPROGRESS), Err(libc::ECONNREFUSED)]
    );
    assert_eq!(log.results("recv"), [Err(libc::EAGAIN), Ok(1)]);
    // Known since the first call after the connection was there.
    assert_eq!(log.socket(first).peer, ip("127.0.0.1:5000"));
    let accepted = log.calls("accept4")[0].1.unwrap().opened.unwrap();
    // An IPv6 socket with IPv4 addresses.
    assert_eq!(
        (&log.socket(accepted).local, &log.socket(accepted).peer),
        (&ip("127.0.0.1:5000"), &log.socket(first).local)
    );
    assert_eq!(log.socket(accepted).family, "AF_INET6");
    assert_eq!(log.socket(refused).peer, None);
    assert!(matches!(log.socket(refused).local, Some(Address::Ip(a)) if a.port() != 0));
}

#[test]
fn a_datagram_socket_gets_its_port_when_it_is_used() {
    let Some((log, status)) = traced(
        "
import socket
a = socket.socket(type=socket.SOCK_DGRAM)
a.bind(('127.0.0.1', 5000))
b = socket.socket(type=socket.SOCK_DGRAM)
b.sendto(b'hello', ('127.0.0.1', 5000))
assert a.recvfrom(100)[1] == ('127.0.0.1', b.getsockname()[1])
",
    ) else {
        return;
    };
    assert_eq!(status, Ok(0));
    let [(sent, Some(_))] = log.calls("sendto")[..] else {
        panic!()
    };
    let [(received, Some(back))] = log.calls("recvfrom")[..] else {
        panic!()
    };
    let (a, b) = (
        log.socket(received.socket.unwrap()),
        log.socket(sent.socket.unwrap()),
    );
    assert_eq!(
        (&a.local, a.transport),
        (&ip("127.0.0.1:5000"), Transport::Udp)
    );
    let Some(Address::Ip(from)) = back.parts[0].address else {
        panic!("{back:?}")
    };
    assert_eq!(b.local, ip(&format!("0.0.0.0:{}", from.port())));
    assert_eq!(back.parts[0].data.head, b"hello");
}

#[test]
fn another_descriptor_in_its_place_closes_a_socket() {
    let Some((log, status)) = traced(
        "
import os, socket
a, b = socket.socketpair()
c = socket.socket()
os.dup2(a.fileno(), c.fileno())
os.write(c.fileno(), b'x')
assert os.read(b.fileno(), 1) == b'x'
f = os.open('/dev/null', os.O_RDWR)
os.dup2(f, c.fileno())
os.write(c.fileno(), b'x')
os.closerange(3, 100)
",
    ) else {
        return;
    };
    assert_eq!(status, Ok(0));
    let pair = log.calls("socketpair")[0].1.unwrap().opened.unwrap();
    let c = log.calls("socket")[0].1.unwrap().opened.unwrap();
    let duplicates: Vec<_> = log
        .calls("dup3")
        .into_iter()
        .chain(log.calls("dup2"))
        .map(|(enter, _)| (enter.socket, &enter.closes[..]))
        .collect();
    assert_eq!(duplicates, [(Some(pair), &[c][..]), (None, &[pair][..])]);
    let writes: Vec<_> = log
        .calls("write")
        .iter()
        .map(|(enter, _)| enter.socket)
        .collect();
    assert_eq!(writes, [Some(pair)]);
    let [(range, _)] = log.calls("close_range")[..] else {
        panic!()
    };
    assert_eq!(range.closes.len(), 2);
    assert!(log.calls("exit").is_empty());
}

#[test]
fn a_socket_that_was_given_is_the_same_socket() {
    let Some((log, status)) = traced(
        "
import os, socket
a, b = socket.socketpair()
s = socket.socket(type=socket.SOCK_DGRAM)
s.bind(('127.0.0.1', 5000))
if os.fork() == 0:
    _, [fd], _, _ = socket.recv_fds(b, 10, 1)
    socket.socket(fileno=fd).getsockname()
    os._exit(0)
socket.send_fds(a, [b'x'], [s.fileno()])
os.wait()
",
    ) else {
        return;
    };
    assert_eq!(status, Ok(0));
    let s = log.calls("bind")[0].0.socket;
    let names = log.calls("getsockname");
    let child = log.processes()[1].process;
    assert!(
        names
            .iter()
            .any(|(enter, _)| enter.by.process == child && enter.socket == s),
        "{names:?}"
    );
}

#[test]
fn one_that_is_killed_lets_go_of_its_sockets() {
    let Some((log, status)) = traced(
        "
import os, signal, socket, threading
s = socket.create_server(('127.0.0.1', 0))
t = threading.Thread(target=s.accept)
t.start()
os.kill(os.getpid(), signal.SIGKILL)
",
    ) else {
        return;
    };
    assert_eq!(status, Err(libc::SIGKILL));
    let [(exit, Some(back))] = log.calls("exit")[..] else {
        panic!("{:?}", log.events)
    };
    assert_eq!((&exit.closes[..], back.result), (&[1][..], Ok(0)));
    assert_eq!(log.exits().len(), 1);
}

#[test]
fn a_network_that_a_program_makes_is_another_network() {
    let Some((log, status)) = traced(
        "
import ctypes, os, socket
a = socket.socket()
assert ctypes.CDLL(None).unshare(0x40000000) == 0
b = socket.socket()
a.listen()
b.listen()
",
    ) else {
        return;
    };
    assert_eq!(status, Ok(0));
    assert_eq!(log.networks, [(1, None), (2, None)]);
    assert_eq!((log.socket(1).net, log.socket(2).net), (1, 2));
}

#[test]
fn a_program_is_run_in_the_network_of_its_host() {
    if !has_python() {
        return;
    }
    let (Some(one), Some(other)) = (network(), network()) else {
        return;
    };
    let (mut tracer, mut log) = (
        Tracer::new(Wanted::default(), Clock::start()),
        Log::default(),
    );
    for (network, host) in [(one, "server"), (other, "client")] {
        let program = Program {
            network: Some((network, host.to_owned())),
            ..python("import socket; socket.create_server(('127.0.0.1', 5000))")
        };
        tracer.start(program, &mut log).unwrap();
    }
    let ended = tracer.run(&|| false, &mut log).unwrap();
    assert_eq!(
        ended.iter().map(|(_, status)| *status).collect::<Vec<_>>(),
        [Ok(0), Ok(0)]
    );
    log.networks.sort();
    assert_eq!(
        log.networks,
        [
            (1, Some("server".to_owned())),
            (2, Some("client".to_owned()))
        ]
    );
}

#[test]
fn a_program_that_is_not_there() {
    let (mut tracer, mut log) = (
        Tracer::new(Wanted::default(), Clock::start()),
        Log::default(),
    );
    let program = |words: &[&str]| Program {
        words: words.iter().map(OsString::from).collect(),
        ..Program::default()
    };
    for words in [&["/nowhere/at all"][..], &["no-such-program"], &[]] {
        match tracer.start(program(words), &mut log) {
            Err(TraceError::NoSuchProgram { program, error }) => {
                assert_eq!(program, words.first().copied().unwrap_or_default());
                // Of a name that is in no folder of PATH: the worst that any of them had to say.
                let expected = [Some(libc::ENOENT), Some(libc::EACCES)];
                let found = error.raw_os_error();
                assert!(words.is_empty() || expected.contains(&found), "{error}");
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(tracer.run(&|| false, &mut log).unwrap(), []);
    assert!(log.events.is_empty());
    assert!(matches!(
        tracer.attach(0x7fff_ffff, &mut log),
        Err(TraceError::NoSuchProcess(_))
    ));
}

/// A Python program beside the test; it ends with it.
struct Beside {
    child: Child,
    output: BufReader<ChildStdout>,
}

impl Beside {
    fn new(script: &str) -> Self {
        let mut command = Command::new(PYTHON);
        command.args(["-uc", script]).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        Self { child, output }
    }

    /// The next line that it prints.
    fn says(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    /// Waits until all its threads sleep in these calls.
    fn sleeps_in(&self, calls: &[i64]) {
        let id = self.child.id();
        let call = |thread: u32| Some(process::call(id, thread)?.0);
        while process::threads(id)
            .into_iter()
            .filter_map(call)
            .collect::<Vec<_>>()
            != calls
        {
            std::thread::yield_now();
        }
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_running_program_is_attached_to_and_lives_on() {
    if !has_python() {
        return;
    }
    let Some(network) = network() else { return };
    let mut server = Beside::new(
        "
import signal, socket, threading
signal.signal(signal.SIGUSR1, lambda *_: None)
signal.siginterrupt(signal.SIGUSR1, False)
s = socket.create_server(('127.0.0.1', 5000))
old = socket.create_connection(('127.0.0.1', 5000))
c, _ = s.accept()
old.send(b'before')
c.recv(3)
threading.Thread(target=old.recv, args=[1], daemon=True).start()
print('ready')
n, _ = s.accept()
n.sendall(n.recv(100).upper())
n, _ = s.accept()
print('lives')
s.accept()
",
    );
    assert_eq!(server.says(), "ready");
    let pid = server.child.id();
    // Ready is said a little before the calls block.
    server.sleeps_in(&[libc::SYS_accept4, libc::SYS_recvfrom]);
    // What the network is used for from here is not traced.
    let client = move || {
        netns::join(network.as_fd()).unwrap();
        std::net::TcpStream::connect("127.0.0.1:5000").unwrap()
    };
    let mut log = Log {
        counted: &["accept4", "recv"],
        ..Log::default()
    };
    let count = Rc::clone(&log.count);
    let mut tracer = Tracer::new(Wanted::default(), Clock::start());
    tracer.attach(pid, &mut log).unwrap();
    assert!(!tracer.watch(&|| count.get() == 2, &mut log).unwrap());
    let [(accept, None)] = log.calls("accept4")[..] else {
        panic!()
    };
    assert!(accept.waited);
    let listening = accept.socket.unwrap();
    // After its handler, which calls rt_sigreturn, the kernel makes the call again.
    kill(Pid::from_raw(pid.cast_signed()), Signal::SIGUSR1).unwrap();
    let mut first = client();
    first.write_all(b"hello").unwrap();
    // Until it has accepted that one, and waits for another.
    assert!(!tracer.watch(&|| count.get() == 4, &mut log).unwrap());
    let [(_, Some(accepted)), (again, None)] = log.calls("accept4")[..] else {
        panic!()
    };
    assert!(!again.waited);
    assert_eq!(log.socket(accepted.opened.unwrap()).before, None);
    // Sockets that were there: it listens, and has sent or received six bytes.
    let listens = log.socket(listening);
    assert_eq!(
        (&listens.local, listens.before),
        (&ip("127.0.0.1:5000"), Some([0, 0]))
    );
    let before: Vec<_> = (1..4).map(|id| log.socket(id).before).collect();
    assert!(
        before.contains(&Some([6, 0])) && before.contains(&Some([0, 6])),
        "{before:?}"
    );
    let [(waiting, None)] = log
        .calls("recv")
        .into_iter()
        .filter(|(enter, _)| enter.waited)
        .collect::<Vec<_>>()[..]
    else {
        panic!("{:?}", log.events)
    };
    assert_ne!(waiting.by.thread, pid);
    assert_eq!(tracer.run(&|| true, &mut log).unwrap(), []);
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    assert!(status.contains("TracerPid:\t0"), "{status}");
    let _second = client();
    assert_eq!(server.says(), "lives");
}

#[test]
fn a_program_that_is_to_end_is_ended() {
    if !has_python() || network().is_none() {
        return;
    }
    let mut log = Log {
        counted: &["accept4"],
        ..Log::default()
    };
    let count = Rc::clone(&log.count);
    let mut tracer = Tracer::new(Wanted::default(), Clock::start());
    let script = "import socket; socket.create_server(('127.0.0.1', 0)).accept()";
    let process = tracer.start(python(script), &mut log).unwrap();
    let ended = tracer.run(&|| count.get() == 1, &mut log).unwrap();
    assert_eq!(ended, [(process, Err(libc::SIGTERM))]);
    let [(exit, Some(_))] = log.calls("exit")[..] else {
        panic!()
    };
    assert_eq!(exit.closes, [1]);
    assert!(log.notes().is_empty(), "{:?}", log.notes());
}

#[test]
fn a_process_whose_first_thread_ends_early() {
    // The kernel shows its descriptors only by the threads that are left.
    let script = "
import ctypes, os, socket, threading
def serve():
    first.join()
    a, b = socket.socketpair()
    a.send(b'hello')
    os.read(b.fileno(), 5)
    os._exit(0)
class Gone:
    def join(self):
        while open(f'/proc/{os.getpid()}/stat').read().split()[2] != 'Z': pass
first = Gone()
threading.Thread(target=serve).start()
ctypes.CDLL(None).syscall(EXIT, 0)
";
    let script = script.replace("EXIT", &libc::SYS_exit.to_string());
    let Some((log, status)) = traced(&script) else {
        return;
    };
    assert_eq!(status, Ok(0));
    let pair = log.calls("socketpair")[0].1.unwrap().opened;
    assert!(pair.is_some());
    assert_eq!(log.calls("send")[0].0.socket, pair);
    assert_eq!(log.results("read"), [Ok(5)]);
    assert_eq!(log.calls("exit")[0].0.closes.len(), 2);
}

#[test]
fn another_thread_runs_another_program() {
    let Some((log, status)) = traced(
        "
import os, socket, threading
s = socket.socket()
threading.Thread(target=s.listen).start()
script = 'import socket; socket.socket(type=socket.SOCK_DGRAM).bind((\"127.0.0.1\", 5000))'
threading.Thread(target=lambda: os.execv('/usr/bin/python3', ['python3', '-S', '-c', script])).start()
threading.Event().wait()
",
    ) else {
        return;
    };
    assert_eq!(status, Ok(0));
    let [(execve, Some(_))] = log.calls("execve")[..] else {
        panic!()
    };
    assert_ne!(execve.by.thread, execve.by.process);
    assert_eq!(log.execs()[0].closes, [1]);
    let [(bind, Some(_))] = log.calls("bind")[..] else {
        panic!()
    };
    assert_eq!(bind.by.thread, execve.by.process);
    assert_eq!((log.processes().len(), log.exits().len()), (1, 1));
}

#[test]
fn data_that_the_kernel_moves() {
    let Some((log, status)) = traced(
        "
import os, socket
a, b = socket.socketpair()
f = os.open('/usr/bin/python3', os.O_RDONLY)
assert os.sendfile(a.fileno(), f, 0, 100) == 100
r, w = os.pipe()
assert os.splice(b.fileno(), w, 60) == 60
assert os.splice(r, a.fileno(), 60) == 60
assert os.splice(f, w, 10) == 10
",
    ) else {
        return;
    };
    assert_eq!(status, Ok(0));
    let moves = log.calls("sendfile").into_iter().chain(log.calls("splice"));
    let moves: Vec<_> = moves
        .map(|(enter, back)| (enter.deed, enter.socket, back.unwrap().moved))
        .collect();
    let (a, b) = (Some(1), Some(2));
    let expected = [
        (Deed::Send, a, 100),
        (Deed::Receive, b, 60),
        (Deed::Send, a, 60),
    ];
    assert_eq!(moves, expected);
}

#[test]
fn what_is_not_seen_is_noted() {
    let Some((log, status)) = traced(
        "
import ctypes, socket, subprocess
a, b = socket.socketpair()
subprocess.run(['/bin/true'], stdin=a, check=True)
for _ in range(2): ctypes.CDLL(None).syscall(425, 1, 0)
",
    ) else {
        return;
    };
    assert_eq!(status, Ok(0));
    let notes: Vec<_> = log
        .notes()
        .into_iter()
        .map(|note| (note.process, &*note.text))
        .collect();
    let [parent, child] = log.processes()[..] else {
        panic!()
    };
    let [(Some(first), standard), (Some(second), uring)] = notes[..] else {
        panic!("{notes:?}")
    };
    assert_eq!((first, second), (child.process, parent.process));
    assert!(
        standard.starts_with("descriptor 0 of this program is a socket"),
        "{standard}"
    );
    assert!(uring.contains("io_uring"), "{uring}");
}

#[test]
fn a_wait_that_is_continued_is_one_call() {
    // A process that is halted and goes on makes `poll` again with the time that is left (restart_syscall(2)).
    if !has_python() || network().is_none() {
        return;
    }
    let wanted = Wanted {
        waits: true,
        net_only: true,
    };
    let (mut tracer, mut log) = (Tracer::new(wanted, Clock::start()), Log::default());
    let script = "
import os, select, signal, socket
a, b = socket.socketpair()
if os.fork() == 0:
    # Until the parent sleeps in poll.
    while open(f'/proc/{os.getppid()}/stat').read().split()[2] != 'S': pass
    os.kill(os.getppid(), signal.SIGSTOP)
    os.kill(os.getppid(), signal.SIGCONT)
    b.send(b'x')
    os._exit(0)
p = select.poll()
p.register(a, select.POLLIN)
assert p.poll(10000)
";
    tracer.start(python(script), &mut log).unwrap();
    let ended = tracer.run(&|| false, &mut log).unwrap();
    assert_eq!(ended[0].1, Ok(0));
    assert_eq!(log.results("poll"), [Ok(1)]);
}
