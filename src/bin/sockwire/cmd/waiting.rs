//! When no packet comes: after five seconds, says who listens on the ports of the filter, and where.

use std::sync::Arc;

use sockwire::{
    capture::{self, Listener},
    filter::CaptureFilter,
    frame::{Batch, Interface, Source, SourceError, Step},
    text::Safe,
    time::{SECOND, Time},
};

use super::output;

/// Silence, in nanoseconds, before the user is told.
const PATIENCE: i64 = 5 * SECOND;
/// Most ports looked up.
const PORTS: usize = 4;

/// A live source that speaks once, on stderr, when its first packet is long in coming.
pub(crate) struct Waiting<S> {
    source: S,
    /// The ports, and who listened there at the start, when this process could still look into others.
    ports: Vec<(u16, Vec<Listener>)>,
    netns: Option<String>,
    began: Option<Time>,
    spoken: bool,
}

impl<S: Source> Waiting<S> {
    /// Around `source`; `netns` is where the filter's ports are.
    pub(crate) fn new(
        source: S,
        filter: &CaptureFilter,
        netns: Option<String>,
        quiet: bool,
    ) -> Self {
        let mut ports = if quiet { Vec::new() } else { filter.ports() };
        ports.truncate(PORTS);
        let at_start = |port| (port, look(netns.as_deref(), port).unwrap_or_default());
        Self {
            source,
            ports: ports.into_iter().map(at_start).collect(),
            netns,
            began: None,
            spoken: quiet,
        }
    }

    fn speak(&self) {
        if self.ports.is_empty() {
            output::talk("waiting ...  no packet yet.  Ctrl-C ends.");
        }
        for (port, at_start) in &self.ports {
            // Without rights now: other namespaces are closed, and processes of other users nameless.
            let listeners = match look(self.netns.as_deref(), *port) {
                Some(now) => with_names(now, at_start),
                None => at_start.clone(),
            };
            output::talk(in_words(*port, &listeners));
        }
    }
}

impl<S: Source> Source for Waiting<S> {
    fn next(&mut self, until: Time) -> Result<Step, SourceError> {
        let step = self.source.next(until)?;
        match &step {
            Step::Batch(_) | Step::End(_) => self.spoken = true,
            Step::Quiet(time) if !self.spoken => {
                let began = *self.began.get_or_insert(*time);
                if time.since(began) >= PATIENCE {
                    self.spoken = true;
                    self.speak();
                }
            }
            Step::Quiet(_) | Step::Link(_) => {}
        }
        Ok(step)
    }

    fn interfaces(&self) -> &[Arc<Interface>] {
        self.source.interfaces()
    }

    fn recycle(&mut self, batch: Batch) {
        self.source.recycle(batch);
    }

    fn stop(&mut self) {
        // Nobody is waiting any more.
        self.spoken = true;
        self.source.stop();
    }
}

/// Who listens on `port` now; `None` where that cannot be seen.
fn look(netns: Option<&str>, port: u16) -> Option<Vec<Listener>> {
    capture::inside(netns, || capture::listeners(port)).ok()
}

/// Names the processes of `now` that were known `before`.
fn with_names(mut now: Vec<Listener>, before: &[Listener]) -> Vec<Listener> {
    for listener in now.iter_mut().filter(|found| found.process.is_none()) {
        let known = before
            .iter()
            .find(|b| (b.transport, b.address) == (listener.transport, listener.address));
        listener.process = known.and_then(|known| known.process.clone());
    }
    now
}

fn in_words(port: u16, listeners: &[Listener]) -> String {
    if listeners.is_empty() {
        return format!(
            "waiting ...  nothing listens on port {port} here: a connection would be refused.  Ctrl-C ends."
        );
    }
    let open: Vec<String> = listeners.iter().map(one).collect();
    format!("waiting ...  {}.  Ctrl-C ends.", open.join("; "))
}

fn one(listener: &Listener) -> String {
    let (port, address) = (listener.address.port(), listener.address.ip());
    let who = match &listener.process {
        Some((pid, name)) => format!("{}[{pid}]", Safe(name.as_bytes())),
        None => "a process of another user".to_owned(),
    };
    format!(
        "{port}/{} is open here: {who} on {address}",
        listener.transport
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use sockwire::capture::Transport;

    fn listener(port: u16, process: Option<(u32, &str)>) -> Listener {
        Listener {
            transport: Transport::Tcp,
            address: ([0, 0, 0, 0], port).into(),
            process: process.map(|(pid, name)| (pid, name.to_owned())),
        }
    }

    #[test]
    fn names_seen_at_the_start_are_kept() {
        let before = [listener(5000, Some((4242, "python3")))];
        let now = vec![listener(5000, None), listener(5001, None)];
        assert_eq!(
            with_names(now, &before),
            [before[0].clone(), listener(5001, None)]
        );
        assert_eq!(with_names(Vec::new(), &before), []);
    }

    #[test]
    fn says_who_and_where() {
        assert_eq!(
            in_words(5000, &[listener(5000, Some((4242, "py\x1bthon3")))]),
            "waiting ...  5000/tcp is open here: py\\x1bthon3[4242] on 0.0.0.0.  Ctrl-C ends."
        );
    }
}
