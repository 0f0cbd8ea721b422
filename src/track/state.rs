//! The TCP state machine of one end, fed by what that end sends and what reaches it (RFC 9293 §3.3.2 and §3.10.7).

use std::fmt;

use crate::proto::tcp::{self, flag};

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

    /// It has got as far as ESTABLISHED, or further (RFC 9293 §3.5.2 calls these states synchronized).
    pub const fn is_synchronized(self) -> bool {
        !matches!(
            self,
            Self::Unknown | Self::Closed | Self::Listen | Self::SynSent | Self::SynReceived
        )
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

impl From<&tcp::Segment> for Segment {
    fn from(read: &tcp::Segment) -> Self {
        Self {
            seq: read.seq,
            ack: read.has(flag::ACK).then_some(read.ack),
            len: read.len,
            syn: read.has(flag::SYN),
            fin: read.has(flag::FIN),
            rst: read.has(flag::RST),
        }
    }
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

    /// `s` carries data behind this end's own FIN.
    pub fn is_past_its_fin(&self, s: &Segment) -> bool {
        s.len > 0 && self.own_fin.is_some_and(|fin| before(fin, s.end()))
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
        if self.state == S::SynSent && s.ack.is_some() {
            // It acknowledges the other side's SYN, although that was not seen to arrive.
            self.state = S::Established;
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::collections::VecDeque;

    use super::*;

    /// Two ends and what travels between them. `A S` sends a SYN that arrives at once, `A> F` only sends, `A.` delivers the
    /// oldest segment of A that travels. S, A, F, R are flags, D is a byte of data; R has no ACK.
    struct Wire {
        ends: [End; 2],
        next: [u32; 2],
        got: [Option<u32>; 2],
        air: [VecDeque<Segment>; 2],
    }

    impl Wire {
        fn new(states: [State; 2]) -> Self {
            Self {
                ends: states.map(End::new),
                next: [u32::MAX - 1, 500],
                got: [None; 2],
                air: Default::default(),
            }
        }

        fn step(&mut self, step: &str) {
            let side = usize::from(step.starts_with('B'));
            let (how, flags) = step[1..]
                .split_once(' ')
                .unwrap_or_else(|| (&step[1..], ""));
            if how != "." {
                let has = |flag| flags.contains(flag);
                let s = Segment {
                    seq: self.next[side],
                    ack: self.got[side].filter(|_| flags != "S" && flags != "R"),
                    len: u32::from(has('D')),
                    syn: has('S'),
                    fin: has('F'),
                    rst: has('R'),
                };
                self.next[side] = s.end();
                self.ends[side].sends(&s);
                self.air[side].push_back(s);
            }
            if how != ">" {
                let s = self.air[side].pop_front().unwrap();
                self.got[1 - side] = Some(s.end());
                self.ends[1 - side].receives(&s);
            }
        }

        fn states(&self) -> String {
            let [a, b] = self.ends.map(|end| end.state());
            format!("{a}/{b}")
        }
    }

    const OPEN: &str =
        "A S=SYN-SENT/SYN-RECEIVED, B SA=ESTABLISHED/SYN-RECEIVED, A A=ESTABLISHED/ESTABLISHED";

    fn plays(start: [State; 2], script: &str) {
        let mut wire = Wire::new(start);
        for step in script.split(", ") {
            let (step, expected) = step.split_once('=').unwrap();
            wire.step(step);
            assert_eq!(wire.states(), expected, "after {step:?} of {script}");
        }
    }

    /// After the handshake.
    fn goes_on(script: &str) {
        let listening = [State::Closed, State::Listen];
        plays(listening, &format!("{OPEN}, {script}"));
    }

    #[test]
    fn opens_between_a_client_and_a_listener_also_when_the_listener_is_not_known() {
        plays([State::Closed, State::Listen], OPEN);
        plays(
            [State::Closed, State::Unknown],
            &OPEN.replace("SYN-SENT/SYN-RECEIVED", "SYN-SENT/?"),
        );
    }

    #[test]
    fn a_refused_client_is_closed() {
        let refused = "A S=SYN-SENT/CLOSED, B RA=CLOSED/CLOSED";
        plays([State::Closed, State::Closed], refused);
        plays(
            [State::Closed, State::Unknown],
            "A S=SYN-SENT/?, B RA=CLOSED/CLOSED",
        );
    }

    #[test]
    fn a_rst_without_ack_does_not_refuse() {
        plays(
            [State::Closed, State::Closed],
            "A S=SYN-SENT/CLOSED, B R=SYN-SENT/CLOSED",
        );
    }

    #[test]
    fn both_open_at_once() {
        plays(
            [State::Closed, State::Closed],
            "A> S=SYN-SENT/CLOSED, B> S=SYN-SENT/SYN-SENT, A.=SYN-SENT/SYN-RECEIVED, \
             B.=SYN-RECEIVED/SYN-RECEIVED, A SA=SYN-RECEIVED/ESTABLISHED, B SA=ESTABLISHED/ESTABLISHED",
        );
        // One capture point sees the second SYN when the first one "has arrived".
        plays(
            [State::Closed, State::Unknown],
            "A S=SYN-SENT/?, B S=SYN-RECEIVED/SYN-RECEIVED, A SA=SYN-RECEIVED/ESTABLISHED",
        );
    }

    #[test]
    fn closes_one_after_the_other() {
        goes_on(
            "A FA=FIN-WAIT-1/CLOSE-WAIT, B A=FIN-WAIT-2/CLOSE-WAIT, B FA=TIME-WAIT/LAST-ACK, A A=TIME-WAIT/CLOSED",
        );
        goes_on("B FA=CLOSE-WAIT/FIN-WAIT-1, A FA=LAST-ACK/TIME-WAIT, B A=CLOSED/TIME-WAIT");
    }

    #[test]
    fn the_other_side_may_send_after_a_half_close() {
        goes_on(
            "A FDA=FIN-WAIT-1/CLOSE-WAIT, B DA=FIN-WAIT-2/CLOSE-WAIT, A A=FIN-WAIT-2/CLOSE-WAIT, \
             B DA=FIN-WAIT-2/CLOSE-WAIT, B FA=TIME-WAIT/LAST-ACK, A A=TIME-WAIT/CLOSED",
        );
    }

    #[test]
    fn both_close_at_once() {
        goes_on(
            "A> FA=FIN-WAIT-1/ESTABLISHED, B> FA=FIN-WAIT-1/FIN-WAIT-1, A.=FIN-WAIT-1/CLOSING, B.=CLOSING/CLOSING, \
             A A=CLOSING/TIME-WAIT, B A=TIME-WAIT/TIME-WAIT",
        );
    }

    #[test]
    fn one_capture_point_sees_that_fins_crossed_by_the_second_ones_ack() {
        let mut wire = Wire::new([State::Closed, State::Listen]);
        ["A S", "B SA", "A A"]
            .into_iter()
            .for_each(|step| wire.step(step));
        let before = wire.got[1];
        wire.step("A FA");
        wire.got[1] = before;
        wire.step("B FA");
        assert_eq!(wire.states(), "CLOSING/CLOSING");
    }

    #[test]
    fn a_rst_ends_every_state() {
        let states = [
            ("A S=SYN-SENT/SYN-RECEIVED, A R=SYN-SENT/LISTEN", false),
            ("B R=CLOSED/CLOSED", true),
            ("A R=CLOSED/CLOSED", true),
            ("A FA=FIN-WAIT-1/CLOSE-WAIT, B R=CLOSED/CLOSED", true),
            (
                "A FA=FIN-WAIT-1/CLOSE-WAIT, B A=FIN-WAIT-2/CLOSE-WAIT, B R=CLOSED/CLOSED",
                true,
            ),
            (
                "A FA=FIN-WAIT-1/CLOSE-WAIT, B FA=TIME-WAIT/LAST-ACK, A R=CLOSED/CLOSED",
                true,
            ),
        ];
        for (script, open) in states {
            match open {
                true => goes_on(script),
                false => plays([State::Closed, State::Listen], script),
            }
        }
    }

    #[test]
    fn a_rst_outside_the_window_changes_nothing() {
        let mut wire = Wire::new([State::Closed, State::Listen]);
        ["A S", "B SA", "A A"]
            .into_iter()
            .for_each(|step| wire.step(step));
        wire.next[1] = wire.next[1].wrapping_sub(1000);
        let rst = Segment {
            seq: wire.next[1],
            rst: true,
            ..Segment::default()
        };
        wire.ends[0].receives(&rst);
        assert_eq!(wire.ends[0].state(), State::Established);
    }

    #[test]
    fn a_fin_counts_when_what_comes_before_it_has_arrived() {
        let mut wire = Wire::new([State::Closed, State::Listen]);
        ["A S", "B SA", "A A", "A> DA", "A> FA"]
            .into_iter()
            .for_each(|step| wire.step(step));
        let lost = wire.air[0].pop_front().unwrap();
        wire.step("A.");
        assert_eq!(wire.states(), "FIN-WAIT-1/ESTABLISHED");
        wire.ends[1].receives(&lost);
        // Its ACK of the FIN shows that the gap is filled.
        wire.got[1] = Some(wire.next[0]);
        wire.step("B A");
        assert_eq!(wire.states(), "FIN-WAIT-2/CLOSE-WAIT");
    }

    #[test]
    fn joined_in_the_middle_it_learns_as_it_goes() {
        plays(
            [State::Unknown; 2],
            "A DA=?/?, B A=?/ESTABLISHED, A DA=ESTABLISHED/ESTABLISHED, A FA=FIN-WAIT-1/CLOSE-WAIT, \
             B FA=TIME-WAIT/LAST-ACK, A A=TIME-WAIT/CLOSED",
        );
        plays([State::Unknown; 2], "A R=CLOSED/CLOSED");
    }

    #[test]
    fn an_ack_shows_that_the_syn_was_answered_though_the_answer_was_not_captured() {
        let mut wire = Wire::new([State::Closed, State::Unknown]);
        wire.step("A S");
        wire.got[0] = Some(501);
        wire.step("A A");
        assert_eq!(wire.states(), "ESTABLISHED/?");
    }

    #[test]
    fn names_fit_their_columns() {
        use State as S;
        let all = [
            S::Unknown,
            S::Closed,
            S::Listen,
            S::SynSent,
            S::SynReceived,
            S::Established,
            S::FinWait1,
            S::FinWait2,
            S::CloseWait,
            S::Closing,
            S::LastAck,
            S::TimeWait,
        ];
        assert!(
            all.iter()
                .all(|s| s.name().len() <= 12 && s.short().len() <= 6)
        );
        for (n, state) in all.iter().enumerate() {
            assert!(all[..n].iter().all(|other| other.short() != state.short()));
        }
    }
}
