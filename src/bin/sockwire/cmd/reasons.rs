//! Why packets go no further, and how many for each reason: values of packets can be in it, so what is kept is bounded.

use std::fmt::Write as _;

use sockwire::text::Safe;

/// Reasons that are told apart; more are one.
const MOST: usize = 20;
/// Characters of a reason that are shown.
const LONGEST: usize = 400;

/// In the order in which they came up.
#[derive(Debug, Default)]
pub(super) struct Reasons {
    known: Vec<(String, u64)>,
    others: u64,
}

impl Reasons {
    /// One more packet for which `why` holds.
    pub(super) fn count(&mut self, why: &str) {
        let why: String = why.chars().take(LONGEST).collect();
        let known = self.known.iter().position(|(known, _)| *known == why);
        match known {
            Some(known) => self.known[known].1 += 1,
            None if self.known.len() < MOST => self.known.push((why, 1)),
            None => self.others += 1,
        }
    }

    /// Appends each as a term of the sum: how many were `what`, and why.
    pub(super) fn say(&self, what: &str, text: &mut String) {
        for (why, count) in &self.known {
            // Writing to a String cannot fail.
            let _ = write!(text, " + {count} {what}: {}", Safe(why.as_bytes()));
        }
        if self.others > 0 {
            let _ = write!(text, " + {} {what} for other reasons", self.others);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_counted_bounded_and_safe_to_show() {
        let mut reasons = Reasons::default();
        let mut text = String::new();
        reasons.say("left out", &mut text);
        assert_eq!(text, "");
        for n in 0..1000 {
            reasons.count("too long\u{1b}[31m");
            reasons.count(&format!("no route to {n}"));
        }
        reasons.say("left out", &mut text);
        assert!(
            text.starts_with(" + 1000 left out: too long\\x1b[31m + 1 left out: no route to 0 +")
        );
        assert!(
            text.ends_with(" + 981 left out for other reasons"),
            "{text}"
        );
    }
}
