//! The one-line form: number, time, interface, both ends, the protocol that speaks and what it says.
//!
//! ```text
//!    12  0.000143  127.0.0.1:41000 → 127.0.0.1:5000  TCP  SYN seq=0 win=65495
//! ```

use std::fmt::Write as _;

use jiff::{Timestamp, tz::TimeZone};

use crate::{
    frame::{Direction, Interface},
    layer::{Packet, ProblemKind, View},
    line::{EndNames, Line, LineOptions, push_number},
    link::LinkType,
    proto,
    render::style::{Palette, push},
    text::Safe,
    time::Time,
};

/// How times are written: tcpdump's `-t` letters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TimeForm {
    /// No time (`-t`).
    None,
    /// Seconds since 1970 (`-tt`).
    Epoch,
    /// Since the packet shown before (`-ttt`).
    Delta,
    /// Date and time of day (`-tttt`).
    Date,
    /// Since the first packet of the source (`-ttttt`).
    #[default]
    Relative,
}

/// What the lines look like.
#[derive(Clone, Debug)]
pub struct Options {
    /// How times are written.
    pub time: TimeForm,
    /// Nine decimals, not six.
    pub nano: bool,
    /// The zone of [`TimeForm::Date`].
    pub zone: TimeZone,
    /// The link header stands in front (`-e`).
    pub link_header: bool,
    /// ASCII characters only.
    pub ascii: bool,
    /// Colour or none.
    pub palette: Palette,
    /// What the layers are asked for.
    pub line: LineOptions,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            time: TimeForm::default(),
            nano: false,
            zone: TimeZone::UTC,
            link_header: false,
            ascii: false,
            palette: Palette::default(),
            line: LineOptions::default(),
        }
    }
}

/// Writes lines, and remembers the times that later lines count from.
#[derive(Debug)]
pub struct Lines {
    options: Options,
    line: Line,
    first: Option<Time>,
    previous: Option<Time>,
}

impl Lines {
    /// Lines of this form.
    pub fn new(options: Options) -> Self {
        Self {
            line: Line::new(options.line),
            options,
            first: None,
            previous: None,
        }
    }

    /// Names hosts and services from now on.
    pub fn set_names(&mut self, names: Box<dyn EndNames>) {
        self.line.names = Some(names);
    }

    /// Sets what relative times count from, if nothing has yet: the first packet of the source, shown or not.
    pub fn begin(&mut self, time: Time) {
        self.first.get_or_insert(time);
    }

    /// Appends the line of `packet`. `interface` is named where several are captured.
    pub fn packet(&mut self, packet: &Packet<'_>, interface: Option<&Interface>, out: &mut String) {
        push_right(out, 5, packet.frame.number);
        self.time(packet.frame.time, out);
        if let Some(interface) = interface {
            push_interface(packet, interface, out);
        }
        if self.options.link_header {
            self.link_header(packet, out);
        }
        let speaker = self.ask(packet);
        self.ends(out);
        out.push_str("  ");
        match speaker {
            Some(view) if self.options.line.quick => {
                out.push_str(view.layer.protocol.name);
                out.push(' ');
                push_number(out, view.payload_wire().into());
            }
            Some(view) => {
                let protocol = view.layer.protocol;
                push(
                    out,
                    self.options.palette.protocol(protocol.name),
                    protocol.label,
                );
                if !self.line.info.is_empty() {
                    out.push_str("  ");
                    out.push_str(&self.line.info);
                }
            }
            None => {
                out.push_str("len=");
                push_number(out, packet.frame.wire_len.into());
            }
        }
        self.problems(packet, out);
        out.push('\n');
    }

    /// Asks the layers of the packet itself, innermost first, until both ends and the words are known. Plain data speaks
    /// only where it is all there is. Returns who spoke, or would have.
    fn ask<'a>(&mut self, packet: &Packet<'a>) -> Option<View<'a>> {
        self.line.clear();
        let mut speaker = None;
        for view in packet.views().rev() {
            let layer = view.layer;
            if layer.quoted || (is_data(&view) && view.index > 0) {
                continue;
            }
            let silent = self.line.info.is_empty();
            (layer.protocol.line)(&view, &mut self.line);
            if speaker.is_none() || (silent && !self.line.info.is_empty()) {
                speaker = Some(view);
            }
            if self.line.seal() {
                break;
            }
        }
        speaker
    }

    fn ends(&self, out: &mut String) {
        if self.line.source.is_empty() && self.line.destination.is_empty() {
            return;
        }
        out.push_str("  ");
        out.push_str(&self.line.source);
        if self.line.destination.is_empty() {
            return;
        }
        out.push_str(if self.options.ascii { " > " } else { " → " });
        out.push_str(&self.line.destination);
    }

    /// The link header and the tags behind it, each with what it says itself.
    fn link_header(&mut self, packet: &Packet<'_>, out: &mut String) {
        // The innermost header speaks in the line proper.
        let inner = packet.views().rev().find(|view| !is_data(view));
        let link = packet
            .views()
            .take_while(|view| view.layer.protocol.addresses.is_none())
            .take_while(|view| inner.is_some_and(|inner| view.index < inner.index));
        for view in link {
            self.line.clear();
            (view.layer.protocol.line)(&view, &mut self.line);
            self.ends(out);
            out.push_str("  ");
            out.push_str(view.layer.protocol.label);
            if !self.line.info.is_empty() {
                out.push(' ');
                out.push_str(&self.line.info);
            }
        }
    }

    fn problems(&self, packet: &Packet<'_>, out: &mut String) {
        for layer in packet.layers.iter().filter(|layer| !layer.quoted) {
            let Some(problem) = layer.problem else {
                continue;
            };
            let palette = self.options.palette;
            let (style, word) = match problem.kind {
                ProblemKind::Malformed => (palette.problem(), "malformed: "),
                ProblemKind::Odd => (palette.problem(), ""),
                ProblemKind::Cut => (palette.remark(), ""),
            };
            let _ = write!(
                out,
                "  {style}[{} {word}{}]{style:#}",
                layer.protocol.label, problem.text
            );
        }
    }

    fn time(&mut self, time: Time, out: &mut String) {
        let first = *self.first.get_or_insert(time);
        let previous = self.previous.replace(time).unwrap_or(time);
        let nano = self.options.nano;
        match self.options.time {
            TimeForm::None => {}
            TimeForm::Epoch => push_seconds(out, time.nanos(), nano),
            TimeForm::Delta => push_seconds(out, time.since(previous), nano),
            TimeForm::Relative => push_seconds(out, time.since(first), nano),
            TimeForm::Date => self.date(time, out),
        }
    }

    fn date(&self, time: Time, out: &mut String) {
        // Every i64 of nanoseconds is a time that the calendar reaches.
        let Ok(stamp) = Timestamp::from_nanosecond(time.nanos().into()) else {
            return;
        };
        let at = self.options.zone.to_datetime(stamp);
        let _ = write!(
            out,
            "  {:04}-{:02}-{:02} {:02}:{:02}:{:02}.",
            at.year(),
            at.month(),
            at.day(),
            at.hour(),
            at.minute(),
            at.second()
        );
        push_fraction(
            out,
            at.subsec_nanosecond().unsigned_abs(),
            self.options.nano,
        );
    }
}

fn is_data(view: &View<'_>) -> bool {
    std::ptr::eq(view.layer.protocol, &proto::data::PROTOCOL)
}

/// The name and the way, as tcpdump sets them for `-i any`.
fn push_interface(packet: &Packet<'_>, interface: &Interface, out: &mut String) {
    let from = out.len();
    match &interface.name {
        Some(name) => {
            let _ = write!(out, "  {}", Safe(name.as_bytes()));
        }
        None => out.push_str("  ?"),
    }
    pad(out, from, 7);
    out.push_str(match packet.frame.direction {
        Direction::Unknown => "",
        Direction::In => " In ",
        Direction::Out => " Out",
    });
}

/// True where lines should name the interface: several are captured, or the cooked form of `-i any`.
pub fn names_interface(interfaces: usize, link: LinkType) -> bool {
    interfaces > 1 || link == LinkType::LINUX_SLL2
}

/// Appends spaces until `width` bytes have been written since `from`.
fn pad(out: &mut String, from: usize, width: usize) {
    while out.len() < from + width {
        out.push(' ');
    }
}

/// Appends a number, with spaces before it up to `width`.
fn push_right(out: &mut String, width: u32, value: u64) {
    let digits = value.checked_ilog10().unwrap_or(0) + 1;
    for _ in digits..width {
        out.push(' ');
    }
    push_number(out, value);
}

/// Appends a span in seconds: `  0.000143`; a minus where time ran backwards.
fn push_seconds(out: &mut String, nanos: i64, nano: bool) {
    out.push_str(if nanos < 0 { " -" } else { "  " });
    let size = nanos.unsigned_abs();
    push_number(out, size / 1_000_000_000);
    out.push('.');
    push_fraction(out, (size % 1_000_000_000) as u32, nano);
}

/// Appends the decimals of a second: six, or nine. `nanos` is below one second.
fn push_fraction(out: &mut String, nanos: u32, nano: bool) {
    let (mut value, digits) = if nano { (nanos, 9) } else { (nanos / 1000, 6) };
    let mut text = [b'0'; 9];
    for digit in text[..digits].iter_mut().rev() {
        *digit = b'0' + (value % 10) as u8;
        value /= 10;
    }
    // Digits are ASCII, so this never takes the default.
    out.push_str(std::str::from_utf8(&text[..digits]).unwrap_or_default());
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::sync::Arc;

    use super::*;
    use crate::track::testing::{UDP, batch};

    /// The lines of `frames` in this form.
    fn lines(options: Options, link: LinkType, frames: &[&str], cut: usize) -> String {
        let (batch, decoded) = batch(link, frames, cut);
        let mut lines = Lines::new(options);
        let mut out = String::new();
        for index in 0..batch.len() {
            lines.packet(&decoded.packet(&batch, index).unwrap(), None, &mut out);
        }
        out
    }

    fn udp(options: Options) -> String {
        lines(options, LinkType::ETHERNET, &[UDP, UDP], usize::MAX)
    }

    #[test]
    fn a_line_has_number_time_ends_label_and_words() {
        assert_eq!(
            udp(Options::default()),
            "    1  0.000000  10.0.0.1:5353 → 10.0.0.2:53  UDP  len=5\n    \
                 2  0.001500  10.0.0.1:5353 → 10.0.0.2:53  UDP  len=5\n"
        );
    }

    #[test]
    fn short_ascii_and_link_forms() {
        let mut options = Options {
            ascii: true,
            link_header: true,
            ..Options::default()
        };
        options.line.quick = true;
        let text = udp(options);
        let link =
            "    1  0.000000  02:00:00:00:00:01 > 02:00:00:00:00:02  ETH IPv4 (0x0800) len=33";
        assert!(text.starts_with(link), "{text}");
        let line = text.lines().next().unwrap();
        assert!(
            line.ends_with("  10.0.0.1:5353 > 10.0.0.2:53  udp 5"),
            "{line}"
        );
    }

    #[test]
    fn times_follow_tcpdumps_letters() {
        let form = |time, nano| {
            let text = udp(Options {
                time,
                nano,
                ..Options::default()
            });
            let second = text.lines().nth(1).unwrap();
            second[5..second.find("  10.0").unwrap()].trim().to_owned()
        };
        assert_eq!(form(TimeForm::None, false), "");
        assert_eq!(form(TimeForm::Epoch, false), "1700000000.001500");
        assert_eq!(form(TimeForm::Epoch, true), "1700000000.001500123");
        assert_eq!(form(TimeForm::Delta, false), "0.001500");
        assert_eq!(form(TimeForm::Relative, true), "0.001500000");
        assert_eq!(form(TimeForm::Date, false), "2023-11-14 22:13:20.001500");
    }

    #[test]
    fn time_may_run_backwards() {
        let mut out = String::new();
        for nanos in [-1_500_000, i64::MIN, i64::MAX, 0] {
            push_seconds(&mut out, nanos, false);
        }
        assert_eq!(
            out,
            " -0.001500 -9223372036.854775  9223372036.854775  0.000000"
        );
        let mut lines = Lines::new(Options {
            time: TimeForm::Delta,
            ..Options::default()
        });
        let mut out = String::new();
        for nanos in [5_000_000_000, 3_000_000_000] {
            lines.time(Time::from_nanos(nanos), &mut out);
        }
        assert_eq!(out, "  0.000000 -2.000000");
    }

    #[test]
    fn every_time_has_a_date() {
        for nanos in [i64::MIN, -1, 0, i64::MAX] {
            let mut out = String::new();
            Lines::new(Options::default()).date(Time::from_nanos(nanos), &mut out);
            assert_eq!(out.len(), "  2023-11-14 22:13:20.001500".len(), "{out}");
        }
    }

    #[test]
    fn problems_are_told_in_words_and_red_on_a_terminal() {
        let cut = lines(Options::default(), LinkType::ETHERNET, &[UDP], 38);
        assert!(cut.contains("10.0.0.1:5353 → "), "{cut}");
        assert!(cut.contains("[UDP cut short in the capture]"), "{cut}");
        // The UDP header says 4 bytes, less than itself.
        let wrong = UDP.replace("000d 0000", "0004 0000");
        let colour = Options {
            palette: Palette { on: true },
            ..Options::default()
        };
        let plain = lines(
            Options::default(),
            LinkType::ETHERNET,
            &[&wrong],
            usize::MAX,
        );
        assert!(plain.contains("  [UDP malformed: length"), "{plain}");
        assert!(!plain.contains('\x1b'));
        let red = lines(colour, LinkType::ETHERNET, &[&wrong], usize::MAX);
        assert!(red.contains("\x1b[31m[UDP malformed"), "{red:?}");
    }

    #[test]
    fn what_nobody_claims_is_data() {
        let text = lines(Options::default(), LinkType(9999), &["010203"], usize::MAX);
        assert_eq!(text, "    1  0.000000  DATA  len=3\n");
    }

    #[test]
    fn interfaces_and_directions_stand_behind_the_time() {
        let (mut batch, _) = batch(LinkType::ETHERNET, &[UDP], usize::MAX);
        batch.records[0].direction = Direction::Out;
        let mut decoded = crate::decode::Decoded::default();
        crate::decode::Decoder::default().batch(&batch, &mut decoded);
        let interface = Arc::new(Interface {
            name: Some("lo\x1b[2J".to_owned()),
            description: None,
            link: LinkType::ETHERNET,
            snaplen: 0,
            filter: None,
        });
        let mut out = String::new();
        let packet = decoded.packet(&batch, 0).unwrap();
        Lines::new(Options::default()).packet(&packet, Some(&interface), &mut out);
        assert!(
            out.starts_with("    1  0.000000  lo\\x1b[2J Out  10.0.0.1:5353 → "),
            "{out}"
        );
    }
}
