//! A call as text.

use crate::event::{Arg, Enter, Return};

fn arg(arg: &Arg) -> String {
    match arg {
        Arg::Fd(fd) => fd.to_string(),
        Arg::Number(n) => n.to_string(),
        Arg::Word(word) => word.to_string(),
        Arg::Address(Some(address)) => address.to_string(),
        Arg::Address(None) => "NULL".into(),
        Arg::Data(_) => "data".into(),
        Arg::Memory(name) => name.to_string(),
        Arg::Text(text) => format!("{:?}", crate::text::Safe(text.as_bytes()).to_string()),
    }
}

pub(super) fn asked(enter: &Enter, _room: usize) -> String {
    let args: Vec<String> = enter.args.iter().map(arg).collect();
    format!("{}({})", enter.name, args.join(", "))
}

pub(super) fn answered(_enter: &Enter, back: &Return, _room: usize) -> String {
    match back.result {
        Ok(n) => format!("= {n}"),
        Err(e) => format!("= -1 errno {e}"),
    }
}
