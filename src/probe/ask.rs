//! Keeps the books of asking: what to send when, which answer belongs to which question, and when silence is certain.

use std::collections::{HashMap, VecDeque};

use super::Stamp;
use crate::{
    craft::answers::{self, Answer, Key},
    layer::{Layer, Packet},
    link::LinkType,
    time::Time,
};

/// How a run of questions goes; spans in nanoseconds.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// How many questions there are.
    pub total: u64,
    /// From one question to the next.
    pub interval: i64,
    /// Questions in a round.
    pub round: u64,
    /// From the first question of a round to that of the next, where a round takes no longer.
    pub pause: i64,
    /// How long an answer may take.
    pub timeout: i64,
    /// How often a question without an answer is asked again.
    pub retry: u32,
}

/// A question that was sent.
#[derive(Clone, Debug)]
pub struct Question {
    /// Counted from 0.
    pub number: u64,
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// Its layers in them.
    pub layers: Vec<Layer>,
    /// What the first byte is.
    pub link: LinkType,
    /// When it was sent last.
    pub sent: Time,
    /// How often it was sent.
    pub tries: u32,
}

/// What has to be done now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// Send the question with this number for the first time, and tell [`Asking::asked`].
    New(u64),
    /// Send this question again, and tell [`Asking::asked_again`].
    Again(u64),
    /// The time for this question is over: [`Asking::take`] gives it.
    Silent(u64),
}

/// Questions under way.
#[derive(Debug)]
pub struct Asking {
    pace: Pace,
    next: u64,
    next_at: Time,
    /// When the round at hand began.
    round_at: Time,
    open: HashMap<u64, Question>,
    by_key: HashMap<Key, Vec<u64>>,
    /// When each question's time is over, soonest first. Answered ones stay until then.
    deadlines: VecDeque<(Time, u64, u32)>,
}

impl Asking {
    /// Begins at `now`.
    pub fn new(pace: Pace, now: Time) -> Self {
        Self {
            pace,
            next: 0,
            next_at: now,
            round_at: now,
            open: HashMap::new(),
            by_key: HashMap::new(),
            deadlines: VecDeque::new(),
        }
    }

    /// The next thing to do at `now`; `None`: nothing before [`Asking::until`].
    pub fn due(&mut self, now: Time) -> Option<Due> {
        while let Some(&(deadline, number, tries)) = self.deadlines.front() {
            let question = self.open.get(&number);
            let waits = question.is_some_and(|question| question.tries == tries);
            if waits && deadline > now {
                break;
            }
            self.deadlines.pop_front();
            if waits {
                let again = tries <= self.pace.retry;
                return Some(if again {
                    Due::Again(number)
                } else {
                    Due::Silent(number)
                });
            }
        }
        if self.next >= self.pace.total || self.next_at > now {
            return None;
        }
        let number = self.next;
        self.next += 1;
        // From the plan, not from now: a late one does not make all others late.
        self.next_at = self.next_at.plus(self.pace.interval);
        if self.next.is_multiple_of(self.pace.round.max(1)) {
            self.next_at = self.next_at.max(self.round_at.plus(self.pace.pause));
            self.round_at = self.next_at;
        }
        Some(Due::New(number))
    }

    /// When [`Asking::due`] has something to do next, unless an answer comes before.
    pub fn until(&self) -> Time {
        let new = (self.next < self.pace.total).then_some(self.next_at);
        let waiting = self.deadlines.front().map(|&(deadline, _, _)| deadline);
        [new, waiting]
            .into_iter()
            .flatten()
            .min()
            .unwrap_or(Time::MAX)
    }

    /// Everything was asked, and answered or given up.
    pub fn is_done(&self) -> bool {
        self.next >= self.pace.total && self.open.is_empty()
    }

    /// There are no questions from `total` on; those under way are forgotten.
    pub fn limit(&mut self, total: u64) {
        self.pace.total = self.pace.total.min(total);
        self.next = self.next.min(self.pace.total);
        self.open.retain(|number, _| *number < total);
    }

    /// A question that is under way.
    pub fn open(&self, number: u64) -> Option<&Question> {
        self.open.get(&number)
    }

    /// A question that is sent now, for the first time.
    pub fn asked(&mut self, question: Question) {
        let number = question.number;
        let deadline = question.sent.plus(self.pace.timeout);
        self.deadlines.push_back((deadline, number, question.tries));
        let key = answers::key(&question.packet());
        self.by_key.entry(key).or_default().push(number);
        self.open.insert(number, question);
    }

    /// A question that is sent again at `now`: its bytes.
    pub fn asked_again(&mut self, number: u64, now: Time) -> Option<&Question> {
        let question = self.open.get_mut(&number)?;
        question.sent = now;
        question.tries += 1;
        let deadline = now.plus(self.pace.timeout);
        self.deadlines.push_back((deadline, number, question.tries));
        Some(question)
    }

    /// The question that `packet` answers, the longest waiting one first. It is answered then.
    pub fn heard(&mut self, packet: &Packet<'_>) -> Option<(Question, Answer)> {
        let numbers = self.by_key.get(&answers::key_answered(packet))?;
        let found = numbers.iter().find_map(|number| {
            // What is sent from a socket to itself is heard as well, and no answer.
            let question = self.open.get(number);
            let question = question.filter(|asked| asked.bytes != packet.frame.bytes)?;
            Some((*number, answers::answer(&question.packet(), packet)?))
        });
        let (number, answer) = found?;
        Some((self.take(number)?, answer))
    }

    /// Ends the wait for a question.
    pub fn take(&mut self, number: u64) -> Option<Question> {
        let question = self.open.remove(&number)?;
        let key = answers::key(&question.packet());
        if let Some(numbers) = self.by_key.get_mut(&key) {
            numbers.retain(|other| *other != number);
            if numbers.is_empty() {
                self.by_key.remove(&key);
            }
        }
        Some(question)
    }
}

impl Question {
    /// As a packet, whose fields can be read.
    pub fn packet(&self) -> Packet<'_> {
        crate::craft::sent(
            &self.bytes,
            &self.layers,
            self.link,
            self.number + 1,
            self.sent,
        )
    }
}

/// The round trips of a run, in nanoseconds.
#[derive(Clone, Copy, Debug, Default)]
pub struct RoundTrips {
    /// Questions sent, the repeated ones too.
    pub sent: u64,
    /// Questions answered, by errors too.
    pub answered: u64,
    least: i64,
    most: i64,
    sum: f64,
    squares: f64,
    /// Some time was taken when the packet was read.
    read: bool,
}

impl RoundTrips {
    /// One more.
    pub fn add(&mut self, rtt: i64, stamp: Stamp) {
        self.least = if self.answered == 0 {
            rtt
        } else {
            self.least.min(rtt)
        };
        self.most = self.most.max(rtt);
        self.answered += 1;
        self.sum += rtt as f64;
        self.squares += (rtt as f64).powi(2);
        self.read |= stamp == Stamp::Read;
    }

    /// Least, mean, most, and the standard deviation; `None` without any.
    pub fn summary(&self) -> Option<[i64; 4]> {
        if self.answered == 0 {
            return None;
        }
        let mean = self.sum / self.answered as f64;
        let variance = (self.squares / self.answered as f64 - mean * mean).max(0.0);
        Some([self.least, mean as i64, self.most, variance.sqrt() as i64])
    }

    /// Some of the times are when a packet was read, not when it arrived.
    pub fn has_read_times(&self) -> bool {
        self.read
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::craft::{Built, NoFiles, NoRoute, Spec};

    const MS: i64 = crate::time::MILLISECOND;

    fn at(ms: i64) -> Time {
        Time::from_nanos(ms * MS)
    }

    fn built(text: &str) -> Built {
        let mut built = Built::default();
        let spec = Spec::parse(text, &NoFiles).unwrap();
        spec.build(0, &NoRoute, &mut built);
        built
    }

    fn question(number: u64, sent: Time) -> Question {
        let port = 41000 + number;
        let built = built(&format!(
            "ip src=10.0.0.1 dst=10.0.0.2 / udp sport={port} dport=9"
        ));
        Question {
            number,
            bytes: built.bytes,
            layers: built.layers,
            link: LinkType::RAW,
            sent,
            tries: 1,
        }
    }

    fn pace(total: u64) -> Pace {
        Pace {
            total,
            interval: 10 * MS,
            round: 1000,
            pause: 0,
            timeout: 100 * MS,
            retry: 1,
        }
    }

    #[test]
    fn questions_leave_in_time_are_repeated_and_given_up() {
        let mut asking = Asking::new(pace(2), at(0));
        assert_eq!(asking.due(at(0)), Some(Due::New(0)));
        asking.asked(question(0, at(0)));
        assert_eq!((asking.due(at(0)), asking.until()), (None, at(10)));
        assert_eq!(asking.due(at(10)), Some(Due::New(1)));
        asking.asked(question(1, at(10)));
        assert_eq!((asking.due(at(11)), asking.until()), (None, at(100)));
        assert_eq!(asking.due(at(100)), Some(Due::Again(0)));
        assert_eq!(asking.asked_again(0, at(100)).unwrap().tries, 2);
        asking.take(1);
        assert_eq!((asking.due(at(110)), asking.until()), (None, at(200)));
        assert_eq!(asking.due(at(200)), Some(Due::Silent(0)));
        assert!(!asking.is_done());
        asking.take(0);
        assert!(asking.is_done());
    }

    #[test]
    fn an_answer_finds_its_question_once() {
        let mut asking = Asking::new(pace(2), at(0));
        asking.asked(question(0, at(0)));
        asking.asked(question(1, at(0)));
        let back = built("ip src=10.0.0.2 dst=10.0.0.1 / udp sport=9 dport=41001 / text=hi");
        let packet = back.packet(LinkType::RAW);
        let (question, answer) = asking.heard(&packet).unwrap();
        assert_eq!((question.number, answer), (1, Answer::Reply));
        assert!(asking.heard(&packet).is_none());
    }

    #[test]
    fn a_limit_forgets_what_lies_beyond() {
        let mut asking = Asking::new(pace(9), at(0));
        for number in 0..3 {
            asking.asked(question(number, at(0)));
        }
        asking.next = 3;
        asking.limit(1);
        assert!(asking.open(0).is_some() && asking.open(1).is_none());
        assert_eq!(asking.due(at(50)), None);
        asking.take(0);
        assert!(asking.is_done());
    }

    #[test]
    fn round_trips_are_summed_up() {
        let mut trips = RoundTrips::default();
        assert_eq!(trips.summary(), None);
        for rtt in [30, 10, 20] {
            trips.add(rtt, Stamp::Kernel);
        }
        assert_eq!(trips.summary(), Some([10, 20, 30, 8]));
        assert!(!trips.has_read_times());
    }
}
