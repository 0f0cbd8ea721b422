//! Calls that signals interrupt, that are continued, and that move data by themselves.

use super::*;

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
fn a_wait_that_is_continued_is_one_call() {
    // A process that is halted and goes on makes `poll` again with the time that is left (restart_syscall(2)).
    if !works() || network().is_none() {
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
