//! `sockwire interfaces`: what there is to capture on.

use std::fmt::Write as _;

use serde_json::json;
use sockwire::{
    capture::{self, Available},
    text::{Mac, Safe},
};

use super::{Exit, Global, Outcome, output, permission};

const EXAMPLES: &str = "\
Examples:
  sockwire interfaces                names, states and addresses
  sockwire interfaces --json         one object a line
  sudo sockwire interfaces --netns 4242";

/// Lists the interfaces that can be captured on
#[derive(clap::Args)]
#[command(before_help = EXAMPLES)]
pub(crate) struct Args {
    /// One JSON object an interface
    #[arg(long)]
    json: bool,
    /// In another network namespace, by name or by process id
    #[arg(long, value_name = "NAME|PID")]
    netns: Option<String>,
}

/// Runs the command.
pub(crate) fn run(args: Args, _global: &Global) -> Outcome {
    list(args.netns.as_deref(), args.json)
}

/// Prints the list (also tcpdump's `-D`).
pub(crate) fn list(netns: Option<&str>, json: bool) -> Outcome {
    let all = capture::inside(netns, capture::available).map_err(permission::failure)?;
    let mut text = String::new();
    for interface in &all {
        let one = if json {
            record(interface)
        } else {
            line(interface)
        };
        let _ = writeln!(text, "{one}");
    }
    let everything = "any     up        all of them at once, without link headers (cooked)";
    let _ = if json {
        writeln!(
            text,
            "{}",
            json!({"schema": 1, "name": capture::ANY, "link": "LINUX_SLL2"})
        )
    } else {
        writeln!(text, "  0  {everything}")
    };
    output::print(&text)?;
    Ok(Exit::Done)
}

fn state(interface: &Available) -> &'static str {
    match (interface.up, interface.running) {
        (false, _) => "down",
        (true, false) => "no link",
        (true, true) => "up",
    }
}

fn line(interface: &Available) -> String {
    let addresses: Vec<String> = interface
        .addresses
        .iter()
        .map(|(address, prefix)| format!("{address}/{prefix}"))
        .collect();
    let mut line = format!(
        "{:>3}  {:<7} {:<9} {:<12} mtu {}",
        interface.index,
        Safe(interface.name.as_bytes()).to_string(),
        state(interface),
        interface
            .link
            .map_or("unknown", |link| link.title().unwrap_or("other")),
        interface
            .mtu
            .map_or_else(|| "?".to_owned(), |mtu| mtu.to_string()),
    );
    if interface.loopback {
        line.push_str(" loopback: every packet once");
    }
    for address in addresses {
        let _ = write!(line, "\n             {address}");
    }
    line
}

fn record(interface: &Available) -> String {
    let addresses: Vec<String> = interface
        .addresses
        .iter()
        .map(|(address, prefix)| format!("{address}/{prefix}"))
        .collect();
    json!({
        "schema": 1,
        "index": interface.index,
        "name": interface.name,
        "state": state(interface),
        "up": interface.up,
        "running": interface.running,
        "loopback": interface.loopback,
        "mtu": interface.mtu,
        "mac": interface.mac.map(|mac| Mac(mac).to_string()),
        "link": interface.link.and_then(|link| link.name()),
        "addresses": addresses,
    })
    .to_string()
}
