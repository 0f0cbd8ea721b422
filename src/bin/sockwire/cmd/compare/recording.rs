//! The capture file of a comparison: every frame of the three exchanges once, each kind as an interface of its own.

use std::{path::Path, sync::Arc};

use sockwire::{
    compare::Kind,
    file::{self, Create, Format, WriteError, Writer},
    frame::{Direction, Frame, Interface},
    lab::Event,
    link::LinkType,
};

use crate::cmd::{Exit, Failure, output};

/// The file, if one was asked for.
pub(super) struct Recording {
    interfaces: Vec<Arc<Interface>>,
    file: Option<(Writer, String)>,
    number: u64,
}

impl Recording {
    pub(super) fn open(path: Option<&Path>, force: bool) -> Result<Self, Failure> {
        let interfaces = Kind::ALL.map(|kind| {
            Arc::new(Interface {
                name: Some(kind.name().to_owned()),
                description: None,
                link: LinkType::ETHERNET,
                snaplen: 0,
                filter: None,
            })
        });
        let file = match path {
            Some(path) => {
                let how = Create {
                    format: Format::from_name(path),
                    force,
                    owner: output::caller(),
                };
                Some((file::create(path, how)?, path.display().to_string()))
            }
            None => None,
        };
        Ok(Self {
            interfaces: interfaces.to_vec(),
            file,
            number: 0,
        })
    }

    pub(super) fn event(&mut self, kind: Kind, event: &Event) -> Result<(), Failure> {
        let (Event::Sent(transit), Some((writer, _))) = (event, &mut self.file) else {
            return Ok(());
        };
        self.number += 1;
        let frame = Frame {
            number: self.number,
            time: transit.time,
            link: LinkType::ETHERNET,
            interface: kind as u32,
            direction: Direction::Unknown,
            checksum: transit.checksum,
            wire_len: transit.bytes.len() as u32,
            bytes: &transit.bytes,
        };
        let comment = transit
            .dropped
            .as_ref()
            .map(|rule| format!("the wire dropped this packet: {rule}"));
        writer
            .write(&frame, &self.interfaces, comment.as_deref())
            .map_err(write_failed)
    }

    /// Ends the file; its name.
    pub(super) fn finish(self) -> Result<Option<String>, Failure> {
        let Some((writer, name)) = self.file else {
            return Ok(None);
        };
        writer.finish(&[]).map_err(write_failed)?;
        Ok(Some(name))
    }
}

fn write_failed(error: WriteError) -> Failure {
    Failure::new(Exit::WriteFailed, error)
}
