//! The packets of a capture file for commands that look at single ones, and what such commands share on their command lines.

use std::{ffi::OsStr, path::Path};

use anyhow::anyhow;
use sockwire::{
    file::Reader,
    frame::{Batch, Source as _, SourceError, Step},
    link::LinkType,
    sys::signal::Stop,
    text::near,
    time::Time,
};

use super::{Exit, Failure, Global, pipeline, privilege, read};

/// Gives `take` every batch of a capture file until it wants no more. Returns what was wrong with the file, if anything:
/// what was good before is worth showing.
pub(super) fn each(
    file: &OsStr,
    global: &Global,
    mut take: impl FnMut(&Reader, &mut Batch) -> Result<bool, Failure>,
) -> Result<Option<Failure>, Failure> {
    let mut reader = read::open(Path::new(file), None, false)?;
    privilege::give_up(global)?;
    let stop = Stop::install()?;
    while !stop.asked() {
        match reader.next(Time::MAX) {
            Ok(Step::Batch(mut batch)) => {
                if !take(&reader, &mut batch)? {
                    break;
                }
                reader.recycle(batch);
            }
            Ok(Step::End(_)) => break,
            Ok(Step::Quiet(_) | Step::Link(_)) => {}
            Err(fault) => return Ok(Some(damaged(fault))),
        }
    }
    Ok(None)
}

fn damaged(fault: SourceError) -> Failure {
    Failure::new(pipeline::exit_of(fault.kind), fault)
}

/// The file ended before the packet that was asked for.
pub(super) fn no_packet(number: u64, packets: u64) -> Failure {
    let there_are = match packets {
        0 => "the file has no packets".to_owned(),
        1 => "the file has one packet".to_owned(),
        _ => format!("the file has {packets} packets"),
    };
    Failure::new(Exit::NoSuch, anyhow!("no packet {number}: {there_are}"))
}

/// Reads the name of a link type.
pub(super) fn link(name: &str) -> Result<LinkType, String> {
    LinkType::named(name).ok_or_else(|| {
        let meant = near(&name.to_uppercase(), LinkType::names());
        match meant {
            Some(meant) => format!("did you mean {meant}?"),
            None => format!(
                "expected one of {}",
                LinkType::names().collect::<Vec<_>>().join(", ")
            ),
        }
    })
}
