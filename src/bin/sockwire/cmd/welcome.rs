//! `sockwire` alone: the first screen, with what to type next and what this machine allows.

use std::io::{self, Write};

use super::{
    Exit, Global, Outcome,
    machine::{self, Machine},
};

/// Prints the first screen.
pub(crate) fn run(_global: &Global) -> Outcome {
    write(&machine::look(), &mut io::stdout().lock())?;
    Ok(Exit::Done)
}

fn write(machine: &Machine, out: &mut impl Write) -> io::Result<()> {
    let watch = format!("sudo {} watch port 5000", machine.program);
    write!(
        out,
        "\
sockwire {} - shows what a socket does on the wire

Start here (no root, nothing to set up):
  sockwire lab handshake     a TCP handshake, one line of data, the close
  sockwire lab               all scenarios: refused, lost-syn, udp, half-close
  sockwire connect 5000 --lab --send hello
                             a client and a server: calls beside packets
  sockwire read FILE         packets of a capture file (.pcap .pcapng .gz .zst)
  sockwire watch -r FILE     its connections, each as a ladder
Your own programs, live:
  {watch}
                             every connection to port 5000 as a ladder
  sudo {} -i lo port 5000
                             its packets, one line each
  sockwire trace --private python3 talk.py
                             a program's socket calls, tied to its packets
",
        env!("CARGO_PKG_VERSION"),
        machine.program,
    )?;
    writeln!(out, "On this machine ({}):", machine.place)?;
    for ability in &machine.abilities {
        writeln!(out, "  {ability}")?;
    }
    writeln!(
        out,
        "  why, and what an administrator can do once:  sockwire doctor"
    )?;
    writeln!(out, "All commands: sockwire --help")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn fits_eighty_columns_and_ends_with_the_way_to_help() {
        let mut machine = machine::look();
        machine.program = "/home/ana/sockwire".into();
        let mut out = Vec::new();
        write(&machine, &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        for line in text.lines() {
            assert!(line.chars().count() <= 80, "{line}");
        }
        assert!(text.contains("sudo /home/ana/sockwire watch port 5000\n"));
        assert!(text.ends_with("All commands: sockwire --help\n"));
    }
}
