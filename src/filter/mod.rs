//! Which packets are wanted: tcpdump's capture filters, and Wireshark's display filters.
//!
//! ```text
//!  capture  compiled to programs of classic BPF, which run on bytes: in the kernel, and on files before decoding
//!  display  run on every field of decoded and tracked packets
//!  advice   what to write instead of a filter of the other language
//!  names    what both ask of the world            error   the fault that both report
//! ```

mod advice;
pub mod capture;
pub mod display;
mod error;
mod names;

pub use capture::{CaptureFilter, begins_filter};
pub use display::DisplayFilter;
pub use error::FilterError;
pub use names::{Names, NoNames, Service};
