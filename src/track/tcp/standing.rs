//! Where both ends of a connection stand after each segment, and which segments their states do not expect.

use crate::{
    proto::tcp::{Segment, flag},
    track::{
        flow::is_from_server,
        state::{self, End, State},
    },
};

/// Both ends, as the capture point sees them: sent and received at the same instant.
#[derive(Clone, Copy, Debug)]
pub(super) struct Standing {
    /// In the order of the sockets, as all that is kept of a connection.
    ends: [End; 2],
    /// Which of them opened; where that was not seen, who has the higher port.
    client: u8,
}

impl Standing {
    /// Before the first segment, sent by end `me`.
    pub(super) fn before(first: &Segment, me: usize) -> Self {
        let (syn, ack) = (first.has(flag::SYN), first.has(flag::ACK));
        let client = if is_from_server(syn, ack, first.ports) {
            1 - me
        } else {
            me
        };
        Self {
            ends: Default::default(),
            client: client as u8,
        }
    }

    /// The states of client and server.
    pub(super) fn states(&self) -> (State, State) {
        let client = usize::from(self.client);
        (self.ends[client].state(), self.ends[1 - client].state())
    }

    /// End `me` sends a segment, and the other one gets it. Says why that one does not expect it.
    pub(super) fn take(&mut self, s: &Segment, me: usize) -> Option<&'static str> {
        let segment = state::Segment::from(s);
        let other = 1 - me;
        let why = self.unexpected(&segment, me);
        self.ends[me].sends(&segment);
        self.ends[other].receives(&segment);
        why
    }

    fn unexpected(&self, s: &state::Segment, me: usize) -> Option<&'static str> {
        use State as S;
        let (sender, receiver) = (&self.ends[me], &self.ends[1 - me]);
        if sender.is_past_its_fin(s) {
            return Some("data after its sender's FIN");
        }
        let opens = s.syn && s.ack.is_none();
        match receiver.state() {
            S::Closed if !s.rst && !opens => Some("nothing is open at the receiver"),
            S::SynSent if !s.syn && !s.rst => Some("the receiver waits for a SYN,ACK"),
            S::SynReceived | S::SynSent | S::Listen | S::Unknown | S::Closed | S::TimeWait => None,
            _ if opens => Some("a SYN on an open connection"),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment(flags: u16, seq: u32, ack: u32, len: u32) -> Segment {
        Segment {
            ports: (1, 2),
            seq,
            ack,
            flags,
            window: 1,
            len,
            partial: false,
        }
    }

    /// Each line is sender, flags, sequence number, acknowledgment, length, and what is expected of it.
    type Line = (usize, u16, u32, u32, u32, Option<&'static str>);

    fn play(lines: &[Line]) -> (State, State) {
        let mut standing: Option<Standing> = None;
        for (n, &(me, flags, seq, ack, len, wanted)) in lines.iter().enumerate() {
            let s = segment(flags, seq, ack, len);
            let standing = standing.get_or_insert_with(|| Standing::before(&s, me));
            assert_eq!(standing.take(&s, me), wanted, "line {n}");
        }
        standing.map_or_else(Default::default, |standing| standing.states())
    }

    const SYN: u16 = flag::SYN;
    const ACK: u16 = flag::ACK;
    const OPEN: [Line; 3] = [
        (1, SYN, 9, 0, 0, None),
        (0, SYN | ACK, 99, 10, 0, None),
        (1, ACK, 10, 100, 0, None),
    ];

    #[test]
    fn states_are_those_of_client_and_server() {
        assert_eq!(play(&OPEN), (State::Established, State::Established));
        let closing = [OPEN.as_slice(), &[(0, ACK | flag::FIN, 100, 10, 0, None)]].concat();
        assert_eq!(play(&closing), (State::CloseWait, State::FinWait1));
        let answer_first = &OPEN[1..];
        assert_eq!(play(answer_first), (State::Established, State::Established));
    }

    #[test]
    fn what_does_not_fit_the_state_is_told() {
        let after = |line: Line| {
            let refused: Line = (0, flag::RST | ACK, 0, 10, 0, None);
            play(&[OPEN[0], refused, line]);
        };
        after((1, ACK, 10, 1, 5, Some("nothing is open at the receiver")));
        after((0, ACK, 1, 10, 5, Some("nothing is open at the receiver")));
        play(
            &[
                OPEN.as_slice(),
                &[(1, SYN, 10, 0, 0, Some("a SYN on an open connection"))],
            ]
            .concat(),
        );
        let past_fin: [Line; 2] = [
            (1, ACK | flag::FIN, 10, 100, 0, None),
            (1, ACK, 11, 100, 4, Some("data after its sender's FIN")),
        ];
        play(&[OPEN.as_slice(), &past_fin].concat());
        play(&[
            OPEN[0],
            (0, ACK, 1, 10, 5, Some("the receiver waits for a SYN,ACK")),
        ]);
    }
}
