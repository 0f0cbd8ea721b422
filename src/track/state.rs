//! The TCP state machine of one end, fed by what that end sends and what reaches it (RFC 9293 §3.3.2 and §3.10.7).

use std::fmt;

/// A connection state by its RFC 9293 name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum State {
    /// Nothing seen so far tells.
    #[default]
    Unknown,
    /// No connection.
    Closed,
    /// Waiting for any SYN.
    Listen,
    /// A SYN was sent.
    SynSent,
    /// A SYN was received, its own is not acknowledged yet.
    SynReceived,
    /// Open: data can flow both ways.
    Established,
    /// It closed first; its FIN is not acknowledged yet.
    FinWait1,
    /// Its FIN is acknowledged; the other side may still send.
    FinWait2,
    /// The other side closed; this one may still send.
    CloseWait,
    /// Both closed at the same time.
    Closing,
    /// It closed second; its FIN is not acknowledged yet.
    LastAck,
    /// Both are closed; it waits for stragglers.
    TimeWait,
}

impl State {
    /// The name as RFC 9293 writes it; `?` while unknown.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unknown => "?",
            Self::Closed => "CLOSED",
            Self::Listen => "LISTEN",
            Self::SynSent => "SYN-SENT",
            Self::SynReceived => "SYN-RECEIVED",
            Self::Established => "ESTABLISHED",
            Self::FinWait1 => "FIN-WAIT-1",
            Self::FinWait2 => "FIN-WAIT-2",
            Self::CloseWait => "CLOSE-WAIT",
            Self::Closing => "CLOSING",
            Self::LastAck => "LAST-ACK",
            Self::TimeWait => "TIME-WAIT",
        }
    }

    /// The name in at most six characters, for narrow terminals.
    pub const fn short(self) -> &'static str {
        match self {
            Self::SynSent => "SYN-S",
            Self::SynReceived => "SYN-R",
            Self::Established => "ESTAB",
            Self::FinWait1 => "FIN-W1",
            Self::FinWait2 => "FIN-W2",
            Self::CloseWait => "CLOS-W",
            Self::Closing => "CLSING",
            Self::LastAck => "LAST-A",
            Self::TimeWait => "TIME-W",
            other => other.name(),
        }
    }

    /// Both directions of this end are done.
    pub const fn is_over(self) -> bool {
        matches!(self, Self::Closed | Self::TimeWait)
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// What the state machine needs to know of a segment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Segment {
    /// Sequence number of its first byte, or of its SYN.
    pub seq: u32,
    /// Acknowledgment number, when the ACK flag is set.
    pub ack: Option<u32>,
    /// Bytes of data.
    pub len: u32,
    /// The SYN flag.
    pub syn: bool,
    /// The FIN flag.
    pub fin: bool,
    /// The RST flag.
    pub rst: bool,
}

impl Segment {
    /// The sequence number after everything it carries; SYN and FIN count as one byte each.
    pub const fn end(&self) -> u32 {
        self.seq
            .wrapping_add(self.len)
            .wrapping_add(self.syn as u32)
            .wrapping_add(self.fin as u32)
    }

    fn acks(&self, number: u32) -> bool {
        self.ack.is_some_and(|ack| !before(ack, number))
    }
}

/// `a` comes before `b` in sequence space (RFC 9293 §3.4).
pub const fn before(a: u32, b: u32) -> bool {
    (a.wrapping_sub(b) as i32) < 0
}

/// One end of a connection.
#[derive(Clone, Copy, Debug, Default)]
pub struct End {
    state: State,
    /// It came to SYN-RECEIVED from LISTEN, and goes back there on a RST.
    passive: bool,
    /// Its own sequence number after everything that it sent.
    sent: Option<u32>,
    /// The sequence number after its own FIN, once sent.
    own_fin: Option<u32>,
    /// The sequence number it expects next.
    expected: Option<u32>,
    /// The sequence number after the other side's FIN, once that has reached it.
    peer_fin: Option<u32>,
    /// A SYN has reached it.
    peer_syn: bool,
}

impl End {
    /// An end that is known to be in `state`.
    pub fn new(state: State) -> Self {
        Self {
            state,
            ..Self::default()
        }
    }

    /// Its state now.
    pub fn state(&self) -> State {
        self.state
    }

    /// It has sent a FIN.
    pub fn has_closed(&self) -> bool {
        self.own_fin.is_some()
    }

    /// This end sends `s`.
    pub fn sends(&mut self, s: &Segment) {
        use State as S;
        if s.rst {
            // A RST answers a stray segment without touching a socket that listens or still connects (§3.10.7.2, §3.10.7.3).
            if !matches!(self.state, S::Listen | S::SynSent) {
                self.state = S::Closed;
            }
            return;
        }
        let end = s.end();
        if self.sent.is_none_or(|sent| before(sent, end)) {
            self.sent = Some(end);
        }
        if s.syn {
            self.state = match (self.state, s.ack.is_some()) {
                (S::Unknown | S::Closed | S::Listen, true) => {
                    self.passive = true;
                    S::SynReceived
                }
                // Two SYNs crossed: one capture point sees this one after the other has "arrived".
                (S::Unknown | S::Closed | S::Listen | S::TimeWait, false) if self.peer_syn => {
                    S::SynReceived
                }
                (S::Unknown | S::Closed | S::Listen | S::TimeWait, false) => S::SynSent,
                (state, _) => state,
            };
            return;
        }
        if let Some(fin) = self.peer_fin
            && s.acks(fin)
        {
            // Its own ACK shows that nothing is missing before the other side's FIN.
            self.take_fin(fin);
        }
        if self.state == S::Unknown && s.ack.is_some() {
            self.state = match self.peer_fin {
                Some(fin) if s.acks(fin) => S::CloseWait,
                _ => S::Established,
            };
        }
        if s.fin {
            self.own_fin = Some(end);
            self.state = match self.state {
                S::SynReceived | S::Established => S::FinWait1,
                // The FIN that it answers had not reached it when it sent its own (one capture point sees them crossed).
                S::CloseWait if self.peer_fin.is_some_and(|fin| !s.acks(fin)) => S::Closing,
                S::CloseWait => S::LastAck,
                state => state,
            };
        }
    }

    /// `s` reaches this end.
    pub fn receives(&mut self, s: &Segment) {
        use State as S;
        if s.rst {
            self.receives_rst(s);
            return;
        }
        if s.syn {
            self.peer_syn = true;
            if matches!(self.state, S::Unknown | S::Listen | S::SynSent) {
                self.expected = Some(s.seq.wrapping_add(1).wrapping_add(s.len));
            }
        } else {
            self.advance(s);
        }
        let acked = self.sent.is_some_and(|sent| s.acks(sent));
        self.state = match self.state {
            S::Listen if s.syn && s.ack.is_none() => {
                self.passive = true;
                S::SynReceived
            }
            S::SynSent if s.syn && acked => S::Established,
            S::SynSent if s.syn && s.ack.is_none() => S::SynReceived,
            S::SynReceived if acked => S::Established,
            state => state,
        };
        if let Some(fin) = self.own_fin
            && s.acks(fin)
        {
            self.state = match self.state {
                S::FinWait1 => S::FinWait2,
                S::Closing => S::TimeWait,
                S::LastAck => S::Closed,
                state => state,
            };
        }
        if s.fin {
            self.peer_fin = Some(s.end());
        }
        if let Some(fin) = self.peer_fin
            && self.expected.is_none_or(|expected| !before(expected, fin))
        {
            self.take_fin(fin);
        }
    }

    /// In SYN-SENT only a RST that acknowledges the SYN counts (§3.10.7.3); later one with a number in the window does.
    fn receives_rst(&mut self, s: &Segment) {
        use State as S;
        const FAR: u32 = 1 << 30;
        let fits = self
            .expected
            .is_none_or(|expected| s.seq.wrapping_sub(expected) < FAR);
        self.state = match self.state {
            S::SynSent if self.sent.is_some() && s.ack == self.sent => S::Closed,
            S::SynReceived if fits && self.passive => S::Listen,
            S::Listen | S::SynSent => self.state,
            _ if fits => S::Closed,
            state => state,
        };
    }

    /// Moves on what is expected next, as far as `s` joins on to it.
    fn advance(&mut self, s: &Segment) {
        let end = s.end();
        match self.expected {
            Some(expected) if before(expected, s.seq) || !before(expected, end) => {}
            None if s.end() == s.seq && s.ack.is_none() => {}
            _ => self.expected = Some(end),
        }
    }

    /// Everything up to the other side's FIN has arrived.
    fn take_fin(&mut self, fin: u32) {
        use State as S;
        if self.expected.is_none_or(|expected| before(expected, fin)) {
            self.expected = Some(fin);
        }
        self.state = match self.state {
            S::SynReceived | S::Established => S::CloseWait,
            S::FinWait1 => S::Closing,
            S::FinWait2 => S::TimeWait,
            state => state,
        };
    }
}
