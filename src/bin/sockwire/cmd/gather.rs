//! Reads a whole capture file, packet by packet, for commands that answer only when they have seen all of it.

use std::{path::Path, sync::Arc};

use sockwire::{
    decode::{Decoded, Decoder},
    file::Reader,
    frame::{Batch, Interface, Source as _, SourceError, Step},
    sys::signal::Stop,
    time::Time,
    track::{
        Tracker,
        answers::{Evidence, Want},
    },
};

use super::{
    Exit, Failure, Outcome,
    pipeline::{exit_of, now},
    read,
};

/// A capture file whose packets were all looked at, up to a fault in it.
pub(super) struct Gathered {
    pub(super) evidence: Evidence,
    pub(super) fault: Option<SourceError>,
    /// Ctrl-C ended it before the end of the file.
    pub(super) stopped: bool,
}

impl Gathered {
    /// What is to be known of all of the file's answers.
    pub(super) fn remarks(&self) -> Vec<String> {
        let left_out = self.evidence.left_out();
        let mut remarks = Vec::new();
        if self.stopped {
            remarks.push("note: stopped before the end of the file".to_owned());
        }
        if left_out > 0 {
            remarks.push(format!(
                "note: {left_out} packets found no room and are left out; ask about one connection: tcp:N"
            ));
        }
        remarks
    }

    /// The exit code: that of a fault in the file comes before `exit`.
    pub(super) fn outcome(self, exit: Exit) -> Outcome {
        match self.fault {
            Some(fault) => Err(Failure::new(exit_of(fault.kind), fault)),
            None => Ok(exit),
        }
    }
}

/// Opens a capture file; `-` is standard input.
pub(super) fn open(path: &Path) -> Result<Reader, Failure> {
    read::open(path, None, false)
}

/// Gathers what `want` says of every packet.
pub(super) fn gather(reader: &mut Reader, want: Want) -> Result<Gathered, Failure> {
    let stop = Stop::install()?;
    let (decoder, mut decoded) = (Decoder::default(), Decoded::default());
    let mut tracker = Tracker::default();
    let mut evidence = Evidence::new(want);
    let end = batches(reader, &stop, |batch, _| {
        decoder.batch(batch, &mut decoded);
        for index in 0..batch.len() {
            tracker.packet(&decoder, batch, &mut decoded, index);
            if let Some(packet) = decoded.packet(batch, index) {
                evidence.packet(&packet);
            }
        }
        Ok(())
    })?;
    evidence.finish();
    Ok(Gathered {
        evidence,
        stopped: matches!(end, End::Stopped),
        fault: match end {
            End::Fault(fault) => Some(fault),
            _ => None,
        },
    })
}

/// How a file ended.
pub(super) enum End {
    Whole,
    Stopped,
    Fault(SourceError),
}

/// Hands every batch of the file to `take`, with the interfaces known by then.
pub(super) fn batches(
    reader: &mut Reader,
    stop: &Stop,
    mut take: impl FnMut(&Batch, &[Arc<Interface>]) -> Result<(), Failure>,
) -> Result<End, Failure> {
    loop {
        if stop.asked() {
            return Ok(End::Stopped);
        }
        match reader.next(soon()) {
            Ok(Step::Batch(batch)) => {
                take(&batch, reader.interfaces())?;
                reader.recycle(batch);
            }
            Ok(Step::End(_)) => return Ok(End::Whole),
            Ok(Step::Quiet(_) | Step::Link(_)) => {}
            Err(fault) => return Ok(End::Fault(fault)),
        }
    }
}

/// A pipe may be silent: Ctrl-C is looked for again by then.
fn soon() -> Time {
    const LOOK: i64 = 200_000_000;
    now().plus(LOOK)
}
