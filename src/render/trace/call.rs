//! A call as text, where a row has so much room for it.

use crate::{
    event::{Enter, Return},
    render::call,
};

pub(super) fn asked(enter: &Enter, room: usize) -> String {
    call::traced::asked(enter, room)
}

pub(super) fn answered(_: &Enter, back: &Return, room: usize) -> String {
    call::traced::answered(back, room)
}
