//! What a segment that arrived does to a connection: RFC 9293 §3.10.7, state by state and in its order.

use super::{Arrived, Connection, Ending, RTO_AFTER_LOST_SYN};
use crate::{
    proto::tcp::{Segment, flag},
    time::Time,
    track::{
        state::{State, before},
        tcp::Estimate,
    },
};

/// Segments kept that came before their turn; more of them are passed over, and sent again by the peer.
const PIECES: usize = 64;

impl Connection {
    /// A segment for this end has arrived.
    pub fn arrives(&mut self, arrived: &Arrived<'_>, now: Time) {
        if self.ending.is_some() {
            return;
        }
        if arrived.is_damaged {
            self.note("a segment with a wrong checksum is passed over (RFC 9293 §3.1)".to_owned());
            return;
        }
        self.heard = self.heard.max(now);
        match self.state {
            State::Listen => self.in_listen(arrived, now),
            State::SynSent => self.in_syn_sent(arrived, now),
            _ => self.in_other_states(arrived, now),
        }
        self.send_what_may_go(now);
    }

    /// §3.10.7.2.
    fn in_listen(&mut self, arrived: &Arrived<'_>, now: Time) {
        let s = &arrived.segment;
        if s.has(flag::RST) {
            return;
        }
        if s.has(flag::ACK) {
            self.note(
                "a segment with ACK came to LISTEN: there is nothing to acknowledge".to_owned(),
            );
            self.remote = Some(arrived.from);
            self.refuse(s);
            self.remote = None;
            return;
        }
        if !s.has(flag::SYN) {
            return;
        }
        self.remote = Some(arrived.from);
        self.takes_syn(arrived);
        let ends = [self.local, arrived.from];
        // Tried out when it began to listen.
        let Ok(syn) = self
            .template
            .first("SA", ends, self.iss, Some(self.rcv_nxt))
        else {
            return;
        };
        self.opens(&syn, State::SynReceived);
        self.window_from(s);
        let (zero, one) = (self.own(self.iss), self.own(self.iss.wrapping_add(1)));
        self.first_sent(syn, now);
        self.step(format!(
            "the client's ISN is {}; its SYN counts as one byte, so we acknowledge {}. Our own ISN is {}, seq={zero}: \
             we wait for ack={one}",
            self.irs,
            self.peers(self.rcv_nxt),
            self.iss
        ));
    }

    /// §3.10.7.3.
    fn in_syn_sent(&mut self, arrived: &Arrived<'_>, now: Time) {
        let s = &arrived.segment;
        let (acks, resets) = (s.has(flag::ACK), s.has(flag::RST));
        if acks && s.ack != self.nxt {
            // Only the SYN is sent, so only one number is acceptable.
            self.note(format!(
                "ack={} acknowledges what was never sent: a leftover of another connection{}",
                self.own(s.ack),
                if resets { "" } else { ", answered with a RST" }
            ));
            if !resets {
                self.refuse(s);
            }
            return;
        }
        if resets {
            if acks {
                self.step(format!(
                    "a RST whose ack={} covers our SYN: the port is closed (CLOSED)",
                    self.own(s.ack)
                ));
                self.end(State::Closed, Ending::Refused);
            }
            return;
        }
        if !s.has(flag::SYN) {
            return;
        }
        self.takes_syn(arrived);
        self.window_from(s);
        if !acks {
            self.step(
                "a SYN without ACK: both sides opened at the same time (RFC 9293 §3.5, figure 7)"
                    .to_owned(),
            );
            self.state = State::SynReceived;
            self.send_syn_again(now);
            return;
        }
        self.acknowledged_up_to(s.ack, now);
        self.step(format!(
            "ack={} is our ISN + 1: our SYN has arrived. The peer's ISN is {}; its SYN counts as one byte too, so we \
             acknowledge {}",
            self.own(s.ack),
            self.irs,
            self.peers(self.rcv_nxt)
        ));
        self.send_ack(now);
        self.is_open(now);
    }

    /// §3.10.7.4.
    fn in_other_states(&mut self, arrived: &Arrived<'_>, now: Time) {
        let s = &arrived.segment;
        let is_syn_again = s.has(flag::SYN) && !s.has(flag::ACK) && s.seq == self.irs;
        if self.state == State::SynReceived && is_syn_again {
            self.note(
                "the same SYN again: our SYN,ACK was lost, and goes out once more".to_owned(),
            );
            self.send_syn_again(now);
            return;
        }
        if !self.is_acceptable(s) {
            // First: numbers that were received already, or lie beyond the window.
            if !s.has(flag::RST) {
                self.note(format!(
                    "seq={} is not in the window at {}: answered with an ACK that says where we are",
                    self.peers(s.seq),
                    self.peers(self.rcv_nxt)
                ));
                self.send_ack(now);
            }
            return;
        }
        if s.has(flag::RST) {
            self.takes_reset(s, now);
            return;
        }
        if s.has(flag::SYN) {
            // A SYN inside the window asks for an answer that only the true peer can give (RFC 5961 §4).
            self.note("a SYN in an open connection: answered with a challenge ACK".to_owned());
            self.send_ack(now);
            return;
        }
        if !s.has(flag::ACK) || !self.takes_ack(s, now) || self.ending.is_some() {
            return;
        }
        if let Some((stamp, _)) = arrived.offers.timestamps
            && !before(self.rcv_nxt, s.seq)
        {
            self.ts_recent = stamp;
        }
        if s.has(flag::URG) {
            self.note("urgent data is read as any other".to_owned());
        }
        if !arrived.data.is_empty() || s.has(flag::FIN) {
            self.takes_data(s, arrived.data, now);
        }
    }

    /// The peer's SYN, of either opening.
    fn takes_syn(&mut self, arrived: &Arrived<'_>) {
        self.irs = arrived.segment.seq;
        self.rcv_nxt = self.irs.wrapping_add(1);
        self.peer = arrived.offers;
        if let Some((stamp, _)) = arrived.offers.timestamps {
            self.ts_recent = stamp;
        }
    }

    /// The four cases of the acceptability test (§3.4).
    fn is_acceptable(&self, s: &Segment) -> bool {
        let window = self.receive_window();
        let inside = |seq: u32| seq.wrapping_sub(self.rcv_nxt) < window;
        match (length(s), window) {
            (0, 0) => s.seq == self.rcv_nxt,
            (0, _) => inside(s.seq),
            (_, 0) => false,
            (len, _) => inside(s.seq) || inside(s.seq.wrapping_add(len - 1)),
        }
    }

    /// Second: a RST counts only with the very next number (RFC 5961 §3).
    fn takes_reset(&mut self, s: &Segment, now: Time) {
        if s.seq != self.rcv_nxt {
            self.note(
                "a RST in the window, but not with the next number: answered with a challenge ACK"
                    .to_owned(),
            );
            self.send_ack(now);
        } else if self.state == State::SynReceived && self.passive {
            self.note("the client gave up: back to LISTEN (RFC 9293 §3.10.7.4)".to_owned());
            self.state = State::Listen;
            self.remote = None;
            self.retransmit = None;
            self.pieces.clear();
        } else if self.state == State::SynReceived {
            self.end(State::Closed, Ending::Refused);
        } else {
            self.step(format!(
                "a RST with the number that we expect next, seq={}: the connection is gone (CLOSED)",
                self.peers(s.seq)
            ));
            self.end(State::Closed, Ending::Reset);
        }
    }

    /// Fifth: the ACK field. False where the segment is done with.
    fn takes_ack(&mut self, s: &Segment, now: Time) -> bool {
        if before(self.nxt, s.ack) {
            if self.state == State::SynReceived {
                self.refuse(s);
            } else {
                self.note(format!(
                    "ack={} acknowledges what was never sent: answered with an ACK",
                    self.own(s.ack)
                ));
                self.send_ack(now);
            }
            return false;
        }
        if self.state == State::SynReceived {
            if !before(self.una, s.ack) {
                self.refuse(s);
                return false;
            }
            self.acknowledged_up_to(s.ack, now);
            self.window_from(s);
            self.step(format!(
                "ack={} is our ISN + 1: our SYN has arrived, and both sides know it",
                self.own(s.ack)
            ));
            self.is_open(now);
            return true;
        }
        if before(self.una, s.ack) {
            self.acknowledged_up_to(s.ack, now);
            self.step(match self.una == self.nxt {
                true => format!("ack={} covers everything that we sent", self.own(s.ack)),
                false => format!(
                    "ack={}: {} bytes are still on their way",
                    self.own(s.ack),
                    self.nxt.wrapping_sub(self.una)
                ),
            });
        }
        let is_newer = before(self.wl1, s.seq) || self.wl1 == s.seq && !before(s.ack, self.wl2);
        if is_newer && !before(s.ack, self.una) {
            self.window_from(s);
        }
        if self.fin_is_acknowledged() {
            self.fin_has_arrived();
        }
        true
    }

    /// Our FIN is acknowledged.
    fn fin_has_arrived(&mut self) {
        match self.state {
            State::FinWait1 => self.state = State::FinWait2,
            State::Closing => self.end(State::TimeWait, Ending::Closed),
            State::LastAck => self.end(State::Closed, Ending::Closed),
            _ => {}
        }
    }

    /// Seventh and eighth: data and FIN.
    fn takes_data(&mut self, s: &Segment, data: &[u8], now: Time) {
        if self.peer_fin.is_some_and(|fin| !before(self.rcv_nxt, fin)) {
            // Nothing comes behind a FIN.
            self.send_ack(now);
            return;
        }
        // What lies beyond the window is cut off, and a FIN behind it with it.
        let room = self
            .rcv_nxt
            .wrapping_add(self.receive_window())
            .wrapping_sub(s.seq);
        let kept = &data[..data.len().min(room as usize)];
        if s.has(flag::FIN) && kept.len() == data.len() {
            self.peer_fin = Some(s.seq.wrapping_add(data.len() as u32));
        }
        if before(self.rcv_nxt, s.seq) {
            self.note(format!(
                "seq={} leaves a gap behind {}: kept, and the ACK asks for {} again",
                self.peers(s.seq),
                self.peers(self.rcv_nxt),
                self.peers(self.rcv_nxt)
            ));
            if self.pieces.len() < PIECES && !kept.is_empty() {
                self.pieces.push((s.seq, kept.to_vec()));
            }
            self.send_ack(now);
            return;
        }
        let first = self.rcv_nxt;
        self.deliver(s.seq, kept);
        while let Some(at) = self
            .pieces
            .iter()
            .position(|(seq, _)| !before(self.rcv_nxt, *seq))
        {
            let (seq, piece) = self.pieces.swap_remove(at);
            self.deliver(seq, &piece);
        }
        let bytes = self.rcv_nxt.wrapping_sub(first);
        if bytes > 0 {
            self.step(format!(
                "seq={} is the number we expected (RCV.NXT): we acknowledge {} + {bytes} = {}",
                self.peers(first),
                self.peers(first),
                self.peers(self.rcv_nxt)
            ));
            self.may_send = true;
        }
        self.owes_ack = true;
        if self.peer_fin == Some(self.rcv_nxt) {
            self.takes_fin(now);
        }
    }

    fn deliver(&mut self, seq: u32, data: &[u8]) {
        let known = self.rcv_nxt.wrapping_sub(seq) as usize;
        if let Some(new) = data.get(known..).filter(|new| !new.is_empty()) {
            self.rcv_nxt = self.rcv_nxt.wrapping_add(new.len() as u32);
            self.received = self.received.saturating_add(new.len() as u64);
            self.acts.push_back(super::Act::Data(new.to_vec()));
        }
    }

    /// Everything up to the peer's FIN is here, and so is the FIN.
    fn takes_fin(&mut self, now: Time) {
        let fin = self.peers(self.rcv_nxt);
        self.rcv_nxt = self.rcv_nxt.wrapping_add(1);
        self.step(format!(
            "the peer's FIN has seq={fin} and counts as one byte, so we acknowledge {}: the peer sends no more data",
            self.peers(self.rcv_nxt)
        ));
        self.send_ack(now);
        self.may_send = true;
        match self.state {
            State::Established | State::SynReceived => {
                self.state = State::CloseWait;
                self.closes = self.settings.close != super::Close::None;
            }
            State::FinWait1 => self.state = State::Closing,
            State::FinWait2 => self.end(State::TimeWait, Ending::Closed),
            _ => {}
        }
    }

    /// ESTABLISHED.
    fn is_open(&mut self, now: Time) {
        self.state = State::Established;
        self.may_send = !self.passive;
        if self.again > 0 {
            self.rto = self.rto.max(RTO_AFTER_LOST_SYN);
        }
        self.heard = now;
        let shifts = self.shifts();
        let scaled = match shifts {
            (0, 0) => String::new(),
            (own, peer) => format!(", windows times 2^{own} (ours) and 2^{peer} (the peer's)"),
        };
        self.step(format!(
            "ESTABLISHED: we send at most {} bytes in a segment{scaled}{}",
            self.segment_size(),
            if self.has_timestamps() {
                ", timestamps"
            } else {
                ""
            }
        ));
    }

    /// SND.UNA goes on: what it covers is never sent again, and the clock runs for the rest (RFC 6298 §5.2, §5.3).
    fn acknowledged_up_to(&mut self, ack: u32, now: Time) {
        self.una = ack;
        if let Some((end, sent)) = self.timing
            && !before(ack, end)
        {
            let estimate = Estimate::after(self.estimate, now.since(sent).max(0));
            self.estimate = Some(estimate);
            self.timing = None;
            self.rto = estimate.rto.min(super::RTO_MOST);
        }
        self.retransmit = (self.una != self.nxt).then(|| now.plus(self.rto));
        match self.recover {
            Some(recover) if before(self.una, recover) => self.send_again(now),
            _ => self.recover = None,
        }
    }

    /// SND.WND, SND.WL1 and SND.WL2. The window of a SYN is never scaled (RFC 7323 §2.2).
    fn window_from(&mut self, s: &Segment) {
        let shift = if s.has(flag::SYN) { 0 } else { self.shifts().1 };
        self.wnd = u32::from(s.window) << shift;
        (self.wl1, self.wl2) = (s.seq, s.ack);
    }

    /// A RST for a segment that belongs to no connection (§3.10.7.1).
    fn refuse(&mut self, s: &Segment) {
        match s.has(flag::ACK) {
            true => self.send_reset(s.ack, None),
            false => self.send_reset(0, Some(s.seq.wrapping_add(length(s)))),
        }
    }
}

/// SEG.LEN: SYN and FIN count.
fn length(s: &Segment) -> u32 {
    s.len + u32::from(s.has(flag::SYN)) + u32::from(s.has(flag::FIN))
}
