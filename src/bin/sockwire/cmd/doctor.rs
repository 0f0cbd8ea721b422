//! `sockwire doctor`: what this machine allows, and how to allow more.

use std::io::{self, Write};

use super::{
    Exit, Global, Outcome,
    machine::{self, Ability, Machine},
};

const EXAMPLES: &str = "\
Examples:
  sockwire doctor            what is allowed here, and the cure for what is not
  sockwire doctor --json     the same for scripts, as one object
";

/// What this machine allows, and how to allow more
#[derive(clap::Args)]
#[command(before_help = EXAMPLES)]
pub(crate) struct Args {
    /// One JSON object instead of text
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub(crate) fn run(args: Args, _global: &Global) -> Outcome {
    let machine = machine::look();
    let mut out = io::stdout().lock();
    if args.json {
        writeln!(out, "{}", json(&machine))?;
    } else {
        write(&machine, &mut out)?;
    }
    Ok(Exit::Done)
}

fn write(machine: &Machine, out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "On this machine ({}):", machine.place)?;
    for ability in &machine.abilities {
        writeln!(out, "  {ability}")?;
        for cure in &ability.cures {
            writeln!(out, "      {cure}")?;
        }
    }
    for line in &machine.surroundings {
        writeln!(out, "  seen: {line}")?;
    }
    writeln!(out, "  this program: {}", machine.program)
}

fn json(machine: &Machine) -> serde_json::Value {
    let ability = |ability: &Ability| {
        serde_json::json!({
            "id": ability.id,
            "allowed": ability.allowed,
            "reason": ability.reason,
            "cures": ability.cures,
        })
    };
    serde_json::json!({
        "schema": 1,
        "place": machine.place,
        "program": machine.program,
        "surroundings": machine.surroundings,
        "abilities": machine.abilities.iter().map(ability).collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_missing_ability_is_followed_by_its_cures() {
        let machine = Machine {
            place: "Ubuntu 24.04, user ana".into(),
            program: "/home/ana/sockwire".into(),
            surroundings: vec!["container: Docker".into()],
            abilities: vec![Ability {
                id: "capture",
                name: "capture packets",
                allowed: false,
                reason: "CAP_NET_RAW is not in effect".into(),
                cures: vec!["this once:  sudo /home/ana/sockwire watch".into()],
            }],
        };
        let mut out = Vec::new();
        write(&machine, &mut out).unwrap();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "On this machine (Ubuntu 24.04, user ana):\n\
             \x20 capture packets    no   CAP_NET_RAW is not in effect\n\
             \x20     this once:  sudo /home/ana/sockwire watch\n\
             \x20 seen: container: Docker\n\
             \x20 this program: /home/ana/sockwire\n"
        );
    }
}
