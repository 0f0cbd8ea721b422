//! A program that ran already.

use super::*;

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
    if !works() {
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
