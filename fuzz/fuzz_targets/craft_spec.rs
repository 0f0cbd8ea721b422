//! Any text as a specification: it is refused in few words, or some of its packets are built.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sockwire::{
    craft::{Built, NoFiles, NoRoute, Spec},
    text::is_unsafe,
};

fuzz_target!(|text: &str| {
    match Spec::parse(text, &NoFiles) {
        Ok(spec) => {
            let mut built = Built::default();
            for n in [0, 1, spec.count() - 1, u64::MAX] {
                spec.build(n, &NoRoute, &mut built);
                spec.marks(&NoRoute, &built);
            }
        }
        Err(error) => {
            let said = error.to_string();
            assert!(said.lines().all(|line| !line.chars().any(is_unsafe)), "{said:?}");
        }
    }
});
