//! How a message is crafted: its header by fields, its questions and records by words, with counts that follow from them.
//!
//! ```text
//! dns id=7 qd=example.com:MX
//! dns qr ra qd=example.com an=example.com:A:60:192.0.2.1 ar=.:OPT:1232:do
//! ```
//!
//! Names are compressed as servers do. A name with a dot at its end is written in full, and one that ends in `@12` with
//! a pointer to byte 12. A type by its number (`TYPE1`) has its data in hexadecimal.

use super::{
    say,
    write::{self, Words},
    *,
};
use crate::protocol::{Ask, Craft, Part, Slot, Tail};

/// The header with nothing given: a query that asks for recursion.
const QUERY: &[u8] = &[0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0];
/// The same on the local link, where nobody asks others.
const LOCAL: &[u8] = &[0; HEADER];

pub(super) static CRAFT: Craft = Craft {
    names: &["dns"],
    header: QUERY,
    slots: &slots(AUTHORITATIVE, RECURSION),
    tail: Some(&TAIL),
    answers: Some(answers),
};

pub(super) static OF_LINK: Craft = Craft {
    names: &["llmnr"],
    header: LOCAL,
    slots: &slots(CONFLICT, TENTATIVE),
    tail: Some(&TAIL),
    answers: Some(answers),
};

pub(super) static OF_MULTICAST: Craft = Craft {
    names: &["mdns"],
    header: LOCAL,
    slots: &slots(AUTHORITATIVE, RECURSION),
    tail: Some(&Tail {
        parts: &parts::<true>(),
        finish: None,
        read: |view, word| say::words(view, Words::Multicast, word),
    }),
    answers: Some(answers_on_link),
};

static TAIL: Tail = Tail {
    parts: &parts::<false>(),
    finish: None,
    read: |view, word| say::words(view, Words::Dns, word),
};

const AUTHORITATIVE: Slot = Slot::at(&["aa"], &FLAGS_AUTHORITATIVE, (2, 5, 1));
const RECURSION: Slot = Slot::at(&["rd"], &FLAGS_RECDESIRED, (2, 7, 1));
const CONFLICT: Slot = Slot::at(&["c", "conflict"], &FLAGS_CONFLICT, (2, 5, 1));
const TENTATIVE: Slot = Slot::at(&["t", "tentative"], &FLAGS_TENTATIVE, (2, 7, 1));

/// The two flags that are not the same everywhere are given.
const fn slots(sixth: Slot, eighth: Slot) -> [Slot; 17] {
    [
        Slot::at(&["id"], &ID, (0, 0, 16)).asked(Ask::Ident),
        Slot::at(&["qr"], &FLAGS_RESPONSE, (2, 0, 1)),
        Slot::at(&["opcode"], &FLAGS_OPCODE, (2, 1, 4)),
        sixth,
        Slot::at(&["tc"], &FLAGS_TRUNCATED, (2, 6, 1)),
        eighth,
        Slot::at(&["ra"], &FLAGS_RECAVAIL, (3, 0, 1)),
        Slot::at(&["z"], &FLAGS_Z, (3, 1, 1)),
        Slot::at(&["ad"], &FLAGS_AUTHENTICATED, (3, 2, 1)),
        Slot::at(&["cd"], &FLAGS_CHECKDISABLE, (3, 3, 1)),
        Slot::at(&["rcode"], &FLAGS_RCODE, (3, 4, 4)),
        Slot::at(&["qdcount"], &COUNT_QUERIES, (4, 0, 16)).computed(count::<0>),
        Slot::at(&["ancount"], &COUNT_ANSWERS, (6, 0, 16)).computed(count::<1>),
        Slot::at(&["nscount"], &COUNT_AUTH_RR, (8, 0, 16)).computed(count::<2>),
        Slot::at(&["arcount"], &COUNT_ADD_RR, (10, 0, 16)).computed(count::<3>),
        Slot::at(&["flags"], &FLAGS, (2, 0, 16)),
        Slot::at(&["length"], &LENGTH, (0, 0, 16))
            .leads_in("tcp")
            .computed(|view| (view.header().len() as u64).checked_sub(PREFIX as u64)),
    ]
}

/// The words behind the header, in the order of the message.
const fn parts<const MULTICAST: bool>() -> [Part; 5] {
    [
        Part {
            words: &["qd"],
            form: "NAME[:TYPE[:CLASS]]",
            doc: "a question",
            write: part::<0, MULTICAST>,
        },
        Part {
            words: &["an"],
            form: write::RECORD,
            doc: "a record that answers",
            write: part::<1, MULTICAST>,
        },
        Part {
            words: &["ns"],
            form: write::RECORD,
            doc: "a record that names the authority",
            write: part::<2, MULTICAST>,
        },
        Part {
            words: &["ar"],
            form: write::RECORD,
            doc: "an additional record, such as .:OPT:1232:do",
            write: part::<3, MULTICAST>,
        },
        Part {
            words: &["raw"],
            form: "HEX",
            doc: "bytes behind all records, counted nowhere",
            write: write::raw,
        },
    ]
}

fn part<const SECTION: usize, const MULTICAST: bool>(
    value: &str,
    header: &mut Vec<u8>,
) -> Result<(), String> {
    let words = if MULTICAST {
        Words::Multicast
    } else {
        Words::Dns
    };
    write::part(SECTION, value, words, header)
}

/// The question, compared without regard to case (RFC 4343 §3).
fn same_question(asked: &Message<'_>, answered: &Message<'_>) -> bool {
    match (asked.question(), answered.question()) {
        (Some(asked), Some(answered)) => asked.eq_ignore_ascii_case(answered),
        (None, None) => true,
        // A server that cannot make sense of a question leaves it out.
        (Some(_), None) => answered.rcode() != 0,
        (None, Some(_)) => false,
    }
}

/// A response with the number and the question of the query (RFC 5452 §9.1).
fn answers(request: &View<'_>, reply: &View<'_>) -> bool {
    let (Some(asked), Some(answered)) = (Message::of(request), Message::of(reply)) else {
        return false;
    };
    answered.is_response() && asked.id() == answered.id() && same_question(&asked, &answered)
}

/// A response about the name that was asked for: it repeats neither number nor question (RFC 6762 §6, §18.1), unless
/// the query came from another port than multicast has (§6.7).
fn answers_on_link(request: &View<'_>, reply: &View<'_>) -> bool {
    let (Some(asked), Some(answered)) = (Message::of(request), Message::of(reply)) else {
        return false;
    };
    let name = |message: &Message<'_>, section| {
        let mut entries = message.entries();
        let entry = entries.find(|entry| entry.section == section)?;
        Some(names::read(message.bytes, entry.at))
    };
    let (Some(question), Some(record)) = (name(&asked, 0), name(&answered, 1)) else {
        return false;
    };
    answered.is_response() && question.text().eq_ignore_ascii_case(record.text())
}

/// How many entries a section has: what the header says where all of them end with the message, else as many as would.
/// `None` where the header has more of them than words can say.
fn count<const SECTION: usize>(view: &View<'_>) -> Option<u64> {
    let message = Message::of(view)?;
    let counts = message.counts().map(u64::from);
    // Words do not make so many: a header that counts them was told to.
    if counts.iter().sum::<u64>() > write::MOST as u64 {
        return None;
    }
    let mut entries = message.entries();
    for _ in entries.by_ref() {}
    if entries.is_complete() && entries.at() == message.bytes.len() {
        return Some(counts[SECTION]);
    }
    let mut all = message.all_records();
    let total = all.by_ref().filter(|entry| entry.section > 0).count() as u64;
    let others: u64 = (1..4).filter(|n| *n != SECTION).map(|n| counts[n]).sum();
    let ends = SECTION > 0 && all.at() == message.bytes.len();
    total.checked_sub(others).filter(|_| ends)
}

#[cfg(test)]
mod tests;
