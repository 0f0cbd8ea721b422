//! What ladders and pictures say of calls: a call as an item of a story, and a packet's ties in words.

use super::words::{Say, grounds};
use crate::{
    timeline::{
        Tie,
        row::{Call, Form, Idle, Named, Sent, What, Who},
    },
    track::story::{self, Part, Side},
};

const SAY: Say = Say { ascii: false };

/// A call. Its end, and the packets that it is tied to, are put in by who knows them.
pub fn call(call: &Call) -> story::Call {
    let part = match (call.form, &call.answer) {
        (Form::Returned, Some(_)) => Part::Returns,
        (_, Some(_)) => Part::Whole,
        (_, None) => Part::Begins,
    };
    let again = (call.after > 0).then(|| format!("after {} times EAGAIN", call.after));
    story::Call {
        side: Side::Client,
        part,
        time: call.entered,
        enter: call.enter.clone(),
        answer: call
            .took()
            .zip(call.answer.as_ref().map(|(_, back)| back.clone())),
        beside: again.unwrap_or_default(),
        is_trouble: matches!(&call.answer, Some((_, back)) if back.result.is_err()),
        who: String::new(),
        packets: Default::default(),
    }
}

/// Calls that do not get on, as one.
pub fn idle(idle: &Idle) -> story::Call {
    let (times, meaning) = SAY.idle(idle);
    let parts: Vec<&str> = [&*times].into_iter().chain(meaning).collect();
    story::Call {
        side: Side::Client,
        part: Part::Whole,
        time: idle.since,
        enter: idle.enter.clone(),
        answer: None,
        beside: parts.join(": "),
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
