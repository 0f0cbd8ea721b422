//! Segments that leave: what may go, what must go again, and when (RFC 9293 §3.8, RFC 6298).

use super::{Act, Close, Connection, Ending, FLIGHT, RTO_MOST, template::Outline};
use crate::{
    craft::Built,
    time::{MILLISECOND, SECOND, Time},
    track::state::{State, before},
};

impl Connection {
    /// When [`Connection::wakes`] is to be called, if nothing arrives before; `None` while it listens.
    pub fn due(&self) -> Option<Time> {
        let times = [self.retransmit, self.closes_at(), self.gives_up_at()];
        times.into_iter().flatten().min()
    }

    /// It is `now`: time-outs that are over do what they must.
    pub fn wakes(&mut self, now: Time) {
        if self.ending.is_some() {
            return;
        }
        if self.gives_up_at().is_some_and(|at| at <= now) {
            let seconds = self.settings.patience as f64 / SECOND as f64;
            self.note(format!(
                "nothing came for {seconds} s: given up (user timeout, RFC 9293 §3.8.3)"
            ));
            self.end(State::Closed, Ending::Silent);
            return;
        }
        if self.retransmit.is_some_and(|at| at <= now) {
            self.times_out(now);
        }
        if self.closes_at().is_some_and(|at| at <= now) {
            self.silence_is_over(now);
        }
        self.send_what_may_go(now);
    }

    /// After [`super::Settings::wait`] without a word, when there is nothing left to do but close.
    fn closes_at(&self) -> Option<Time> {
        let open = matches!(self.state, State::Established | State::CloseWait);
        let idle = self.una == self.nxt && (!self.may_send || self.nxt == self.text_end());
        (open && idle && !self.closes).then(|| self.heard.plus(self.settings.wait))
    }

    /// After [`super::Settings::patience`] without a word, where the peer owes one.
    fn gives_up_at(&self) -> Option<Time> {
        let waits = match self.state {
            State::Closed | State::Listen | State::TimeWait => false,
            State::FinWait2 => true,
            _ => self.una != self.nxt || self.retransmit.is_some(),
        };
        waits.then(|| self.heard.plus(self.settings.patience))
    }

    fn silence_is_over(&mut self, now: Time) {
        if !self.may_send && !self.settings.text.is_empty() {
            self.step("the client says nothing, so the server begins".to_owned());
            self.may_send = true;
            self.heard = now;
        } else if self.settings.close == Close::None {
            self.step(format!(
                "nothing more is to be said: left as it is, in {}",
                self.state
            ));
            self.ending = Some(Ending::Left);
        } else {
            self.closes = true;
        }
    }

    /// Sends the text as far as the window and [`FLIGHT`] allow, then the close; an acknowledgment rides on it, or goes alone.
    pub(super) fn send_what_may_go(&mut self, now: Time) {
        let open = matches!(self.state, State::Established | State::CloseWait);
        if open && self.may_send && self.ending.is_none() {
            while before(self.nxt, self.text_end()) {
                let size = self.segment_size();
                let window = self.wnd.min(size.saturating_mul(FLIGHT));
                let flying = self.nxt.wrapping_sub(self.una);
                let left = self.text_end().wrapping_sub(self.nxt);
                let len = window.saturating_sub(flying).min(size).min(left);
                if len == 0 {
                    self.watch_window(now);
                    break;
                }
                self.send_text(self.nxt, len, now);
            }
        }
        let all_sent = self.nxt == self.text_end();
        if open && self.closes && all_sent && self.ending.is_none() {
            match self.settings.close {
                Close::Fin => self.send_fin(now),
                // What was sent shall arrive: a RST throws away what the peer has not read.
                Close::Rst if self.una == self.nxt => {
                    self.reset_own();
                    self.step(
                        "a RST ends the connection at once, on both sides: no TIME-WAIT, and whatever was not read is lost"
                            .to_owned(),
                    );
                    self.end(State::Closed, Ending::Aborted);
                }
                Close::Rst | Close::None => {}
            }
        }
        if std::mem::take(&mut self.owes_ack) && self.ending.is_none() {
            self.send_ack(now);
        }
    }

    /// The first SYN, or SYN,ACK, leaves: its number is used, and its round trip measured.
    pub(super) fn first_sent(&mut self, syn: Built, now: Time) {
        self.nxt = self.iss.wrapping_add(1);
        self.timing = Some((self.nxt, now));
        self.retransmit = Some(now.plus(self.rto));
        self.acts.push_back(Act::Send(syn));
    }

    /// The SYN, or SYN,ACK, once more.
    pub(super) fn send_syn_again(&mut self, now: Time) {
        let Some(remote) = self.remote else {
            return;
        };
        let (flags, ack) = match self.state {
            State::SynSent => ("S", None),
            _ => ("SA", Some(self.rcv_nxt)),
        };
        self.again += 1;
        self.timing = None;
        let ends = [self.local, remote];
        if let Ok(syn) = self.template.first(flags, ends, self.iss, ack) {
            self.acts.push_back(Act::Send(syn));
        }
        self.retransmit = Some(now.plus(self.rto));
    }

    /// An acknowledgment and nothing else.
    pub(super) fn send_ack(&mut self, now: Time) {
        self.owes_ack = false;
        self.send("A", self.nxt, 0, now);
    }

    /// A RST with the next number of this end.
    pub(super) fn reset_own(&mut self) {
        self.send_reset(self.nxt, Some(self.rcv_nxt));
    }

    pub(super) fn send_reset(&mut self, seq: u32, ack: Option<u32>) {
        let flags = if ack.is_some() { "RA" } else { "R" };
        let outline = Outline {
            flags,
            seq,
            ack,
            window: 0,
            timestamps: None,
            data: &[],
        };
        self.build(&outline);
    }

    fn send_text(&mut self, seq: u32, len: u32, now: Time) {
        let end = seq.wrapping_add(len);
        let is_last = end == self.text_end();
        self.send(if is_last { "PA" } else { "A" }, seq, len, now);
        self.owes_ack = false;
        self.sent_up_to(end, now);
        self.step(format!(
            "{len} bytes from seq={} on: their acknowledgment is {} + {len} = {}",
            self.own(seq),
            self.own(seq),
            self.own(end)
        ));
    }

    fn send_fin(&mut self, now: Time) {
        let fin = self.text_end();
        self.send("FA", fin, 0, now);
        self.owes_ack = false;
        self.sent_up_to(fin.wrapping_add(1), now);
        self.state = match self.state {
            State::CloseWait => State::LastAck,
            _ => State::FinWait1,
        };
        self.step(format!(
            "our FIN has seq={} and counts as one byte: its acknowledgment is {}. We send no more data, and still receive",
            self.own(fin),
            self.own(fin.wrapping_add(1))
        ));
    }

    /// SND.NXT goes on, and the clock runs (RFC 6298 §5.1).
    fn sent_up_to(&mut self, end: u32, now: Time) {
        if before(self.nxt, end) {
            self.nxt = end;
            if self.timing.is_none() && self.recover.is_none() {
                self.timing = Some((end, now));
            }
        }
        self.retransmit.get_or_insert(now.plus(self.rto));
    }

    /// With a window of 0 and nothing on its way, a byte goes now and then to ask whether it has opened (§3.8.6.1).
    fn watch_window(&mut self, now: Time) {
        if self.una == self.nxt {
            self.retransmit.get_or_insert(now.plus(self.rto));
        }
    }

    /// The retransmission timer has expired (RFC 6298 §5.4 to §5.6).
    fn times_out(&mut self, now: Time) {
        let waited = self.rto as f64 / SECOND as f64;
        self.rto = self.rto.saturating_mul(2).min(RTO_MOST);
        self.retransmit = Some(now.plus(self.rto));
        if self.una == self.nxt {
            self.note("the peer's window is 0: one byte asks whether it has opened".to_owned());
            self.send_text(self.nxt, 1, now);
            return;
        }
        self.note(format!(
            "no acknowledgment in {waited} s (RTO): sent again, and the next wait is twice as long (RFC 6298 §5.5)"
        ));
        // Karn: an answer would not tell which of the two it answers (RFC 6298 §3).
        self.timing = None;
        if self.una == self.iss {
            self.send_syn_again(now);
        } else {
            self.recover = Some(self.nxt);
            self.send_again(now);
        }
    }

    /// The first segment that is not acknowledged, once more; with the FIN, where that was sent behind it.
    pub(super) fn send_again(&mut self, now: Time) {
        self.again += 1;
        self.timing = None;
        let fin = self.text_end();
        let left = if before(self.una, fin) {
            fin.wrapping_sub(self.una)
        } else {
            0
        };
        let sent = self.nxt.wrapping_sub(self.una);
        // A window that has closed meanwhile still takes one byte.
        let window = self.wnd.max(1);
        let len = left.min(sent).min(self.segment_size()).min(window);
        let with_fin = self.fin_is_sent() && self.una.wrapping_add(len) == fin;
        let flags = match (with_fin, len) {
            (true, 0) => "FA",
            (true, _) => "FPA",
            (false, _) => "PA",
        };
        self.send(flags, self.una, len, now);
        self.owes_ack = false;
    }

    /// Sends a segment with `len` bytes of the text from `seq` on.
    fn send(&mut self, flags: &str, seq: u32, len: u32, now: Time) {
        let from = seq.wrapping_sub(self.text_begin()) as usize;
        let rest = self.settings.text.get(from..).unwrap_or_default();
        let data = rest.get(..len as usize).unwrap_or_default().to_vec();
        let outline = Outline {
            flags,
            seq,
            ack: Some(self.rcv_nxt),
            window: self.window,
            timestamps: self.stamp(now),
            data: &data,
        };
        self.build(&outline);
    }

    /// Timestamps count milliseconds from what the SYN said on (RFC 7323 §5.4).
    fn stamp(&self, now: Time) -> Option<(u32, u32)> {
        let (first, _) = self.own.timestamps.filter(|_| self.has_timestamps())?;
        let since = now.since(self.began).max(0) / MILLISECOND;
        Some((first.wrapping_add(since as u32), self.ts_recent))
    }

    fn build(&mut self, outline: &Outline<'_>) {
        let Some(remote) = self.remote else {
            return;
        };
        // The words were tried out with the SYN: what is added here are numbers.
        if let Ok(built) = self.template.later(outline, [self.local, remote]) {
            self.acts.push_back(Act::Send(built));
        }
    }
}
