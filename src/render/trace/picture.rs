//! What ladders and pictures say of calls: a call as an item of a story, and a packet's ties in words.

use super::words::{Say, grounds};
use crate::{
    render::call::traced,
    time::MILLISECOND,
    timeline::{
        Tie,
        row::{Call, Form, Idle, Named, Sent, What, Who},
    },
    track::story::{self, Part, Side, Span},
};

/// Columns of a call's arguments, and of its result.
const ASKED: usize = 80;
const ANSWERED: usize = 60;
/// A call shorter than this did not wait for anybody, in nanoseconds.
const MOMENT: i64 = MILLISECOND;

const SAY: Say = Say { ascii: false };

/// A call. Its end, and the packets that it is tied to, are put in by who knows them.
pub fn call(call: &Call) -> story::Call {
    let enter = &call.enter;
    let part = match (call.form, &call.answer) {
        (Form::Returned, Some(_)) => Part::Returns,
        (_, Some(_)) => Part::Whole,
        (_, None) => Part::Begins,
    };
    let asked = match part {
        Part::Returns => format!("{} returned", SAY.name(&enter.name)),
        _ => traced::asked(enter, ASKED),
    };
    let mut answered = match &call.answer {
        Some((_, back)) => traced::answered(back, ANSWERED),
        None => "… waits".to_owned(),
    };
    if let Some(took) = call.took().filter(|took| *took >= MOMENT) {
        answered.push_str(&format!(" after {}", Span(took)));
    }
    if call.after > 0 {
        answered.push_str(&format!(" after {} times EAGAIN", call.after));
    }
    story::Call {
        side: Side::Client,
        number: enter.call,
        part,
        time: call.entered,
        asked,
        answered,
        is_trouble: matches!(&call.answer, Some((_, back)) if back.result.is_err()),
        who: String::new(),
        packets: Default::default(),
    }
}

/// Calls that do not get on, as one.
pub fn idle(idle: &Idle) -> story::Call {
    let result = match idle.result {
        Ok(n) => format!("= {n}"),
        Err(_) => "= -1 EAGAIN".to_owned(),
    };
    let (times, meaning) = SAY.idle(idle);
    let meaning = meaning.map_or_else(String::new, |meaning| format!(": {meaning}"));
    story::Call {
        side: Side::Client,
        number: idle.enter.call,
        part: Part::Whole,
        time: idle.since,
        asked: traced::asked(&idle.enter, ASKED),
        answered: format!("{result} {times}{meaning}"),
        is_trouble: true,
        who: String::new(),
        packets: Default::default(),
    }
}

/// A row that is a sentence.
pub fn sentence(what: &What) -> Option<String> {
    SAY.sentence(what)
}

/// A process: `python3[71]`.
pub fn program(who: &Who) -> String {
    SAY.who(who)
}

/// Calls, and the grounds on which a packet is tied to them; nothing without calls.
pub fn tie(calls: &[Named], ties: &[Tie]) -> String {
    match calls.is_empty() {
        true => String::new(),
        false => format!("{} ({})", SAY.calls(calls), grounds(ties)),
    }
}

/// What the kernel sent a packet for.
pub fn kernel(sent: &Sent) -> String {
    SAY.kernel(sent).unwrap_or_default()
}
