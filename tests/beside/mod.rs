//! Programs that run beside a test: each ends with it, or after two minutes.
#![allow(dead_code, clippy::unwrap_used)]

use std::{
    env,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    os::unix::process::CommandExt as _,
    process::{Child, ChildStdout, Command, Output, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

use nix::{
    sys::{
        signal::{Signal, kill, killpg},
        wait::{Id, WaitPidFlag, waitid},
    },
    unistd::Pid,
};

/// After this long a program is killed, and the test that waits for it fails.
pub(crate) const LIMIT: Duration = Duration::from_secs(120);

fn piped(command: &mut Command) {
    let command = command.stdin(Stdio::piped()).stdout(Stdio::piped());
    command.stderr(Stdio::piped());
}

/// A program that `timeout` ends in time, with pipes to it and from it; what it starts is of one group with it.
pub(crate) fn limited(program: &str) -> Command {
    let mut command = Command::new("timeout");
    let seconds = LIMIT.as_secs().to_string();
    command.args(["--foreground", &seconds, program]);
    command.process_group(0);
    // The system's own python3 goes before a user's script that looks for one; without a home it would ask other
    // programs for it, by sockets of its own.
    let path = env::var("PATH").unwrap_or_default();
    command.env("PATH", format!("/usr/bin:{path}"));
    command.env("PYTHONUSERBASE", "/");
    piped(&mut command);
    command
}

/// The program with words that have no blanks in them.
pub(crate) fn sockwire(words: &str) -> Command {
    let mut command = limited(env!("CARGO_BIN_EXE_sockwire"));
    command.args(words.split_whitespace());
    command
}

/// A shell's `line` on a terminal of its own; nothing where no `script` command makes one.
pub(crate) fn on_terminal(line: &str) -> Option<Command> {
    Command::new("script").arg("-V").output().ok()?;
    let mut command = limited("script");
    // Ctrl-C goes to all on the terminal: some shells would end before the rest of their line.
    let line = format!("trap : INT; {line}");
    command
        .env("SHELL", "/bin/sh")
        .args(["-qec", &line, "/dev/null"]);
    Some(command)
}

/// Runs a program with `input`, which then ends.
pub(crate) fn fed(mut command: Command, input: &[u8]) -> Output {
    piped(&mut command);
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    thread::scope(|scope| {
        // Who closes early is not written to any more.
        scope.spawn(move || drop(stdin.write_all(input)));
        child.wait_with_output().unwrap()
    })
}

/// Ends a program that nobody has waited for yet, and its group if it has one of its own.
fn end_all(program: Pid) {
    let look = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
    // Once it was waited for, its number may be another's.
    if waitid(Id::Pid(program), look).is_ok() {
        let _ = killpg(program, Signal::SIGKILL);
        let _ = kill(program, Signal::SIGKILL);
    }
}

/// A running program whose lines are waited for.
pub(crate) struct Running {
    pub(crate) child: Child,
    pub(crate) stdout: BufReader<ChildStdout>,
    /// Lines read so far.
    seen: String,
    /// Dropped when the program has ended, which calls its guard off.
    _guard: mpsc::Sender<()>,
}

impl Running {
    pub(crate) fn spawn(mut command: Command) -> Self {
        piped(&mut command);
        let mut child = command.spawn().unwrap();
        let (guard, is_over) = mpsc::channel::<()>();
        let process = Pid::from_raw(child.id().cast_signed());
        thread::spawn(move || {
            if is_over.recv_timeout(LIMIT) == Err(mpsc::RecvTimeoutError::Timeout) {
                end_all(process);
            }
        });
        Self {
            stdout: BufReader::new(child.stdout.take().unwrap()),
            child,
            seen: String::new(),
            _guard: guard,
        }
    }

    /// Starts it with this on its standard input, which then ends.
    pub(crate) fn fed(command: Command, input: &str) -> Self {
        let mut running = Self::spawn(command);
        // A program that reads nothing may have ended already.
        let _ = running
            .child
            .stdin
            .take()
            .unwrap()
            .write_all(input.as_bytes());
        running
    }

    /// Starts it, and waits for a line with `first` in it.
    pub(crate) fn start(command: Command, first: &str) -> Self {
        let mut running = Self::spawn(command);
        running.until(first);
        running
    }

    /// A server, listening.
    pub(crate) fn serve(words: &str) -> Self {
        let mut server = Self::serve_by(Command::new(env!("CARGO_BIN_EXE_sockwire")), words);
        server.until("Ctrl-C ends");
        server
    }

    /// A server that `command` starts.
    pub(crate) fn serve_by(mut command: Command, words: &str) -> Self {
        command.arg("serve").args(words.split_whitespace());
        Self::spawn(command)
    }

    /// The lines read so far.
    pub(crate) fn seen(&self) -> &str {
        &self.seen
    }

    pub(crate) fn process(&self) -> Pid {
        Pid::from_raw(self.child.id().cast_signed())
    }

    /// Reads lines up to the first with `text` in it, which it gives.
    pub(crate) fn until(&mut self, text: &str) -> String {
        loop {
            let mut line = String::new();
            let len = self.stdout.read_line(&mut line).unwrap();
            assert_ne!(len, 0, "no line with {text:?} in:\n{}", self.seen);
            self.seen.push_str(&line);
            if line.contains(text) {
                return line;
            }
        }
    }

    /// Ctrl-C.
    pub(crate) fn interrupt(&self) {
        kill(self.process(), Signal::SIGINT).unwrap();
    }

    /// Ctrl-C, and its good end.
    pub(crate) fn stop(self) -> (String, String) {
        self.interrupt();
        self.end()
    }

    /// Waits for its good end: the rest of standard output, and all of stderr.
    pub(crate) fn end(mut self) -> (String, String) {
        let mut rest = Vec::new();
        self.stdout.read_to_end(&mut rest).unwrap();
        let mut stderr = String::new();
        let told = self.child.stderr.take();
        told.unwrap().read_to_string(&mut stderr).unwrap();
        let status = self.child.wait().unwrap();
        assert_eq!(status.code(), Some(0), "{}{stderr}", self.seen);
        (String::from_utf8_lossy(&rest).into_owned(), stderr)
    }

    /// The same: everything that it printed.
    pub(crate) fn all(self) -> String {
        let seen = self.seen.clone();
        seen + &self.end().0
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        end_all(self.process());
        let _ = self.child.wait();
    }
}
