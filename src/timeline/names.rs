//! The names of calls, for packets to refer to.

use std::{borrow::Cow, collections::VecDeque};

use super::{Tie, row::Named};
use crate::event::CallId;

/// The names of so many calls are remembered.
const NAMES: usize = 65_536;

/// The names of the last calls.
#[derive(Debug, Default)]
pub(super) struct Names {
    first: CallId,
    names: VecDeque<Cow<'static, str>>,
}

impl Names {
    pub(super) fn push(&mut self, call: CallId, name: Cow<'static, str>) {
        if self.first.checked_add(self.names.len() as u64) != Some(call) {
            self.names.clear();
            self.first = call;
        }
        self.names.push_back(name);
        if self.names.len() > NAMES {
            self.names.pop_front();
            self.first += 1;
        }
    }

    pub(super) fn named(&self, call: CallId) -> Named {
        let at = call.checked_sub(self.first);
        let at = at.and_then(|at| usize::try_from(at).ok());
        let name = at.and_then(|at| self.names.get(at)).cloned();
        Named {
            call,
            name: name.unwrap_or_default(),
        }
    }

    pub(super) fn of(&self, ties: &[Tie]) -> Vec<Named> {
        ties.iter().map(|tie| self.named(tie.call)).collect()
    }
}
