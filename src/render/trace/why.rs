//! A packet's or a call's ties in sentences, each with its evidence.

use std::fmt::Write as _;

use super::{
    super::call::traced,
    Look, summary,
    words::{Say, plural, seconds},
};
use crate::{
    event::{self, PacketId},
    render::style::{Palette, push},
    text::{Safe, write_wrapped},
    timeline::{
        Ground, Kernel, Share, Tie,
        row::{Link, Sent},
        seen,
        why::{About, Deed, Letter, Story},
    },
    track::story::Span,
};

/// Columns of a call within a sentence.
const CALL: usize = 100;
/// Packets and calls that are told of one by one.
const FEW: usize = 12;

/// Writes a story.
pub fn write(story: &Story, look: Look, out: &mut String) {
    let teller = Teller {
        story,
        say: Say { ascii: look.ascii },
        palette: Palette { on: look.colour },
        width: look.width.max(40),
    };
    match story.about {
        About::Packet(number) => {
            if let Some(letter) = story.packets.get(&number) {
                teller.packet(letter, out);
            }
        }
        About::Call(number) => {
            if let Some(deed) = story.calls.get(&number) {
                teller.call(deed, out);
            }
        }
    }
    for found in &story.findings {
        let text = format!("{}.", summary::finding(found));
        teller.sentence(&text, out);
    }
}

struct Teller<'a> {
    story: &'a Story,
    say: Say,
    palette: Palette,
    width: usize,
}

impl Teller<'_> {
    fn heading(&self, text: &str, out: &mut String) {
        let mut lines = String::new();
        write_wrapped(&mut lines, 0, self.width, text);
        push(out, self.palette.heading(), lines.trim_end());
        out.push('\n');
    }

    fn sentence(&self, text: &str, out: &mut String) {
        write_wrapped(out, 2, self.width, text);
    }

    fn packet(&self, letter: &Letter, out: &mut String) {
        let (sent, tied) = (&*letter.sent, &letter.tied);
        let at = seconds(sent.sent, self.story.origin, 6);
        let heading = format!(
            "packet {} at {at}: {}",
            sent.number,
            self.named(sent, letter.link.as_deref())
        );
        self.heading(&heading, out);
        for tie in tied.causes.iter().take(FEW) {
            self.sentence(&self.cause(sent, tie), out);
        }
        if tied.causes.len() > FEW {
            let more = tied.causes.len() - FEW;
            let text = format!("and bytes of {}", plural(more as u64, "more call"));
            self.sentence(&text, out);
        }
        if let Some(kernel) = tied.kernel {
            self.sentence(&self.kernel(kernel), out);
        }
        if tied.causes.is_empty() && tied.kernel.is_none() {
            self.sentence(
                match tied.sender {
                    Some(_) => "No call is known that caused it.",
                    None => "Its sender is not traced: which call caused it is not known.",
                },
                out,
            );
        }
        if tied.again {
            let first = self.same_bytes(letter).find(|&other| other < sent.number);
            let of = first.map_or_else(String::new, |first| {
                format!(" The first was packet {first}.")
            });
            self.sentence(
                &format!("It was sent before: this is a repetition.{of}"),
                out,
            );
        }
        let later: Vec<PacketId> = self
            .same_bytes(letter)
            .filter(|&other| other > sent.number && self.is_again(other))
            .collect();
        if let Some(first) = later.first() {
            let text = match later.len() {
                1 => format!("It was sent again by packet {first}."),
                n => format!(
                    "It, or a part of it, was sent again {n} times, first by packet {first}."
                ),
            };
            self.sentence(&text, out);
        }
        if let Some(why) = &sent.lost {
            let why = self.say.plain(Safe(why.as_bytes()).to_string());
            self.sentence(&format!("The wire lost it: {why}."), out);
        } else if let Some(arrived) = sent.arrived {
            let after = Span(arrived.since(sent.sent));
            self.sentence(&format!("It arrived after {after}."), out);
        }
        for tie in tied.takers.iter().take(FEW) {
            self.sentence(&self.taker(sent, tie), out);
        }
        if tied.takers.is_empty() && sent.data_len() > 0 && sent.lost.is_none() {
            self.sentence(
                match tied.receiver {
                    Some(_) => "No call has returned its data.",
                    None => "Its receiver is not traced: who got it is not known.",
                },
                out,
            );
        }
    }

    /// Other packets of the calls that caused this one, with bytes of this one.
    fn same_bytes<'a>(&'a self, letter: &'a Letter) -> impl Iterator<Item = PacketId> + 'a {
        letter.tied.causes.iter().flat_map(move |tie| {
            let deed = self.story.calls.get(&tie.call);
            let caused = deed.into_iter().flat_map(|deed| &deed.effects.caused);
            caused
                .filter(|(packet, share, _)| {
                    *packet != letter.sent.number && overlaps(share, &tie.share)
                })
                .map(|(packet, _, _)| *packet)
        })
    }

    fn is_again(&self, packet: PacketId) -> bool {
        let letter = self.story.packets.get(&packet);
        letter.is_some_and(|letter| letter.tied.again)
    }

    fn cause(&self, sent: &Sent, tie: &Tie) -> String {
        let call = self.call_name(tie.call);
        let number = sent.number;
        let what = match &tie.share {
            Share::Syn if !is_syn(sent) => {
                format!("Packet {number} is the third step of the handshake of {call}")
            }
            Share::Syn => format!("Packet {number} is the SYN of {call}"),
            Share::Bytes(range) => format!(
                "Packet {number} carries {} of the stream from {}: they are bytes of {call}",
                bytes(range),
                source(sent)
            ),
            Share::Fin => format!("Its FIN is that of {call}"),
            Share::Reset => format!("Its RST is that of {call}"),
            Share::Datagram => format!("Packet {number} is the datagram of {call}"),
        };
        format!("{what}, {} ({}).", because(tie.ground), tie.ground.word())
    }

    fn taker(&self, sent: &Sent, tie: &Tie) -> String {
        let call = self.call_name(tie.call);
        let what = match &tie.share {
            Share::Syn => format!("{call} returned the connection"),
            Share::Bytes(range) => format!("{call} returned {}", bytes(range)),
            Share::Fin => format!("{call} returned the end of the stream"),
            Share::Reset => format!("{call} failed because of it"),
            Share::Datagram => format!("{call} returned it"),
        };
        let arrived = sent.arrived.unwrap_or(sent.sent);
        let deed = self.story.calls.get(&tie.call);
        let answer = deed.and_then(|deed| deed.call.answer.as_ref());
        let waited = answer.map_or_else(String::new, |(at, _)| {
            format!(", {} after it arrived", Span(at.since(arrived)))
        });
        let mut text = format!("{what}{waited} ({}).", tie.ground.word());
        if let Some(first) = text.get_mut(..1) {
            first.make_ascii_uppercase();
        }
        text
    }

    fn kernel(&self, kernel: Kernel) -> String {
        let text = match kernel {
            Kernel::SynAck => "for the socket that listens: the second step of the handshake",
            Kernel::Ack(Some(call)) => {
                let acked = self.call_name(call);
                return format!("The kernel sent it without a call: it acknowledges {acked}.");
            }
            Kernel::Ack(None) => "to acknowledge what it has received",
            Kernel::WindowUpdate => "to say that there is room again",
            Kernel::DuplicateAck => {
                "to say again what it waits for: a segment came twice, or one before it is missing"
            }
            Kernel::KeepAlive => "to ask whether the other side is still there",
            Kernel::WindowProbe => "to ask whether the other side has room again",
            Kernel::NoSocket => "because no socket waits for what it had received",
            Kernel::Reset => "to reset the connection",
            Kernel::Error => "as an error: what it quotes could not be delivered",
        };
        format!("The kernel sent it without a call, {text}.")
    }

    fn call(&self, deed: &Deed, out: &mut String) {
        let (call, effects) = (&deed.call, &deed.effects);
        let at = seconds(call.entered, self.story.origin, 6);
        let number = call.enter.call;
        let asked = self.say.plain(traced::asked(&call.enter, CALL));
        let answered = match &call.answer {
            Some((_, back)) => {
                let answered = self.say.plain(traced::answered(&call.enter, back, CALL));
                let answered = format!(" {answered}");
                let inside = Span(call.took().unwrap_or(0));
                format!("{}, {inside} inside", answered.trim_end())
            }
            None => ", which has not returned".to_owned(),
        };
        let who = self.say.who(&call.who);
        self.heading(
            &format!("call {number} at {at}: {asked}{answered}, by {who}"),
            out,
        );
        if let Some(remark) = self.say.remark(call) {
            let remark = remark.trim_matches(['(', ')']);
            self.sentence(&format!("Note: {remark}."), out);
        }
        if effects.caused.is_empty() && effects.took.is_empty() {
            let unix =
                deed.link.as_ref().map(|link| link.transport) == Some(event::Transport::Unix);
            let text = match unix {
                true => "A Unix socket: there are no packets.",
                false => "No packet is tied to it.",
            };
            self.sentence(text, out);
        }
        for (packet, share, ground) in effects.caused.iter().take(FEW) {
            self.sentence(&self.caused(deed, *packet, share, *ground), out);
        }
        self.more(effects.caused.len(), "caused", out);
        if let Some(packet) = self.story.acknowledged {
            let letter = self.story.packets.get(&packet);
            let after = letter.map_or_else(String::new, |letter| {
                format!(
                    ", {} after the call",
                    Span(letter.sent.sent.since(call.entered))
                )
            });
            self.sentence(&format!("Packet {packet} acknowledges it{after}."), out);
        }
        for (packet, share, ground) in effects.took.iter().take(FEW) {
            let text = self.took(deed, *packet, share, *ground);
            self.sentence(&text, out);
        }
        self.more(effects.took.len(), "returned data of", out);
    }

    fn more(&self, count: usize, did: &str, out: &mut String) {
        if count > FEW {
            let more = plural((count - FEW) as u64, "more packet");
            self.sentence(&format!("It {did} {more}."), out);
        }
    }

    /// A packet that a call caused: what became of it.
    fn caused(&self, deed: &Deed, packet: PacketId, share: &Share, ground: Ground) -> String {
        let letter = self.story.packets.get(&packet);
        let what = match share {
            Share::Syn if letter.is_some_and(|letter| !is_syn(&letter.sent)) => {
                "the third step of the handshake".to_owned()
            }
            share => share_words(share),
        };
        let mut text = format!("It caused packet {packet}: {what}");
        let Some(letter) = letter else {
            let _ = write!(text, " ({}).", ground.word());
            return text;
        };
        let after = letter.sent.sent.since(deed.call.entered);
        let _ = write!(text, ", {} after the call", Span(after));
        let _ = write!(text, " ({})", ground.word());
        if letter.tied.again {
            text.push_str(", sent again");
        }
        if letter.sent.lost.is_some() {
            text.push_str(", lost on the wire");
        }
        let takers: Vec<String> = letter
            .tied
            .takers
            .iter()
            .filter(|tie| overlaps(&tie.share, share))
            .take(FEW)
            .map(|tie| self.call_name(tie.call))
            .collect();
        match takers.is_empty() {
            true => text.push('.'),
            false => {
                let _ = write!(text, ". It was got by {}.", takers.join(", "));
            }
        }
        text
    }

    /// A packet whose data, or news, a call returned.
    fn took(&self, deed: &Deed, packet: PacketId, share: &Share, ground: Ground) -> String {
        let mut text = match share {
            Share::Syn if deed.call.enter.deed == event::Deed::Accept => {
                format!("It returned the connection that packet {packet} asked for")
            }
            Share::Syn => format!("It returned because of packet {packet}, the answer to its SYN"),
            Share::Fin => format!("It returned the end of the stream, which packet {packet} tells"),
            Share::Reset => format!("It failed because of packet {packet}"),
            Share::Bytes(range) => format!("It returned {} of packet {packet}", bytes(range)),
            Share::Datagram => format!("It returned the datagram of packet {packet}"),
        };
        let letter = self.story.packets.get(&packet);
        if let Some((letter, (at, _))) = letter.zip(deed.call.answer.as_ref()) {
            let arrived = letter.sent.arrived.unwrap_or(letter.sent.sent);
            let of = self.sender(letter);
            let _ = write!(text, "{of}, {} after that arrived", Span(at.since(arrived)));
        }
        let _ = write!(text, " ({}).", ground.word());
        text
    }

    /// Whose packet it is, for a call that returned it.
    fn sender(&self, letter: &Letter) -> String {
        match letter.tied.causes.first() {
            Some(tie) => format!(", caused by {}", self.call_name(tie.call)),
            None => String::new(),
        }
    }

    /// `call 12, send(3, "hello", 5) by python3[71]`.
    fn call_name(&self, number: u64) -> String {
        let Some(deed) = self.story.calls.get(&number) else {
            return format!("call {number}");
        };
        let asked = self.say.plain(traced::asked(&deed.call.enter, CALL));
        format!("call {number}, {asked} by {}", self.say.who(&deed.call.who))
    }

    /// What a packet is, and between whom.
    fn named(&self, sent: &Sent, link: Option<&Link>) -> String {
        let to = self.say.glyphs().to;
        let words = self.say.packet(sent, 40);
        let between = sent.seen.as_ref().map(|seen| {
            let label = link.map_or_else(String::new, |link| self.say.label(link) + " ");
            format!(", {label}{} {to} {}", seen.source, seen.destination)
        });
        words + &between.unwrap_or_default()
    }
}

fn is_syn(sent: &Sent) -> bool {
    let what = sent.seen.as_ref().map(|seen| &seen.what);
    matches!(what, Some(seen::What::Segment(tcp)) if tcp.syn)
}

/// Two shares of the same stream have something in common.
fn overlaps(a: &Share, b: &Share) -> bool {
    match (a, b) {
        (Share::Bytes(a), Share::Bytes(b)) => a.start < b.end && b.start < a.end,
        (a, b) => a == b,
    }
}

/// `bytes 0–4`, as people count them: both are in it.
fn bytes(range: &std::ops::Range<u64>) -> String {
    match range.end.saturating_sub(range.start) {
        0 => "no byte".to_owned(),
        1 => format!("byte {}", range.start),
        _ => format!("bytes {}-{}", range.start, range.end - 1),
    }
}

fn share_words(share: &Share) -> String {
    match share {
        Share::Syn => "the SYN".to_owned(),
        Share::Bytes(range) => bytes(range),
        Share::Fin => "the FIN".to_owned(),
        Share::Reset => "the RST".to_owned(),
        Share::Datagram => "the datagram".to_owned(),
    }
}

fn source(sent: &Sent) -> String {
    let seen = sent.seen.as_ref();
    seen.map_or_else(String::new, |seen: &seen::Seen| seen.source.to_string())
}

/// Why a tie is drawn, in words.
const fn because(ground: Ground) -> &'static str {
    match ground {
        Ground::Sequence => {
            "because the calls' bytes and the segment's sequence number count from the same beginning"
        }
        Ground::Content => {
            "because its bytes are those of this call, and not of the others that were sending"
        }
        Ground::Connect => "because it goes to the address that was to be connected",
        Ground::Shutdown => "because that was the first to end the writing side",
        Ground::LastClose => "because that was the last to let go of the socket",
        Ground::Order => "because datagrams leave and arrive in the order of calls",
        Ground::Time => "because it was sent while the call lasted, and nothing else tells",
    }
}
