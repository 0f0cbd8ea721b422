//! The program: words on the command line in, an exit code out.

mod cmd;

use std::process::ExitCode;

fn main() -> ExitCode {
    cmd::main()
}
