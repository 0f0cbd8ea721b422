//! The capture filter as a capture knows it: a program for the kernel, and what user space still asks of each frame.

use std::{error::Error, fmt, io};

use super::{CaptureError, Options};
use crate::{
    bpf::{Instruction, Program, ProgramError, ancillary, op},
    frame::{Direction, Frame},
    link::LinkType,
};

/// Which copies the kernel hands over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ways {
    /// Received and sent.
    #[default]
    Both,
    /// Only received.
    In,
    /// Only sent.
    Out,
}

/// Which frames are wanted. Those that are not are never seen: no counter tells of them.
pub trait Filter: fmt::Debug + Send + Sync {
    /// As it was given; recordings keep it.
    fn expression(&self) -> &str;

    /// The program that the kernel runs for a socket.
    ///
    /// # Errors
    /// When there is no such program: user space filters then, or the capture does not begin.
    fn program(&self, on: &On) -> Result<Program, Fault>;

    /// What is asked of each frame that the socket delivers, where something is: the filter itself when the kernel does
    /// not run the program (`attached` is false).
    ///
    /// # Errors
    /// When the filter has no meaning for the link type.
    fn sieve(&self, on: &On, attached: bool) -> Result<Option<Sieve>, Fault>;
}

/// Tells the frames that are wanted from those that are not.
pub type Sieve = Box<dyn FnMut(&Frame<'_>) -> bool + Send>;

/// Why there is no program, or what the filter cannot mean.
pub type Fault = Box<dyn Error + Send + Sync>;

/// What a filter is made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct On {
    /// What the frames begin with that the socket delivers.
    pub link: LinkType,
    /// The kernel sees packets without their link header, which is built afterwards (`any`).
    pub cooked: bool,
    /// The interface's IPv4 netmask, its first one, in host byte order; `None` for several interfaces.
    pub netmask: Option<u32>,
    /// Bytes to keep of a wanted frame: what the program returns.
    pub snaplen: u32,
}

/// The program that lets pass what goes these `ways`, and of that what `wanted` takes.
pub(super) fn one_way(ways: Ways, wanted: &Program) -> Result<Program, ProgramError> {
    let (sent, received) = match ways {
        Ways::Both => return Ok(wanted.clone()),
        Ways::In => (0, 1),
        Ways::Out => (1, 0),
    };
    let mut all = vec![
        Instruction::new(op::LDB_ABS, ancillary::PACKET_TYPE),
        Instruction::branch(op::JEQ_K, libc::PACKET_OUTGOING.into(), sent, received),
        Instruction::new(op::RET_K, 0),
    ];
    all.extend(wanted.instructions());
    Program::new(all)
}

/// The direction of a frame as `PACKET_HOST` and its like, which a program may ask for.
pub fn packet_type(direction: Direction) -> Option<u8> {
    match direction {
        Direction::Unknown => None,
        Direction::In => Some(libc::PACKET_HOST),
        Direction::Out => Some(libc::PACKET_OUTGOING),
    }
}

/// Gives the kernel the filter of `options` for one socket, and answers with what is left to ask here. Where the kernel
/// takes no such program, or there is none, everything gets past it, and a note says so.
pub(super) fn attach(
    mut on: On,
    options: &Options,
    name: &str,
    notes: &mut Vec<String>,
    to: impl Fn(&Program) -> io::Result<()>,
) -> Result<Option<Sieve>, CaptureError> {
    let meaning = |(link, source)| CaptureError::Filter {
        name: name.to_owned(),
        link,
        source,
    };
    let filter = options.filter.as_deref();
    let sieve = |on: &On, attached| match filter {
        Some(filter) => filter
            .sieve(on, attached)
            .map_err(|e| meaning((on.link, e))),
        None => Ok(None),
    };
    let mut refused = None;
    if let Some(filter) = filter {
        let asked = sieve(&on, true)?;
        if asked.is_some() {
            // It must see what the kernel would: it is cut afterwards.
            on.snaplen = super::SNAPLEN;
        }
        match filter
            .program(&on)
            .and_then(|program| Ok(one_way(options.ways, &program)?))
        {
            Ok(program) => match to(&program) {
                Ok(()) => return Ok(asked),
                Err(error) => refused = Some(error.into()),
            },
            Err(error) => refused = Some(error),
        }
    }
    let sieve = sieve(&on, false)?;
    if let Some(refused) = refused {
        on.snaplen = super::SNAPLEN;
        notes.push(format!(
            "the kernel does not filter {name}, so every packet is looked at here: {refused}"
        ));
    }
    let everything = Program::new(vec![Instruction::new(op::RET_K, on.snaplen)]);
    everything
        .and_then(|all| one_way(options.ways, &all))
        .map_err(io::Error::other)
        .and_then(|program| to(&program))
        .map_err(CaptureError::net_raw(format!(
            "attach the snapshot length to {name}"
        )))?;
    Ok(sieve)
}
