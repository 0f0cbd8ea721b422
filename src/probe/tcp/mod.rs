//! TCP by hand: one end of a connection after RFC 9293, small enough to be read whole. It knows no clock and no socket.
//!
//! Segments that arrived and times go in, [`Act`]s come out: packets to send, bytes received, and what each step means.
//!
//! ```text
//!  arriving   what a segment does, in the order of RFC 9293 §3.10.7      template   how a segment is written
//!  sending    segments out, repetitions, time-outs (RFC 6298)            arrived    what is read of one
//! ```
//!
//! What it leaves out: congestion control beyond a fixed window of ten segments, urgent data, delayed
//! acknowledgments, SACK blocks of its own, and sitting TIME-WAIT out.

mod arrived;
mod arriving;
mod sending;
mod template;
#[cfg(test)]
mod tests;

use std::{collections::VecDeque, net::SocketAddr};

use crate::{
    craft::{Built, SpecError},
    proto::tcp::Offers,
    time::{SECOND, Time},
    track::{state::State, tcp::Estimate},
};

pub use arrived::Arrived;
pub use template::Template;

/// Segments in flight at most: the initial window of RFC 6928, which never grows here.
const FLIGHT: u32 = 10;
/// The retransmission time-out before a round trip was measured (RFC 6298 §2.1), in nanoseconds.
const RTO: i64 = SECOND;
/// The one to begin with after a SYN had to be repeated (RFC 6298 §5.7), in nanoseconds.
const RTO_AFTER_LOST_SYN: i64 = 3 * SECOND;
/// The longest time-out (RFC 6298 §2.5), in nanoseconds.
const RTO_MOST: i64 = 60 * SECOND;
/// The segment size of a peer that names none over IPv4 and IPv6 (RFC 9293 §3.7.1).
const MSS: [u16; 2] = [536, 1220];

/// How this end closes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Close {
    /// With a FIN, as `close()` does.
    #[default]
    Fin,
    /// With a RST.
    Rst,
    /// Not at all.
    None,
}

/// What this end is to do once it is connected.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Bytes to send: a client when it is open, a server when it has received something.
    pub text: Vec<u8>,
    /// How it closes, once the text is acknowledged and nothing came for `wait`.
    pub close: Close,
    /// Nanoseconds of silence before it closes.
    pub wait: i64,
    /// Nanoseconds without a word of the peer, while one is due, before it gives up: the user timeout.
    pub patience: i64,
    /// Sequence numbers in words are those of the wire, not counted from the first.
    pub absolute: bool,
}

/// Something to be done or told, in order.
#[derive(Clone, Debug)]
pub enum Act {
    /// This packet is to be sent, from its IP header on.
    Send(Built),
    /// The peer's next bytes.
    Data(Vec<u8>),
    /// What the segment before means, and by which rule.
    Step(String),
    /// Something out of the ordinary.
    Note(String),
}

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Both sides have closed, and both FINs are acknowledged.
    Closed,
    /// This end sent a RST, as it was told.
    Aborted,
    /// This end stopped without closing, as it was told.
    Left,
    /// A RST answered the SYN.
    Refused,
    /// The peer sent a RST.
    Reset,
    /// An ICMP error says that there is no way (RFC 9293 §3.9.2.2).
    Unreachable,
    /// The peer was silent for [`Settings::patience`].
    Silent,
}

/// One end of a connection.
#[derive(Debug)]
pub struct Connection {
    template: Template,
    settings: Settings,
    /// Where it was told to be, perhaps on any address; and where it is.
    bound: SocketAddr,
    local: SocketAddr,
    /// Nobody yet, while it listens.
    remote: Option<SocketAddr>,
    /// Opened by LISTEN.
    passive: bool,
    state: State,
    /// SND.UNA, SND.NXT, SND.WND, SND.WL1, SND.WL2 and ISS (RFC 9293 §3.3.1).
    una: u32,
    nxt: u32,
    wnd: u32,
    wl1: u32,
    wl2: u32,
    iss: u32,
    /// RCV.NXT and IRS; the window as it stands in the header.
    rcv_nxt: u32,
    irs: u32,
    window: u16,
    /// Options of both SYNs.
    own: Offers,
    peer: Offers,
    /// The peer's last timestamp (TS.Recent, RFC 7323 §4.3).
    ts_recent: u32,
    /// Data that came before its turn.
    pieces: Vec<(u32, Vec<u8>)>,
    /// The number of the peer's FIN.
    peer_fin: Option<u32>,
    /// Bytes of the peer that came in order.
    received: u64,
    /// The text may go.
    may_send: bool,
    /// This end has nothing more to say than its text.
    closes: bool,
    /// An acknowledgment is due.
    owes_ack: bool,
    began: Time,
    /// When something came last, or this end began to wait.
    heard: Time,
    /// Round trips measured, the time-out in force, and when it is over.
    estimate: Option<Estimate>,
    rto: i64,
    retransmit: Option<Time>,
    /// The segment whose round trip is being measured: the number after it, and when it left.
    timing: Option<(u32, Time)>,
    /// Numbers below this were sent before a time-out, and may all be lost.
    recover: Option<u32>,
    /// Packets sent again.
    again: u32,
    acts: VecDeque<Act>,
    ending: Option<Ending>,
}

impl Connection {
    /// Sends a SYN: the active OPEN of RFC 9293 §3.10.1. Without a number in the template's words the ISN is `isn`.
    ///
    /// # Errors
    /// When the template's words make no packet.
    pub fn connect(
        template: Template,
        settings: Settings,
        [local, remote]: [SocketAddr; 2],
        isn: u32,
        now: Time,
    ) -> Result<Self, SpecError> {
        let mut new = Self::new(template, settings, local, now);
        let syn = new.template.first("S", [local, remote], isn, None)?;
        new.remote = Some(remote);
        new.opens(&syn, State::SynSent);
        let isn = new.iss;
        new.first_sent(syn, now);
        let (zero, one) = (new.own(isn), new.own(isn.wrapping_add(1)));
        new.step(format!(
            "our ISN is {isn}, seq={zero}. A SYN counts as one byte: its answer must carry ack={one}"
        ));
        Ok(new)
    }

    /// Waits for a SYN: the passive OPEN.
    ///
    /// # Errors
    /// When the template's words make no packet.
    pub fn listen(
        template: Template,
        settings: Settings,
        local: SocketAddr,
        isn: u32,
        now: Time,
    ) -> Result<Self, SpecError> {
        template.first("SA", [local, local], isn, Some(1))?;
        let mut new = Self::new(template, settings, local, now);
        new.passive = true;
        new.iss = isn;
        new.state = State::Listen;
        Ok(new)
    }

    fn new(template: Template, settings: Settings, local: SocketAddr, now: Time) -> Self {
        Self {
            template,
            settings,
            bound: local,
            local,
            remote: None,
            passive: false,
            state: State::Closed,
            una: 0,
            nxt: 0,
            wnd: 0,
            wl1: 0,
            wl2: 0,
            iss: 0,
            rcv_nxt: 0,
            irs: 0,
            window: 0,
            own: Offers::default(),
            peer: Offers::default(),
            ts_recent: 0,
            pieces: Vec::new(),
            peer_fin: None,
            received: 0,
            may_send: false,
            closes: false,
            owes_ack: false,
            began: now,
            heard: now,
            estimate: None,
            rto: RTO,
            retransmit: None,
            timing: None,
            recover: None,
            again: 0,
            acts: VecDeque::new(),
            ending: None,
        }
    }

    /// It is `now` when the first segment leaves.
    pub fn begins(&mut self, now: Time) {
        (self.began, self.heard) = (now, now);
        if let Some((end, _)) = self.timing {
            self.timing = Some((end, now));
            self.retransmit = Some(now.plus(self.rto));
        }
    }

    /// The next thing to be done or told.
    pub fn next_act(&mut self) -> Option<Act> {
        self.acts.pop_front()
    }

    /// How it ended; `None` while it goes on.
    pub fn ending(&self) -> Option<Ending> {
        self.ending
    }

    /// Its state.
    pub fn state(&self) -> State {
        self.state
    }

    /// Its own socket.
    pub fn local(&self) -> SocketAddr {
        self.local
    }

    /// The peer; nobody while it listens.
    pub fn remote(&self) -> Option<SocketAddr> {
        self.remote
    }

    /// Initial sequence numbers: its own, and the peer's.
    pub fn isns(&self) -> [u32; 2] {
        [self.iss, self.irs]
    }

    /// A SYN of the peer has come.
    pub fn received_syn(&self) -> bool {
        self.rcv_nxt != 0 || self.irs != 0
    }

    /// Bytes of the peer that came in order.
    pub fn received(&self) -> u64 {
        self.received
    }

    /// Packets that it sent again.
    pub fn again(&self) -> u32 {
        self.again
    }

    /// Bytes of its text that the peer has acknowledged.
    pub fn acknowledged(&self) -> usize {
        let bytes = self.una.wrapping_sub(self.text_begin()) as usize;
        if self.una == self.iss {
            0
        } else {
            bytes.min(self.settings.text.len())
        }
    }

    /// Adds to what this end has to say, and sends it as far as the windows allow: the SEND of RFC 9293 §3.10.2. After
    /// [`Connection::close`] nothing is added.
    pub fn say(&mut self, text: &[u8], now: Time) {
        if !self.closes && self.ending.is_none() {
            self.settings.text.extend_from_slice(text);
            self.send_what_may_go(now);
        }
    }

    /// Closes as [`Settings::close`] says, once everything is sent: the CLOSE of RFC 9293 §3.10.4.
    pub fn close(&mut self, now: Time) {
        self.closes = true;
        self.send_what_may_go(now);
    }

    /// Ends it at once, as it stands: with a RST where the peer may know of the connection (ABORT, RFC 9293 §3.10.5).
    pub fn abort(&mut self) {
        if self.state.is_synchronized() || self.state == State::SynReceived {
            self.reset_own();
        }
        self.end(State::Closed, Ending::Aborted);
    }

    /// An ICMP error quotes one of this end's segments; only some say that there is no way for good (RFC 9293 §3.9.2.2).
    pub fn unreachable(&mut self, for_good: bool) {
        if self.ending.is_some() {
            return;
        }
        if for_good {
            self.end(State::Closed, Ending::Unreachable);
        } else {
            self.note("a soft error: TCP goes on trying (RFC 9293 §3.9.2.2)".to_owned());
        }
    }

    /// Whether a segment between these sockets is for this end.
    pub fn is_for_me(&self, from: SocketAddr, to: SocketAddr) -> bool {
        let here = self.local.port() == to.port()
            && (self.local.ip() == to.ip() || self.local.ip().is_unspecified());
        here && self.remote.is_none_or(|remote| remote == from)
    }

    /// Takes numbers, options and window from the SYN that this end sends.
    fn opens(&mut self, syn: &Built, state: State) {
        let (own, segment) = template::read(syn);
        self.own = own;
        self.iss = segment.seq;
        self.window = segment.window;
        self.una = self.iss;
        self.nxt = self.iss;
        self.state = state;
    }

    fn end(&mut self, state: State, ending: Ending) {
        self.state = state;
        self.retransmit = None;
        self.ending.get_or_insert(ending);
    }

    fn step(&mut self, text: String) {
        self.acts.push_back(Act::Step(text));
    }

    fn note(&mut self, text: String) {
        self.acts.push_back(Act::Note(text));
    }

    /// A number of this end as words give it.
    fn own(&self, seq: u32) -> u32 {
        match self.settings.absolute {
            true => seq,
            false => seq.wrapping_sub(self.iss),
        }
    }

    /// A number of the peer as words give it.
    fn peers(&self, seq: u32) -> u32 {
        match self.settings.absolute {
            true => seq,
            false => seq.wrapping_sub(self.irs),
        }
    }

    /// The number of the text's first byte.
    fn text_begin(&self) -> u32 {
        self.iss.wrapping_add(1)
    }

    /// The number of the FIN.
    fn text_end(&self) -> u32 {
        self.text_begin()
            .wrapping_add(self.settings.text.len() as u32)
    }

    fn fin_is_sent(&self) -> bool {
        self.nxt == self.text_end().wrapping_add(1)
    }

    /// Its own FIN was sent, and has arrived.
    pub fn fin_is_acknowledged(&self) -> bool {
        self.fin_is_sent() && self.una == self.nxt
    }

    /// Both SYNs offered timestamps, and so every segment has them.
    fn has_timestamps(&self) -> bool {
        self.own.timestamps.is_some() && self.peer.timestamps.is_some()
    }

    /// Both SYNs offered window scaling (RFC 7323 §2.2): this end's shift and the peer's.
    fn shifts(&self) -> (u32, u32) {
        match (self.own.window_scale, self.peer.window_scale) {
            (Some(own), Some(peer)) => (own.min(14).into(), peer.min(14).into()),
            _ => (0, 0),
        }
    }

    /// RCV.WND.
    fn receive_window(&self) -> u32 {
        u32::from(self.window) << self.shifts().0
    }

    /// Bytes of data in a segment at most: as the peer asked, and not more than this end takes itself, whose link they cross.
    fn segment_size(&self) -> u32 {
        let usual = MSS[usize::from(self.local.is_ipv6())];
        let most = self.peer.mss.unwrap_or(usual);
        let own = self.own.mss.unwrap_or(most);
        let options = if self.has_timestamps() { 12 } else { 0 };
        u32::from(most.min(own)).saturating_sub(options).max(1)
    }
}
