//! What `traceroute` prints: a row a hop, with what is remarkable about it below, or a JSON object a hop.

use std::{collections::HashMap, fmt::Write as _, net::IpAddr};

use serde_json::{Value, json};
use sockwire::{
    probe::{
        Stamp,
        traceroute::{Answered, Hop, Probe, Quoted, Trace},
    },
    sys::names,
    text::Safe,
};

use super::{Args, Kind, Probes};
use crate::cmd::{
    Exit, Failure, Global, Outcome,
    output::Output,
    probe::{Millis, whose},
};

pub(super) struct Telling {
    json: bool,
    numeric: bool,
    output: Output,
    names: HashMap<IpAddr, Option<String>>,
    target: IpAddr,
    /// Hops that were told.
    told: usize,
    answered: bool,
    /// Some time of arrival is that of reading.
    read: bool,
}

impl Telling {
    pub(super) fn new(
        args: &Args,
        probes: &Probes,
        (source, device): (Option<IpAddr>, &str),
        global: &Global,
    ) -> Result<Self, Failure> {
        let mut telling = Self {
            json: args.json,
            numeric: args.numeric,
            output: Output::stdout(global.ascii)?,
            names: HashMap::new(),
            target: probes.target,
            told: 0,
            answered: false,
            read: false,
        };
        if !args.json {
            let what = match probes.kind {
                Kind::Udp(port) => format!("UDP to ports from {port}"),
                Kind::Tcp(port) => format!("TCP SYN to port {port}"),
                Kind::Icmp => "ICMP echo".to_owned(),
            };
            let from = source.map_or(String::new(), |source| format!(" from {source}"));
            let (host, target) = (Safe(args.host.as_bytes()), probes.target);
            let host = host.to_string();
            let to = match host == target.to_string() {
                true => host,
                false => format!("{host} ({target})"),
            };
            // Writing to a String cannot fail.
            let _ = writeln!(
                telling.output.text,
                "to {to}{from} by {}: {what}, TTL {} to {}",
                Safe(device.as_bytes()),
                args.first,
                args.max
            );
            telling.output.flush()?;
        }
        Ok(telling)
    }

    /// Tells the hops that are complete, in order.
    pub(super) fn hops(&mut self, trace: &Trace) -> Result<(), Failure> {
        while let Some(hop) = trace.complete(self.told) {
            self.told += 1;
            self.hop(hop)?;
        }
        Ok(())
    }

    fn hop(&mut self, hop: &Hop) -> Result<(), Failure> {
        for probe in &hop.probes {
            if let Probe::Answered(answered) = probe {
                self.answered = true;
                self.read |= answered.stamp == Stamp::Read;
            }
        }
        if self.json {
            let object = self.object(hop);
            let _ = writeln!(self.output.text, "{object}");
        } else {
            self.rows(hop);
        }
        self.output.flush()?;
        Ok(())
    }

    /// A row for each router that answered, the times of its answers in it, and stars for silence.
    fn rows(&mut self, hop: &Hop) {
        let mut row = format!("{:>3}", hop.ttl);
        let mut last: Option<&Answered> = None;
        let mut remarks = Vec::new();
        for probe in &hop.probes {
            let Probe::Answered(answered) = probe else {
                row.push_str("  *");
                continue;
            };
            if last.is_none_or(|last| last.from != answered.from) {
                if let Some(last) = last {
                    self.end_row(&mut row, last, &mut remarks);
                    row.push_str("   ");
                }
                let _ = write!(row, "  {}", self.name(answered.from));
            }
            let _ = write!(row, "  {}", Millis(answered.rtt));
            for remark in answered.quoted.iter().flat_map(remarkable) {
                if !remarks.contains(&remark) {
                    remarks.push(remark);
                }
            }
            last = Some(answered);
        }
        match last {
            Some(last) => self.end_row(&mut row, last, &mut remarks),
            None => {
                row.push('\n');
                self.output.text.push_str(&row);
            }
        }
    }

    fn end_row(&mut self, row: &mut String, last: &Answered, remarks: &mut Vec<String>) {
        if last.word != "time exceeded" {
            let _ = write!(row, "  {}", last.word);
        }
        if let Some(ttl) = last.ttl {
            let _ = write!(row, "  [TTL {ttl}");
            match &last.quoted {
                Some(quoted) => {
                    let _ = write!(row, ", {} bytes quoted]", quoted.bytes);
                }
                None => row.push(']'),
            }
        }
        row.push('\n');
        self.output.text.push_str(row);
        row.clear();
        for remark in remarks.drain(..) {
            let _ = writeln!(self.output.text, "       {remark}");
        }
    }

    /// The address, with its name in front where one is asked for and there is one.
    fn name(&mut self, address: IpAddr) -> String {
        match self.look_up(address) {
            Some(name) => format!("{name} ({address})"),
            None => address.to_string(),
        }
    }

    fn look_up(&mut self, address: IpAddr) -> Option<String> {
        if self.numeric {
            return None;
        }
        let asked = || names::host(address).map(|name| Safe(name.as_bytes()).to_string());
        self.names.entry(address).or_insert_with(asked).clone()
    }

    fn object(&mut self, hop: &Hop) -> Value {
        let probes: Vec<Value> = hop
            .probes
            .iter()
            .map(|probe| match probe {
                Probe::Answered(answered) => json!({
                    "from": answered.from.to_string(),
                    "name": self.look_up(answered.from),
                    "rtt": answered.rtt as f64 / 1e9,
                    "rtt_by": whose(answered.stamp),
                    "ttl": answered.ttl,
                    "meaning": answered.word,
                    "quoted": answered.quoted.as_ref().map(quote),
                }),
                Probe::Waiting | Probe::Silent => Value::Null,
            })
            .collect();
        json!({ "schema": 1, "ttl": hop.ttl, "probes": probes })
    }

    /// What there is to say at the end, and how it ended: by Ctrl-C, or by itself.
    pub(super) fn finish(mut self, trace: &Trace, stopped: bool) -> Outcome {
        self.hops(trace)?;
        if !self.json {
            let text = self.last_words(trace);
            let _ = writeln!(self.output.text, "{text}");
            if self.read {
                self.output.text.push_str(
                    "some answers came before the kernel stamped: their time is that of reading\n",
                );
            }
        }
        self.output.flush()?;
        Ok(if stopped || self.answered {
            Exit::Done
        } else {
            Exit::NoMatch
        })
    }

    fn last_words(&self, trace: &Trace) -> String {
        let target = self.target;
        let last = trace.hops().last();
        let mut answers = last
            .into_iter()
            .flat_map(|hop| &hop.probes)
            .filter_map(|p| match p {
                Probe::Answered(answered) if answered.word != "time exceeded" => Some(answered),
                _ => None,
            });
        match (trace.end(), answers.next()) {
            (Some(ttl), Some(end)) if end.from == target => {
                let routers = ttl - 1;
                if routers == 0 {
                    return format!("no router is on the way to {target}");
                }
                let s = if routers == 1 { "" } else { "s" };
                format!("{target} is behind {routers} router{s}")
            }
            (Some(ttl), Some(end)) => {
                format!("the way ends at TTL {ttl}: {} says {}", end.from, end.word)
            }
            _ => match trace.hops().iter().rev().find_map(first_answer) {
                Some((ttl, from)) => {
                    format!("{target} did not answer; the last that did is {from}, at TTL {ttl}")
                }
                None => format!("nobody on the way to {target} answered"),
            },
        }
    }
}

fn first_answer(hop: &Hop) -> Option<(u8, IpAddr)> {
    hop.probes.iter().find_map(|probe| match probe {
        Probe::Answered(answered) => Some((hop.ttl, answered.from)),
        _ => None,
    })
}

/// What is remarkable about a quote, a sentence each.
fn remarkable(quoted: &Quoted) -> Vec<String> {
    let mut remarks = Vec::new();
    for change in &quoted.changes {
        let who = if change.is_translation() {
            "address translation (NAT)"
        } else {
            "changed on the way"
        };
        remarks.push(format!(
            "{who}: {} {} → {}",
            change.field, change.sent, change.arrived
        ));
    }
    if quoted.bad_checksum {
        remarks.push("the quoted header's checksum does not fit it".to_owned());
    }
    if let Some(ttl) = quoted.ttl.filter(|ttl| *ttl > 1) {
        remarks.push(format!("the probe had a TTL of {ttl} left: a hop before did not count it down, or this is its end"));
    }
    for label in &quoted.labels {
        remarks.push(format!(
            "MPLS label {}, class {}, TTL {}",
            label.label, label.class, label.ttl
        ));
    }
    remarks
}

fn quote(quoted: &Quoted) -> Value {
    let changes = quoted.changes.iter().map(|change| {
        json!({ "field": change.field, "sent": change.sent, "arrived": change.arrived, "nat": change.is_translation() })
    });
    let labels = quoted
        .labels
        .iter()
        .map(|label| json!({ "label": label.label, "class": label.class, "ttl": label.ttl }));
    json!({
        "bytes": quoted.bytes,
        "ttl": quoted.ttl,
        "bad_checksum": quoted.bad_checksum,
        "changes": changes.collect::<Vec<_>>(),
        "mpls": labels.collect::<Vec<_>>(),
    })
}
