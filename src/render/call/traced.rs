//! Calls of a traced program as C programs make them, in as many columns as there are: data is cut first, then addresses lose
//! their family, then arguments go, from the last on, then an error's words. What is left is at least the name, or the value.

use unicode_width::UnicodeWidthStr as _;

use super::{DATA, c, list, quoted_in, readable};
use crate::{
    call::Errno,
    event::{Arg, Enter, Part, Return},
    text::Safe,
};

/// What stands for something that there was no room for.
const CUT: &str = "...";

/// How arguments are spelled.
#[derive(Clone, Copy)]
struct Spelling<'a> {
    /// What [`Arg::Data`] speaks of.
    parts: &'a [Part],
    /// Columns for data.
    data: usize,
    /// Addresses without their family.
    short: bool,
}

/// The call, as it is made: `send(3, "hello", 5, MSG_NOSIGNAL)`, in `room` columns if it can be. Safe to show.
pub fn asked(enter: &Enter, room: usize) -> String {
    let name = Safe(enter.name.as_bytes()).to_string();
    let room = room.saturating_sub(name.width() + "()".len());
    let args = fitted(&enter.args, &enter.parts, ", ", room);
    format!("{name}({args})")
}

/// What it returned, to stand behind the call: `= 1 "x"`, `= -1 ECONNREFUSED (connection refused)`, in `room` columns if it
/// can be; nothing of a process's `exit`, which does not return. Safe to show.
pub fn answered(enter: &Enter, back: &Return, room: usize) -> String {
    if enter.name == "exit" {
        return String::new();
    }
    let mut text = match back.result {
        Ok(value) => format!("= {value}"),
        Err(error) => {
            let full = format!("= -1 {}", Errno(error));
            if full.width() <= room {
                return full;
            }
            return format!("= -1 {}", Errno(error).name());
        }
    };
    let room = room.saturating_sub(text.width() + 1);
    let out = fitted(&back.out, &back.parts, " ", room);
    // A number alone says more than that something else is missing.
    if !out.is_empty() && (out != CUT || room >= CUT.len()) {
        text.push(' ');
        text.push_str(&out);
    }
    text
}

/// The arguments in `room` columns; if nothing else helps, three dots.
fn fitted(args: &[Arg], parts: &[Part], between: &str, room: usize) -> String {
    let spell = |data, short| {
        let spelling = Spelling { parts, data, short };
        args.iter().map(|arg| spelling.arg(arg)).collect::<Vec<_>>()
    };
    let full = spell(DATA, false).join(between);
    if full.width() <= room {
        return full;
    }
    let excess = full.width() - room;
    let data = parts.iter().map(|part| shortened(part, excess)).max();
    let data = data.unwrap_or(0);
    for short in [false, true] {
        let text = spell(data, short).join(between);
        if text.width() <= room {
            return text;
        }
    }
    let mut text = String::new();
    let mut left = room.saturating_sub(CUT.len());
    for word in spell(data, true) {
        let Some(rest) = left.checked_sub(word.width() + between.len()) else {
            break;
        };
        left = rest;
        text.push_str(&word);
        text.push_str(between);
    }
    text + CUT
}

/// Columns for the data of a part, so that it takes `excess` fewer than it does.
fn shortened(part: &Part, excess: usize) -> usize {
    let full = content(part, DATA);
    let text = full.trim_end_matches(CUT);
    let is_cut = text.len() < full.len();
    let dots = if is_cut { 0 } else { CUT.len() };
    (text.width() - "\"\"".len()).saturating_sub(excess + dots)
}

/// Data between quotes, in so many columns.
fn content(part: &Part, columns: usize) -> String {
    quoted_in(&part.data, columns, readable)
}

impl Spelling<'_> {
    fn arg(self, arg: &Arg) -> String {
        match arg {
            Arg::Fd(fd) => fd.to_string(),
            Arg::Number(number) => number.to_string(),
            // Words come from us, and from a log that anybody may have written.
            Arg::Word(word) | Arg::Memory(word) => Safe(word.as_bytes()).to_string(),
            Arg::Text(text) => format!("\"{}\"", readable(text.as_bytes())),
            Arg::Address(None) => "NULL".to_owned(),
            Arg::Address(Some(address)) if self.short => address.to_string(),
            Arg::Address(Some(address)) => c::spelled(address),
            Arg::Data(n) => {
                let part = self.parts.get(*n as usize);
                part.map_or_else(|| CUT.to_owned(), |part| content(part, self.data))
            }
            Arg::Group(args) => format!("{{{}}}", list(args, |arg| self.arg(arg))),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        call::{Address, Caller, Data},
        event::Deed,
    };

    fn address() -> Arg {
        Arg::Address(Some(Address::Ip(([10, 0, 0, 1], 41000).into())))
    }

    fn enter(name: &'static str, args: Vec<Arg>, data: &str) -> Enter {
        Enter {
            call: 1,
            by: Caller {
                process: 7,
                thread: 7,
            },
            name: name.into(),
            deed: Deed::Send,
            socket: Some(1),
            closes: vec![],
            args,
            parts: parts(data),
            waited: false,
        }
    }

    fn parts(data: &str) -> Vec<Part> {
        vec![Part {
            data: Data::of(data.as_bytes()),
            address: None,
        }]
    }

    fn back(result: Result<i64, i32>, out: Vec<Arg>, data: &str) -> Return {
        Return {
            call: 1,
            result,
            moved: 0,
            opened: None,
            out,
            parts: parts(data),
        }
    }

    fn send(data: &str) -> Enter {
        let args = vec![
            Arg::Fd(3),
            Arg::Data(0),
            Arg::Number(data.len() as i64),
            Arg::Word("MSG_NOSIGNAL".into()),
        ];
        enter("send", args, data)
    }

    #[test]
    fn a_call_and_its_result() {
        assert_eq!(
            asked(&send("hello"), 80),
            r#"send(3, "hello", 5, MSG_NOSIGNAL)"#
        );
        let connect = vec![Arg::Fd(3), address(), Arg::Number(16)];
        assert_eq!(
            asked(&enter("connect", connect, ""), 80),
            "connect(3, {AF_INET, 10.0.0.1:41000}, 16)"
        );
        let poll = Arg::Group(vec![Arg::Group(vec![
            Arg::Fd(3),
            Arg::Word("POLLIN".into()),
        ])]);
        let poll = enter("poll", vec![poll, Arg::Number(1), Arg::Number(-1)], "");
        assert_eq!(asked(&poll, 80), "poll({{3, POLLIN}}, 1, -1)");
        let device = vec![Arg::Fd(3), Arg::Text("eth\"0".to_owned())];
        assert_eq!(
            asked(&enter("setsockopt", device, ""), 80),
            r#"setsockopt(3, "eth\"0")"#
        );
        assert_eq!(
            answered(&enter("call", vec![], ""), &back(Ok(5), vec![], ""), 80),
            "= 5"
        );
        let data = back(Ok(1), vec![Arg::Data(0)], "x");
        assert_eq!(answered(&enter("call", vec![], ""), &data, 80), "= 1 \"x\"");
        let accepted = back(Ok(4), vec![address()], "");
        assert_eq!(
            answered(&enter("call", vec![], ""), &accepted, 80),
            "= 4 {AF_INET, 10.0.0.1:41000}"
        );
        let exit = enter("exit", vec![Arg::Number(7)], "");
        assert_eq!(answered(&exit, &back(Ok(0), vec![], ""), 80), "");
        let refused = back(Err(libc::ECONNREFUSED), vec![], "");
        assert_eq!(
            answered(&enter("call", vec![], ""), &refused, 80),
            "= -1 ECONNREFUSED (connection refused)"
        );
    }

    #[test]
    fn data_is_cut_first_then_arguments_never_the_name() {
        let call = send("hello world");
        for (room, expected) in [
            (80, r#"send(3, "hello world", 11, MSG_NOSIGNAL)"#),
            (40, r#"send(3, "hello world", 11, MSG_NOSIGNAL)"#),
            (39, r#"send(3, "hello w"..., 11, MSG_NOSIGNAL)"#),
            (32, r#"send(3, ""..., 11, MSG_NOSIGNAL)"#),
            (31, r#"send(3, ""..., 11, ...)"#),
            (20, r#"send(3, ""..., ...)"#),
            (15, "send(3, ...)"),
            (10, "send(...)"),
            (0, "send(...)"),
        ] {
            assert_eq!(asked(&call, room), expected, "in {room} columns");
        }
    }

    #[test]
    fn an_address_loses_its_family_before_arguments_go() {
        let call = enter("connect", vec![Arg::Fd(3), address(), Arg::Number(16)], "");
        assert_eq!(asked(&call, 40), "connect(3, 10.0.0.1:41000, 16)");
        assert_eq!(asked(&call, 29), "connect(3, ...)");
    }

    #[test]
    fn a_result_keeps_its_value() {
        let data = back(Ok(11), vec![Arg::Data(0), address()], "hello world");
        for (room, expected) in [
            (47, r#"= 11 "hello world" {AF_INET, 10.0.0.1:41000}"#),
            (40, r#"= 11 "hell"... {AF_INET, 10.0.0.1:41000}"#),
            (30, r#"= 11 ""... 10.0.0.1:41000"#),
            (15, r#"= 11 ""... ..."#),
            (8, "= 11 ..."),
            (7, "= 11"),
        ] {
            assert_eq!(
                answered(&enter("call", vec![], ""), &data, room),
                expected,
                "in {room} columns"
            );
        }
        let refused = back(Err(libc::ECONNREFUSED), vec![], "");
        assert_eq!(
            answered(&enter("call", vec![], ""), &refused, 30),
            "= -1 ECONNREFUSED"
        );
        assert_eq!(
            answered(&enter("call", vec![], ""), &refused, 0),
            "= -1 ECONNREFUSED"
        );
    }

    #[test]
    fn a_log_that_lies_is_shown_without_harm() {
        let args = vec![
            Arg::Word("\u{1b}[2J".into()),
            Arg::Data(7),
            Arg::Text("\u{202e}".to_owned()),
        ];
        let call = enter("se\nnd", args, "");
        assert_eq!(asked(&call, 80), r#"se\nnd(\x1b[2J, ..., "\u{202e}")"#);
    }

    proptest! {
        #[test]
        fn what_fits_is_within_its_room(data in ".{0,60}", room in 0..100usize) {
            let text = asked(&send(&data), room);
            prop_assert!(text.starts_with("send("));
            prop_assert!(text.width() <= room.max("send(...)".len()), "{text}");
            let text = answered(&enter("call", vec![], ""), &back(Ok(60), vec![Arg::Data(0)], &data), room);
            prop_assert!(text.starts_with("= 60"));
            prop_assert!(text.width() <= room.max("= 60".len()), "{text}");
        }
    }
}
