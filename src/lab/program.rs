//! An ordinary program on a host of the lab: started by the shell, its words heard, and its end waited for.

use std::{
    collections::HashSet,
    env,
    fs::{self, File},
    io::{self, BufRead as _, BufReader, Read, Write as _},
    net::SocketAddr,
    os::{
        fd::{AsFd, OwnedFd},
        unix::process::CommandExt as _,
    },
    process::{Command, Stdio},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use nix::{
    fcntl::{FcntlArg, FdFlag, OFlag, fcntl},
    pty::openpty,
    sched::{CloneFlags, unshare},
    sys::{
        signal::Signal,
        termios::{SetArg, cfmakeraw, tcgetattr, tcsetattr},
    },
    unistd::{pipe2, sethostname, setsid},
};

use super::{LabError, Trying as _};
use crate::sys::{
    process::{self, Side},
    signal::pause,
    sock_diag::SockDiag,
};

/// Between two looks whether a server listens.
const LOOK: Duration = Duration::from_millis(5);
/// What is read of a program's words at a time.
const WORDS: usize = 4096;

/// How a program is started.
#[derive(Clone, Debug)]
pub struct Start {
    /// For `sh -c`.
    pub command: String,
    /// It reads this process's standard input; otherwise from one where nothing ever comes, not even an end.
    pub input: bool,
    /// A process group of its own, to which signals go; without one it is in this process's, and gets the terminal's Ctrl-C.
    pub group: bool,
}

/// A program that was started. The kernel ends it when the thread that started it ends.
#[derive(Debug)]
pub struct Program {
    /// Its process, the leader of its group where it has one of its own.
    pub process: u32,
    /// Nothing is ever written to it.
    _input: Option<OwnedFd>,
}

impl Program {
    /// Starts it in the network of the calling thread, and another thread that passes its standard output and error on, until
    /// `hear` returns false or nobody can write there any more.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(
        start: &Start,
        hear: impl FnMut(&[u8]) -> bool + Send + 'static,
    ) -> Result<Self, LabError> {
        let (stdio, input) = stdio(start.input, hear)?;
        let [stdin, stdout, stderr] = stdio.map(Stdio::from);
        let mut command = Command::new("sh");
        command
            .args(["-c", &plain(&start.command)])
            .stdin(stdin)
            .stdout(stdout)
            .stderr(stderr);
        if start.group {
            command.process_group(0);
        }
        let child = process::start(&mut command).trying("start a program (sh)")?;
        Ok(Self {
            process: child.id(),
            _input: input,
        })
    }

    /// Starts the user's shell (`$SHELL`), else `sh`, in the network of the calling thread, on this process's terminal. The
    /// calling thread's host is called `name` from now on, so that prompts say where one is.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn shell(name: &str) -> Result<Self, LabError> {
        // A name is a help, and no reason to do without a shell.
        let _ = unshare(CloneFlags::CLONE_NEWUTS).and_then(|()| sethostname(name));
        let shell = env::var_os("SHELL").filter(|shell| !shell.is_empty());
        let mut command = Command::new(shell.unwrap_or_else(|| "sh".into()));
        command.env("SOCKWIRE_HOST", name);
        let child = process::start(&mut command).trying("start a shell ($SHELL, else sh)")?;
        Ok(Self {
            process: child.id(),
            _input: None,
        })
    }

    /// Waits until it ends: its exit code, or the signal that ended it.
    ///
    /// # Errors
    /// When the system cannot tell.
    pub fn wait(&self) -> Result<Result<i32, i32>, LabError> {
        let ended = process::ended(self.process, true).trying("wait for a program")?;
        Ok(ended.unwrap_or(Ok(0)))
    }

    /// How it has ended: its exit code, or the signal that ended it; nothing while it runs.
    ///
    /// # Errors
    /// When the system cannot tell.
    pub fn ended(&self) -> Result<Option<Result<i32, i32>>, LabError> {
        process::ended(self.process, false).trying("wait for a program")
    }
}

/// The command for a shell, with what tells programs that their output is a terminal only so that each line comes when it is
/// written.
pub fn plain(command: &str) -> String {
    format!("export TERM=dumb NO_COLOR=1\n{command}")
}

/// Standard input, output and error for a program, and what has to be kept while it runs: its input is this process's, or one
/// where nothing ever comes. A thread hears its output until `hear` returns false or nobody can write there any more.
///
/// # Errors
/// When the system gives no descriptors, or no thread.
pub fn stdio(
    own_input: bool,
    hear: impl FnMut(&[u8]) -> bool + Send + 'static,
) -> Result<([OwnedFd; 3], Option<OwnedFd>), LabError> {
    let (ear, mouth) = words().trying("make a terminal for a program's output")?;
    let second = mouth.try_clone().trying("keep a program's output")?;
    let (reader, writer) = match own_input {
        true => (io::stdin().as_fd().try_clone_to_owned(), None),
        false => match pipe2(OFlag::O_CLOEXEC) {
            Ok((reader, writer)) => (Ok(reader), Some(writer)),
            Err(errno) => (Err(errno.into()), None),
        },
    };
    let reader = reader.trying("make a program's input")?;
    let listen = move || pass_on(File::from(ear), hear);
    let thread = thread::Builder::new()
        .name("words".to_owned())
        .spawn(listen);
    thread.trying("start a thread that hears a program")?;
    Ok(([reader, mouth, second], writer))
}

/// Waits until a socket of the calling thread's network listens on the port, or takes datagrams there; `ended` says how its
/// program has ended.
///
/// # Errors
/// When the system cannot tell who listens, or `ended` cannot.
pub fn wait_for_port(
    port: u16,
    limit: Duration,
    ended: impl Fn() -> Result<Option<Result<i32, i32>>, LabError>,
) -> Result<Readiness, LabError> {
    let asking = "ask who listens in the lab";
    let diag = SockDiag::open().trying(asking)?;
    let start = Instant::now();
    loop {
        let mut others = Vec::new();
        for tcp in [true, false] {
            for socket in diag.waiting(tcp).trying(asking)? {
                if socket.address.port() == port {
                    return Ok(Readiness::Listens(socket.address));
                }
                others.push((tcp, socket.address));
            }
        }
        if let Some(ended) = ended()? {
            return Ok(Readiness::Ended(ended));
        }
        if start.elapsed() >= limit {
            return Ok(Readiness::Waited(others));
        }
        pause(LOOK);
    }
}

/// Whether a server can be reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// At this address.
    Listens(SocketAddr),
    /// It has ended before: its exit code, or the signal that ended it.
    Ended(Result<i32, i32>),
    /// It was waited for in vain; where it listens instead, over TCP (`true`) or UDP.
    Waited(Vec<(bool, SocketAddr)>),
}

/// Where a program's words are heard, and where it says them: a terminal that changes nothing, else a pipe, to which programs
/// write late.
fn words() -> io::Result<(OwnedFd, OwnedFd)> {
    let Ok(terminal) = openpty(None, None) else {
        return Ok(pipe2(OFlag::O_CLOEXEC)?);
    };
    for end in [terminal.master.as_fd(), terminal.slave.as_fd()] {
        fcntl(end, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC))?;
    }
    let mut settings = tcgetattr(&terminal.slave)?;
    cfmakeraw(&mut settings);
    tcsetattr(&terminal.slave, SetArg::TCSANOW, &settings)?;
    Ok((terminal.master, terminal.slave))
}

fn pass_on(mut ear: File, mut hear: impl FnMut(&[u8]) -> bool) {
    let mut buffer = [0; WORDS];
    loop {
        match ear.read(&mut buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // A terminal without writers fails (EIO).
            Ok(0) | Err(_) => return,
            Ok(len) if hear(&buffer[..len]) => {}
            Ok(_) => return,
        }
    }
}

/// A handle on the calling thread's network.
///
/// # Errors
/// Without `/proc`.
pub fn handle() -> Result<OwnedFd, LabError> {
    let file = File::open("/proc/thread-self/ns/net").trying("keep a host's network")?;
    Ok(file.into())
}

/// The number of the calling thread's network namespace.
///
/// # Errors
/// Without `/proc`.
pub fn network() -> Result<String, LabError> {
    let name = fs::read_link("/proc/thread-self/ns/net").trying("ask for a host's network")?;
    Ok(name.to_string_lossy().into_owned())
}

/// A process that outlives this one by a moment, and then ends every process in the lab's networks, however this one has ended.
#[derive(Clone, Debug)]
pub struct Guard(Arc<File>);

impl Guard {
    /// Starts it. It holds nothing of the terminal.
    ///
    /// # Errors
    /// When the system gives no process or pipe.
    pub fn post() -> io::Result<Self> {
        let (reader, writer) = pipe2(OFlag::O_CLOEXEC)?;
        if process::split()? == Side::Child {
            // Ctrl-C is not for it, and neither is the terminal's end.
            let _ = setsid();
            drop(writer);
            let told = BufReader::new(File::from(reader)).lines();
            end_all(&told.map_while(Result::ok).collect());
            process::leave(0);
        }
        Ok(Self(Arc::new(File::from(writer))))
    }

    /// This network is the lab's.
    pub fn watch(&self, network: &str) {
        // One write: two hosts may tell at once.
        let _ = (&*self.0).write_all(format!("{network}\n").as_bytes());
    }
}

/// Ends (SIGKILL) every process whose network is one of these, this process excepted.
pub fn end_all(networks: &HashSet<String>) {
    // What is forked while the list is read is in the next one.
    for _ in 0..8 {
        let mut found = false;
        for number in inhabitants(|network| networks.contains(network)) {
            process::tell(number, false, Signal::SIGKILL);
            found = true;
        }
        if !found {
            return;
        }
    }
}

/// Some process is in this network, this process excepted.
pub fn is_inhabited(network: &str) -> bool {
    inhabitants(|other| other == network).next().is_some()
}

/// Processes in such networks, this process excepted.
fn inhabitants(is_meant: impl Fn(&str) -> bool) -> impl Iterator<Item = u32> {
    let all = fs::read_dir("/proc").into_iter().flatten().flatten();
    all.filter_map(move |entry| {
        let number = entry.file_name().to_str()?.parse().ok()?;
        // A process that has ended and is not waited for has no network.
        let network = fs::read_link(entry.path().join("ns/net")).ok()?;
        let is_meant = is_meant(&network.to_string_lossy());
        (is_meant && number != std::process::id()).then_some(number)
    })
}
