//! When no packet comes: after five seconds, says who listens on the ports of the filter, and where.

use std::sync::Arc;

use sockwire::{
    capture::{self, Listener},
    frame::{Batch, Interface, Source, SourceError, Step},
    text::Safe,
    time::{SECOND, Time},
};

/// Silence, in nanoseconds, before the user is told.
const PATIENCE: i64 = 5 * SECOND;
/// Most ports looked up.
const PORTS: usize = 4;

/// A live source that speaks once, on stderr, when its first packet is long in coming.
pub(crate) struct Waiting<S> {
    source: S,
    ports: Vec<u16>,
    netns: Option<String>,
    began: Option<Time>,
    spoken: bool,
}

impl<S: Source> Waiting<S> {
    /// Around `source`; `filter` is the capture filter in words, and `netns` where its ports are.
    pub(crate) fn new(source: S, filter: &[String], netns: Option<String>, quiet: bool) -> Self {
        Self {
            source,
            ports: ports(filter),
            netns,
            began: None,
            spoken: quiet,
        }
    }

    fn speak(&self) {
        if self.ports.is_empty() {
            eprintln!("waiting ...  no packet yet.  Ctrl-C ends.");
        }
        for &port in &self.ports {
            let found = capture::inside(self.netns.as_deref(), || capture::listeners(port));
            eprintln!("{}", in_words(port, &found.unwrap_or_default()));
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

/// The numbers that follow `port` (`src port`, `tcp port` and so on) in a filter, each once.
fn ports(filter: &[String]) -> Vec<u16> {
    let text = filter.join(" ").replace(['(', ')'], " ");
    let words: Vec<&str> = text.split_whitespace().collect();
    let mut found: Vec<u16> = Vec::new();
    for pair in words.windows(2) {
        if let ("port", Ok(port)) = (pair[0], pair[1].parse())
            && !found.contains(&port)
            && found.len() < PORTS
        {
            found.push(port);
        }
    }
    found
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

    fn found_in(filter: &str) -> Vec<u16> {
        ports(&[filter.to_owned()])
    }

    #[test]
    fn finds_the_ports_of_a_filter() {
        assert_eq!(
            found_in("tcp port 80 or (dst port 443 and not port 80)"),
            [80, 443]
        );
        assert!(found_in("host 10.0.0.1 and port http").is_empty());
        assert_eq!(ports(&["port".to_owned(), "5000".to_owned()]), [5000]);
    }

    #[test]
    fn says_who_and_where() {
        let listener = Listener {
            transport: Transport::Tcp,
            address: ([0, 0, 0, 0], 5000).into(),
            process: Some((4242, "py\x1bthon3".to_owned())),
        };
        assert_eq!(
            in_words(5000, &[listener]),
            "waiting ...  5000/tcp is open here: py\\x1bthon3[4242] on 0.0.0.0.  Ctrl-C ends."
        );
    }
}
