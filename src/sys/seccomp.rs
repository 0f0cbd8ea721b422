//! The filter that stops a traced program at the calls that matter and nowhere else (seccomp(2)).

use std::io;

use nix::errno::Errno;

use super::ptrace::ARCHITECTURE;
use crate::bpf::{Instruction, op};

/// `struct seccomp_data`: where the number, the architecture and the first argument's lower half stand.
const NUMBER: u32 = 0;
const ARCH: u32 = 4;
const FIRST: u32 = if cfg!(target_endian = "big") { 20 } else { 16 };

/// The filter as the kernel takes it.
pub struct Filter(Vec<libc::sock_filter>);

impl Filter {
    /// Stops at the calls `always`, and at those of `files` whose first argument is 3 or more: what a program reads and
    /// writes through its standard input and output never stops it.
    pub fn new(always: &[u32], files: &[u32]) -> Self {
        let convert = |i: Instruction| libc::sock_filter {
            code: i.code,
            jt: i.jt,
            jf: i.jf,
            k: i.k,
        };
        let instructions = instructions(always, files);
        Self(instructions.into_iter().map(convert).collect())
    }

    /// From now on it holds for this thread, for the programs that it runs and for all that they start.
    /// In a child after a fork: allocates nothing.
    ///
    /// # Errors
    /// `EACCES` when neither privileged nor under `no_new_privs`.
    pub fn install(&self) -> io::Result<()> {
        let program = libc::sock_fprog {
            len: self.0.len() as libc::c_ushort,
            filter: self.0.as_ptr().cast_mut(),
        };
        // SAFETY: the kernel copies the instructions, which live until the call returns, and writes nothing.
        let done = unsafe {
            libc::prctl(
                libc::PR_SET_SECCOMP,
                libc::SECCOMP_MODE_FILTER as libc::c_ulong,
                &raw const program,
            )
        };
        Errno::result(done)?;
        Ok(())
    }
}

/// Each test stands alone with its own return, so no jump is longer than three instructions, whatever their number.
fn instructions(always: &[u32], files: &[u32]) -> Vec<Instruction> {
    let stop = Instruction::new(op::RET_K, libc::SECCOMP_RET_TRACE);
    let pass = Instruction::new(op::RET_K, libc::SECCOMP_RET_ALLOW);
    let mut all = vec![
        Instruction::new(op::LD_ABS, ARCH),
        Instruction::branch(op::JEQ_K, ARCHITECTURE, 1, 0),
        pass,
        Instruction::new(op::LD_ABS, NUMBER),
    ];
    for &number in always {
        all.extend([Instruction::branch(op::JEQ_K, number, 0, 1), stop]);
    }
    for &number in files {
        all.extend([
            Instruction::branch(op::JEQ_K, number, 0, 4),
            Instruction::new(op::LD_ABS, FIRST),
            Instruction::branch(op::JGE_K, 3, 0, 1),
            stop,
            pass,
        ]);
    }
    all.push(pass);
    all
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::bpf::{Input, Program};

    #[test]
    fn it_stops_at_the_calls_that_matter() {
        let program = Program::new(instructions(&[41, 42], &[0, 3])).unwrap();
        let run = |architecture: u32, number: u32, first: u64| {
            // The interpreter loads big-endian words; the kernel loads the words of its own order.
            let mut data = [0; 64];
            data[NUMBER as usize..][..4].copy_from_slice(&number.to_be_bytes());
            data[ARCH as usize..][..4].copy_from_slice(&architecture.to_be_bytes());
            data[FIRST as usize..][..4].copy_from_slice(&(first as u32).to_be_bytes());
            let bytes = &data[..];
            program.run(&Input {
                bytes,
                ..Input::default()
            })
        };
        let stops = |number, first| match run(ARCHITECTURE, number, first) {
            libc::SECCOMP_RET_TRACE => true,
            libc::SECCOMP_RET_ALLOW => false,
            other => panic!("{other:#x}"),
        };
        assert!(stops(41, 0) && stops(42, 7));
        assert!(stops(0, 3) && stops(3, 1000) && stops(0, u64::MAX));
        assert!(!stops(0, 0) && !stops(3, 2));
        assert!(!stops(1, 3) && !stops(43, 3) && !stops(41 | 0x4000_0000, 3));
        assert_eq!(run(0x4000_0003, 41, 3), libc::SECCOMP_RET_ALLOW);
    }
}
