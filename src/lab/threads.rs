//! The threads of a ground on which real sockets play: one for each host and one for the wire, and who listens to them.

use std::{
    io,
    net::IpAddr,
    sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, channel, sync_channel},
    thread,
    time::Duration,
};

use nix::sys::signal::SigSet;

use super::{
    Event, LabError, Listener, Plan, Trying,
    kernel::Kernel,
    scenario::{Call, Host},
};
use crate::sys::clock::Clock;

/// After such a time without a frame a wire says that nothing happened; so it learns whether anybody still listens.
pub(super) const TICK: Duration = Duration::from_millis(20);

/// A wire that has said nothing for so long says nothing any more.
const PATIENCE: Duration = Duration::from_secs(2);

/// Events that may wait for the listener: a wire that is faster than it waits in turn, and memory stays small.
const WAITING: usize = 4096;

/// What the threads say to the one that listens.
pub(super) enum Said {
    Event(Event),
    /// This host has made all its calls, and its connections are over.
    Done(Host),
    Failed(LabError),
}

/// A thread's way to say something.
pub(super) struct Voice(SyncSender<Said>);

impl Voice {
    /// Tells the listener. False when there is none any more: then the thread may end.
    pub(super) fn tell(&self, event: Event) -> bool {
        self.0.send(Said::Event(event)).is_ok()
    }

    /// Says that `host` has nothing more to do.
    pub(super) fn done(&self, host: Host) {
        let _ = self.0.send(Said::Done(host));
    }
}

/// The threads of a lab.
pub(super) struct Threads {
    say: SyncSender<Said>,
    said: Receiver<Said>,
    /// The clock of all of them.
    pub(super) clock: Clock,
}

impl Threads {
    pub(super) fn new() -> Self {
        let (say, said) = sync_channel(WAITING);
        let clock = Clock::start();
        Self { say, said, clock }
    }

    /// Starts a thread that leaves signals to the first one. When it fails, the lab fails.
    pub(super) fn spawn(
        &self,
        name: &str,
        run: impl FnOnce(&Voice) -> Result<(), LabError> + Send + 'static,
    ) -> Result<(), LabError> {
        let voice = Voice(self.say.clone());
        let body = move || {
            let _ = SigSet::all().thread_block();
            if let Err(error) = run(&voice) {
                let _ = voice.0.send(Said::Failed(error));
            }
        };
        let thread = thread::Builder::new().name(name.to_owned()).spawn(body);
        thread.map(drop).trying("start a thread for the lab")
    }

    /// Starts both hosts; each does what `enter` says before its first call. The client begins when the server is ready.
    pub(super) fn hosts<F>(&self, plan: &Plan, enter: [F; 2]) -> Result<(), LabError>
    where
        F: FnOnce() -> Result<(), LabError> + Send + 'static,
    {
        let clock = self.clock;
        let (ready, wait) = channel::<()>();
        let gates = [Gate::Wait(wait), Gate::Open(ready)];
        for ((host, enter), gate) in Host::BOTH.into_iter().zip(enter).zip(gates) {
            let plan = plan.clone();
            self.spawn(host.name(), move |voice| {
                enter()?;
                run_host(&plan, host, gate, clock, voice)
            })?;
        }
        Ok(())
    }

    /// The reason why a thread ended before it should have.
    pub(super) fn failure(&self) -> LabError {
        // The thread speaks right after it has ended; one that panicked says nothing.
        match self.said.recv_timeout(Duration::from_secs(1)) {
            Ok(Said::Failed(error)) => error,
            _ => LabError::Failed {
                what: "hear from the lab's threads",
                error: io::ErrorKind::BrokenPipe.into(),
            },
        }
    }

    /// Passes events on until both hosts are done, nothing is on the wire, and it has been silent for so many nanoseconds.
    pub(super) fn listen(self, silence: i64, listener: Listener<'_>) -> Result<(), LabError> {
        let mut awaited = Host::BOTH.to_vec();
        let mut underway: i64 = 0;
        let mut active = self.clock.now();
        loop {
            let over = awaited.is_empty() && underway == 0;
            let limit = if over { PATIENCE } else { Duration::MAX };
            let event = match self.said.recv_timeout(limit) {
                Ok(Said::Event(event)) => event,
                Ok(Said::Done(host)) => {
                    awaited.retain(|&other| other != host);
                    active = self.clock.now();
                    continue;
                }
                Ok(Said::Failed(error)) => return Err(error),
                // This end keeps a sender, so the channel never closes.
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return Ok(()),
            };
            if let Event::Called {
                host,
                call: Call::Connect(_) | Call::ConnectWithin(..) | Call::ConnectNobody(_),
                error: Some(_),
                ..
            } = &event
            {
                // Nobody will come any more to a server that waits in accept().
                awaited.retain(|other| other == host);
            }
            underway += match &event {
                Event::Sent(transit) if transit.dropped.is_some() => 0,
                Event::Sent(transit) => 1 + i64::from(transit.twice),
                Event::Delivered { .. } => -1,
                _ => 0,
            };
            // Only the wire knows that it is silent: on a busy machine it comes late to what has been sent.
            let ends = match event {
                Event::Quiet(time) => over && time.since(active) >= silence,
                _ => {
                    active = self.clock.now();
                    false
                }
            };
            if listener(event).is_break() || ends {
                return Ok(());
            }
        }
    }
}

/// The server opens the gate when it is ready; the client waits for that.
enum Gate {
    Open(Sender<()>),
    Wait(Receiver<()>),
}

/// A host's thread.
fn run_host(
    plan: &Plan,
    host: Host,
    gate: Gate,
    clock: Clock,
    voice: &Voice,
) -> Result<(), LabError> {
    let patience = Duration::from_nanos(plan.patience().unsigned_abs());
    let peer: IpAddr = plan.address(host.other());
    let mut kernel = Kernel::new(plan.address(host), peer, patience);
    if let Gate::Wait(ready) = &gate {
        // Fails when the server's thread has ended, and with it the lab.
        let _ = ready.recv();
    }
    let mut gate = Some(gate);
    for &call in plan.scenario.calls(host) {
        let prepares = matches!(call, Call::Listen(_) | Call::Bind(_));
        if !prepares {
            open(gate.take());
        }
        let result = kernel.call(call);
        let error = result.as_ref().err().map(ToString::to_string);
        let told = voice.tell(Event::Called {
            time: clock.now(),
            host,
            call,
            error,
        });
        if !told {
            return Ok(());
        }
        match result {
            Ok(()) => {}
            Err(error) if prepares => return Err(error).trying("take the scenario's port"),
            // A failed call ends the program, and the system closes what it leaves.
            Err(_) => break,
        }
    }
    open(gate);
    // The host's sockets are closed with its last call, whatever the scenario says.
    kernel.call(Call::Close).trying("close a host's sockets")?;
    kernel.settle().trying("ask for a connection's state")?;
    voice.done(host);
    Ok(())
}

fn open(gate: Option<Gate>) {
    if let Some(Gate::Open(ready)) = gate {
        let _ = ready.send(());
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::ops::ControlFlow;

    use super::*;
    use crate::{frame::KernelChecksum, lab::Transit};

    #[test]
    fn a_wire_that_comes_late_to_the_last_frame_is_waited_for() {
        let threads = Threads::new();
        let clock = threads.clock;
        let before = clock.now();
        let (go, late) = channel::<()>();
        let wire = move |voice: &Voice| {
            Host::BOTH.into_iter().for_each(|host| voice.done(host));
            // That it saw nothing before the hosts' last frame says nothing about that one.
            voice.tell(Event::Quiet(before));
            late.recv().unwrap();
            voice.tell(Event::Sent(Transit {
                number: 1,
                time: clock.now(),
                from: Host::Client,
                bytes: [].into(),
                checksum: KernelChecksum::Unknown,
                dropped: Some("loss".to_owned()),
                twice: false,
                held: None,
            }));
            while voice.tell(Event::Quiet(clock.now())) {}
            Ok(())
        };
        threads.spawn("wire", wire).unwrap();
        let mut sent = 0;
        let mut listener = |event: Event| {
            if matches!(event, Event::Quiet(time) if time == before) {
                go.send(()).unwrap();
            }
            sent += u32::from(matches!(event, Event::Sent(_)));
            ControlFlow::Continue(())
        };
        threads.listen(0, &mut listener).unwrap();
        assert_eq!(sent, 1);
    }
}
