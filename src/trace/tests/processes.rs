//! Programs that start, run others, and end, each in its way.

use super::*;

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
    assert_eq!((exec.process, &*exec.name), (execve.by.process, "true"));
    // The other one goes with the process.
    let ends: Vec<_> = log
        .calls("exit")
        .iter()
        .map(|(enter, _)| (enter.by.process == exec.process, enter.closes.clone()))
        .collect();
    assert_eq!(ends, [(true, vec![2])]);
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
fn a_program_that_is_not_there() {
    if !can_trace() {
        return;
    }
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

#[test]
fn a_program_that_is_to_end_is_ended() {
    if !works() || network().is_none() {
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
    assert_eq!(execve.closes, [1]);
    let [(bind, Some(_))] = log.calls("bind")[..] else {
        panic!()
    };
    assert_eq!(bind.by.thread, execve.by.process);
    assert_eq!((log.processes().len(), log.exits().len()), (1, 1));
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
