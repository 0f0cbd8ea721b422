//! `sockwire families`: which kinds of sockets this kernel has, each tried.

use std::{collections::HashSet, fmt::Write as _, fs};

use serde_json::json;
use sockwire::{
    sockets::families::{FAMILIES, Family, KINDS, Tried},
    text::ascii,
};

use super::{Exit, Global, Numeric, Outcome, output};

const EXAMPLES: &str = "\
Examples:
  sockwire families                  address families and types of sockets
  sockwire families --json           one object for each of both";

/// Shows which address families and socket types this kernel has; each is tried
///
/// A socket of each is made and closed again; nothing is bound, connected or sent. As with any program that asks for a family, the
/// kernel may load a module for it; what was loaded is said at the end.
#[derive(clap::Args)]
#[command(before_help = EXAMPLES)]
pub(crate) struct Args {
    /// One JSON object for each family and type
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    numeric: Numeric,
}

/// One family, and what was said to each of [`KINDS`].
type Row = (&'static Family, Vec<Tried>);

/// Runs the command.
pub(crate) fn run(args: Args, global: &Global) -> Outcome {
    let before = modules();
    let ask = |family: &'static Family| (family, KINDS.map(|kind| family.ask(kind)).to_vec());
    let rows: Vec<Row> = FAMILIES.iter().map(ask).collect();
    let mut text = if args.json {
        records(&rows)
    } else {
        table(&rows)
    };
    if global.ascii {
        text = ascii(&text);
    }
    output::print(&text)?;
    let mut loaded: Vec<String> = modules().difference(&before).cloned().collect();
    if !loaded.is_empty() {
        loaded.sort_unstable();
        let names = loaded.join(", ");
        global.talk(format_args!(
            "the kernel loaded modules meanwhile: {names} (out again: modprobe -r)"
        ));
    }
    Ok(Exit::Done)
}

/// Names of the loaded kernel modules; none where the kernel has no modules.
fn modules() -> HashSet<String> {
    let table = fs::read_to_string("/proc/modules").unwrap_or_default();
    let names = table.lines().filter_map(|line| line.split(' ').next());
    names.map(str::to_owned).collect()
}

/// What stands in the table, and what that means.
fn word(tried: Tried) -> (&'static str, &'static str) {
    match tried {
        Tried::Made => ("yes", ""),
        Tried::NoType(_) => ("-", "the family has no such type"),
        Tried::NoFamily => ("no", "not in this kernel"),
        Tried::NotPermitted(_) => ("root", "a right is missing"),
        Tried::Failed(_) => ("fails", "the kernel knows it, and cannot make one now"),
    }
}

fn table(rows: &[Row]) -> String {
    let mut text = String::new();
    let _ = writeln!(
        text,
        "family        STREAM DGRAM  RAW   SEQPACKET RDM   for"
    );
    let is_known = |(_, tried): &&Row| tried.iter().any(|one| *one != Tried::NoFamily);
    for (family, tried) in rows.iter().filter(is_known) {
        let _ = write!(text, "{:<14}", family.name);
        for (tried, width) in tried.iter().zip([7, 7, 6, 10, 6]) {
            let _ = write!(text, "{:<width$}", word(*tried).0);
        }
        let _ = writeln!(text, "{}", family.purpose);
    }
    let absent: Vec<&Row> = rows.iter().filter(|row| !is_known(row)).collect();
    if !absent.is_empty() {
        text.push_str("\nnot in this kernel (EAFNOSUPPORT)\n");
    }
    for (family, _) in absent {
        let _ = writeln!(text, "{:<14}{}", family.name, family.purpose);
    }
    text.push_str("\nyes: socket(2) made one.  -: the family has no such type.\n");
    for line in remarks(rows) {
        let _ = writeln!(text, "{line}");
    }
    text
}

/// Why some were refused, and what helps; one line for each reason.
fn remarks(rows: &[Row]) -> Vec<String> {
    let mut lines = Vec::new();
    for (family, tried) in rows {
        for (kind, tried) in KINDS.iter().zip(tried) {
            let line = match tried {
                Tried::NotPermitted(errno) => {
                    format!("root: {errno:?}; it takes {}.", family.capability)
                }
                Tried::Failed(errno) => {
                    let (name, kind) = (family.name, kind.name);
                    format!("fails: {name}, {kind}: {errno:?} ({}).", errno.desc())
                }
                _ => continue,
            };
            if !lines.contains(&line) {
                lines.push(line);
            }
        }
    }
    lines
}

fn records(rows: &[Row]) -> String {
    let mut text = String::new();
    for (family, tried) in rows {
        for (kind, &tried) in KINDS.iter().zip(tried) {
            let refused = matches!(tried, Tried::NotPermitted(_));
            let record = json!({
                "schema": 1,
                "family": family.name,
                "family_number": family.number,
                "type": kind.name,
                "type_number": kind.number,
                "protocol": family.protocol(*kind),
                "made": tried == Tried::Made,
                "errno": tried.errno().map(|errno| format!("{errno:?}")),
                "reason": word(tried).1,
                "needs": refused.then_some(family.capability),
                "purpose": family.purpose,
            });
            let _ = writeln!(text, "{record}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use nix::errno::Errno;

    use super::*;

    #[test]
    fn the_table_fits_80_columns_and_says_why() {
        let refused = vec![
            Tried::Made,
            Tried::NoType(Errno::ESOCKTNOSUPPORT),
            Tried::NotPermitted(Errno::EPERM),
            Tried::Failed(Errno::ENODEV),
            Tried::NotPermitted(Errno::EPERM),
        ];
        let rows: Vec<Row> = FAMILIES.iter().map(|f| (f, refused.clone())).collect();
        let text = table(&rows);
        for line in text.lines() {
            assert!(line.chars().count() <= 80, "{line}");
        }
        assert!(
            text.contains("root: EPERM; it takes CAP_NET_RAW."),
            "{text}"
        );
        assert_eq!(text.matches("it takes").count(), 2, "each reason once");
        let none = rows.iter().map(|(f, _)| (*f, vec![Tried::NoFamily; 5]));
        assert!(table(&none.collect::<Vec<_>>()).contains("EAFNOSUPPORT"));
    }
}
