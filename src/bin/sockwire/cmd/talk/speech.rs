//! What a program says itself, on standard output. When that cannot be written, the program is asked to end.

use std::{
    io,
    sync::{Arc, atomic::Ordering},
};

use sockwire::{
    sockets::Told,
    sys::{process::Shared, signal},
};

use super::{super::output, Outcome, Words};

/// The words of one program, by whichever process or thread they are written.
pub(super) struct Speech {
    words: Words,
    fault: Arc<Fault>,
}

/// Why standard output cannot be written, where all processes of the program know it: an error number, or 0.
pub(super) struct Fault {
    number: Shared,
    program: u32,
}

impl Speech {
    /// Of a program that is about to run in this process.
    pub(super) fn new(words: Words) -> io::Result<Self> {
        let fault = Arc::new(Fault {
            number: Shared::new()?,
            program: std::process::id(),
        });
        Ok(Self { words, fault })
    }

    pub(super) fn fault(&self) -> Arc<Fault> {
        Arc::clone(&self.fault)
    }

    /// Says what there is to say of `told`.
    pub(super) fn say(&mut self, told: &Told) {
        let bytes = (self.words)(told);
        let Fault { number, program } = &*self.fault;
        if number[0].load(Ordering::Relaxed) > 0 {
            return;
        }
        if let Err(error) = output::print_bytes(&bytes) {
            let error = error.raw_os_error().unwrap_or(libc::EIO);
            number[0].store(error.unsigned_abs().into(), Ordering::Relaxed);
            signal::ask(*program);
        }
    }
}

impl Fault {
    /// How the program has ended, if not by this.
    pub(super) fn or(&self, outcome: Outcome) -> Outcome {
        match self.number[0].load(Ordering::Relaxed) {
            0 => outcome,
            number => {
                let number = i32::try_from(number).unwrap_or(libc::EIO);
                Err(io::Error::from_raw_os_error(number).into())
            }
        }
    }
}
