//! What is known of a frame besides its bytes: its number, time, lengths, interface and comments.
//!
//! Not a header, and never dissected: views show it before the first layer.

use std::ops::ControlFlow;

use crate::{
    field::{Field, Kind, Value, Visit},
    frame::{Direction, Frame, Interface},
    layer::View,
    line::Line,
    protocol::{Claim, Context, Dissected, Next, Protocol},
};

/// The frame itself.
pub static PROTOCOL: Protocol = Protocol {
    name: "frame",
    label: "FRAME",
    title: "Frame",
    spec: "",
    claims: &[Claim::Name("frame")],
    fields: FIELDS,
    dissect,
    walk: None,
    line,
    addresses: None,
    craft: None,
};

crate::fields! {
    NUMBER = Field::derived("frame.number", "Number", Kind::Uint, "Counted from 1 in the order of the source.");
    TIME_EPOCH = Field::derived("frame.time_epoch", "Time", Kind::Time, "Seconds since 1970-01-01 00:00:00 UTC, as the kernel or the file says.");
    LEN = Field::derived("frame.len", "Length on the wire", Kind::Uint, "Bytes of the frame on the wire.");
    CAP_LEN = Field::derived("frame.cap_len", "Captured length", Kind::Uint, "Bytes that were kept; less than frame.len when the snapshot length cut the frame.");
    INTERFACE_NAME = Field::derived("frame.interface_name", "Interface", Kind::Text, "The interface that the frame crossed.");
    INTERFACE_DESCRIPTION = Field::derived("frame.interface_description", "Interface description", Kind::Text, "What the capture file says of the interface.");
    DIRECTION = Field::derived("frame.packet_flags_direction", "Direction", Kind::Uint, "Which way the frame crossed the interface.")
        .names(&[(1, "Inbound"), (2, "Outbound")]);
    COMMENT = Field::derived("frame.comment", "Comment", Kind::Text, "What the capture file notes of this frame.").many();
}

fn dissect(_: &[u8], context: &Context<'_>) -> Dissected {
    Dissected::new(0, Next::End, context)
}

fn line(_: &View<'_>, _: &mut Line) {}

/// What a source says around one frame.
#[derive(Clone, Copy, Debug, Default)]
pub struct Around<'a> {
    /// The interface that it crossed, where the source describes one.
    pub interface: Option<&'a Interface>,
    /// Its comments.
    pub comments: &'a [crate::frame::Comment],
}

impl<'a> Around<'a> {
    /// What `interfaces` and `batch` say around the frame at `index`.
    pub fn of(
        interfaces: &'a [std::sync::Arc<Interface>],
        batch: &'a crate::frame::Batch,
        index: usize,
    ) -> Self {
        let number = batch.records.get(index).map(|record| record.interface);
        let first = batch
            .comments
            .partition_point(|c| (c.record as usize) < index);
        let end = batch
            .comments
            .partition_point(|c| (c.record as usize) <= index);
        Self {
            interface: number
                .and_then(|number| interfaces.get(number as usize))
                .map(AsRef::as_ref),
            comments: batch.comments.get(first..end).unwrap_or_default(),
        }
    }
}

/// Visits what is known of `frame`, in table order.
pub fn visit(frame: &Frame<'_>, around: &Around<'_>, visit: &mut dyn Visit) -> ControlFlow<()> {
    let mut known = |field, value| visit.field(field, value, 0..0);
    known(&NUMBER, Value::Uint(frame.number))?;
    known(&TIME_EPOCH, Value::Time(frame.time))?;
    known(&LEN, Value::Uint(frame.wire_len.into()))?;
    known(&CAP_LEN, Value::Uint(frame.bytes.len() as u64))?;
    if let Some(name) = around.interface.and_then(|i| i.name.as_deref()) {
        known(&INTERFACE_NAME, Value::Text(name.as_bytes()))?;
    }
    if let Some(text) = around.interface.and_then(|i| i.description.as_deref()) {
        known(&INTERFACE_DESCRIPTION, Value::Text(text.as_bytes()))?;
    }
    match frame.direction {
        Direction::Unknown => {}
        Direction::In => known(&DIRECTION, Value::Uint(1))?,
        Direction::Out => known(&DIRECTION, Value::Uint(2))?,
    }
    for comment in around.comments {
        known(&COMMENT, Value::Text(comment.text.as_bytes()))?;
    }
    ControlFlow::Continue(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{frame::KernelChecksum, link::LinkType, time::Time};

    /// Names of what was shown, and numbers.
    struct Seen(Vec<(&'static str, Option<u64>)>);

    impl Visit for Seen {
        fn field(
            &mut self,
            field: &'static Field,
            value: Value<'_>,
            _: std::ops::Range<u32>,
        ) -> ControlFlow<()> {
            self.0.push((field.name, value.as_u64()));
            ControlFlow::Continue(())
        }
    }

    #[test]
    fn shows_what_the_source_knows_and_nothing_else() {
        let mut frame = Frame {
            number: 7,
            time: Time::from_nanos(1),
            link: LinkType::ETHERNET,
            interface: 0,
            direction: Direction::Unknown,
            checksum: KernelChecksum::Unknown,
            wire_len: 60,
            bytes: &[0; 14],
        };
        let shown = |frame: &Frame<'_>| {
            let mut seen = Seen(Vec::new());
            let _ = visit(frame, &Around::default(), &mut seen);
            seen.0
        };
        let plain = [
            ("frame.number", Some(7)),
            ("frame.time_epoch", None),
            ("frame.len", Some(60)),
            ("frame.cap_len", Some(14)),
        ];
        assert_eq!(shown(&frame), plain);
        frame.direction = Direction::Out;
        let last = ("frame.packet_flags_direction", Some(2));
        assert_eq!(shown(&frame).last(), Some(&last));
    }
}
