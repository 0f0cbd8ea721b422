//! Filters of sockets (`SO_ATTACH_FILTER`): classic BPF programs that the kernel runs on what arrives.

use std::io;

use socket2::{SockFilter, Socket};

use crate::bpf::{Instruction, Program, op};

/// Lets the kernel run `program` on everything that arrives, in place of the one before: what it returns is how many
/// bytes are kept, and 0 refuses the packet, which is then counted nowhere.
///
/// # Errors
/// `ENOMEM` when the program needs more than `net.core.optmem_max` allows.
pub fn attach(socket: &Socket, program: &Program) -> io::Result<()> {
    attach_all(socket, program.instructions())
}

/// Lets nothing arrive any more.
///
/// # Errors
/// `ENOMEM` when the program before leaves no room beside it.
pub fn attach_nothing(socket: &Socket) -> io::Result<()> {
    attach_all(socket, &[Instruction::new(op::RET_K, 0)])
}

fn attach_all(socket: &Socket, instructions: &[Instruction]) -> io::Result<()> {
    let all: Vec<SockFilter> = instructions
        .iter()
        .map(|i| SockFilter::new(i.code, i.jt, i.jf, i.k))
        .collect();
    socket.attach_filter(&all)
}
