//! The capture files of a lab: what its wires saw, and what each side saw.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use sockwire::{
    file::{WriteError, Writer},
    frame::{Direction, Frame, Interface},
    lab::{Event, Host, Transit},
    link::LinkType,
    time::Time,
};

use super::{Exit, Failure, lab::Keeping, output};

/// The capture files of a run; all of them optional.
pub(super) struct Recording {
    interfaces: Vec<Arc<Interface>>,
    wire: Option<(Writer, String)>,
    /// The views of both hosts, and the frames that one has sent and the other not yet received.
    ends: Option<[Writer; 2]>,
    underway: HashMap<u64, Transit>,
}

impl Recording {
    /// Creates the files that the command line asks for; each of the `wires` is an interface in them.
    pub(super) fn open(keeping: &Keeping, ends: bool, wires: &[&str]) -> Result<Self, Failure> {
        let open = |path: &Path| output::capture_file(path, keeping.force).map_err(Failure::from);
        let wire = match &keeping.write {
            Some(path) => Some((open(path)?, path.display().to_string())),
            None => None,
        };
        let ends = match &keeping.write {
            Some(path) if ends => {
                let [client, server] = Host::BOTH.map(|host| open(&of_host(path, host)));
                Some([client?, server?])
            }
            _ => None,
        };
        let interfaces = wires.iter().map(|name| {
            Arc::new(Interface {
                name: Some((*name).to_owned()),
                description: None,
                link: LinkType::ETHERNET,
                snaplen: 0,
                filter: None,
            })
        });
        Ok(Self {
            interfaces: interfaces.collect(),
            wire,
            ends,
            underway: HashMap::new(),
        })
    }

    /// Keeps an event of the only wire.
    pub(super) fn event(&mut self, event: &Event) -> Result<(), Failure> {
        match event {
            Event::Sent(transit) => self.sent(transit, 0),
            &Event::Delivered {
                number, time, to, ..
            } => self.delivered(number, time, to),
            Event::Up(_) | Event::Called { .. } | Event::Quiet(_) => Ok(()),
        }
    }

    /// A frame was sent, on this one of the wires.
    pub(super) fn sent(&mut self, transit: &Transit, wire: u32) -> Result<(), Failure> {
        if let Some((writer, _)) = &mut self.wire {
            // One record a transit.
            let comment = transit
                .dropped
                .as_ref()
                .map(|rule| format!("the wire dropped this packet: {rule}"));
            let frame = Frame {
                interface: wire,
                ..frame(transit, transit.time, Direction::Unknown)
            };
            let written = writer.write(&frame, &self.interfaces, comment.as_deref());
            written.map_err(write_failed)?;
        }
        if let Some([client, server]) = &mut self.ends {
            let writer = match transit.from {
                Host::Client => client,
                Host::Server => server,
            };
            let frame = frame(transit, transit.time, Direction::Out);
            let written = writer.write(&frame, &self.interfaces, None);
            written.map_err(write_failed)?;
            if transit.dropped.is_none() {
                self.underway.insert(transit.number, transit.clone());
            }
        }
        Ok(())
    }

    /// A frame has come to a host.
    fn delivered(&mut self, number: u64, time: Time, to: Host) -> Result<(), Failure> {
        let (Some([client, server]), Some(transit)) = (&mut self.ends, self.underway.get(&number))
        else {
            return Ok(());
        };
        let writer = match to {
            Host::Client => client,
            Host::Server => server,
        };
        let frame = frame(transit, time, Direction::In);
        let written = writer.write(&frame, &self.interfaces, None);
        written.map_err(write_failed)?;
        if !transit.twice {
            self.underway.remove(&number);
        }
        Ok(())
    }

    /// Ends the files; the name of the wire's.
    pub(super) fn finish(&mut self) -> Result<Option<String>, Failure> {
        for writer in self.ends.take().into_iter().flatten() {
            writer.finish(&[]).map_err(write_failed)?;
        }
        let Some((writer, name)) = self.wire.take() else {
            return Ok(None);
        };
        writer.finish(&[]).map_err(write_failed)?;
        Ok(Some(name))
    }
}

fn frame(transit: &Transit, time: Time, direction: Direction) -> Frame<'_> {
    Frame {
        number: transit.number,
        time,
        link: LinkType::ETHERNET,
        interface: 0,
        direction,
        checksum: transit.checksum,
        wire_len: transit.bytes.len() as u32,
        bytes: &transit.bytes,
    }
}

/// `my.pcapng` → `my.client.pcapng`.
fn of_host(path: &Path, host: Host) -> PathBuf {
    let extension = path
        .extension()
        .map_or_else(Default::default, |e| e.to_string_lossy().into_owned());
    let extension = if extension.is_empty() {
        "pcapng".to_owned()
    } else {
        extension
    };
    path.with_extension(format!("{host}.{extension}"))
}

fn write_failed(error: WriteError) -> Failure {
    Failure::new(Exit::WriteFailed, error)
}
