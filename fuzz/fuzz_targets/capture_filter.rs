//! Any text as a capture filter: it is refused, or is a program for every target that runs on any packet.
#![no_main]

mod parts;

use libfuzzer_sys::fuzz_target;
use sockwire::{
    bpf::{Input, MAX_LEN, Program},
    filter::{
        CaptureFilter,
        capture::{Place, Target},
    },
    link::LinkType,
};

const LINKS: [LinkType; 10] = [
    LinkType::ETHERNET,
    LinkType::LINUX_SLL,
    LinkType::LINUX_SLL2,
    LinkType::RAW,
    LinkType::IPV4,
    LinkType::IPV6,
    LinkType::NULL,
    LinkType::LOOP,
    LinkType::PPP,
    LinkType::PPP_SERIAL,
];
const SNAPLEN: u32 = 65_535;

fuzz_target!(|data: &[u8]| {
    let Some((expression, packet)) = parts::parts(data) else {
        return;
    };
    let Ok(filter) = CaptureFilter::parse(expression, &parts::Few) else {
        return;
    };
    let _ = (filter.traps(), filter.ports(), filter.loopback());
    for link in LINKS {
        for place in [Place::Frame, Place::Kernel, Place::KernelCooked] {
            let netmask = Some(0xffff_ff00);
            let target = Target {
                link,
                place,
                snaplen: SNAPLEN,
                netmask,
            };
            let Ok(compiled) = filter.compile(target) else {
                continue;
            };
            let instructions = compiled.program.instructions();
            assert!(instructions.len() <= MAX_LEN);
            assert_eq!(instructions.len(), compiled.notes.len());
            assert_eq!(
                Program::new(instructions.to_vec()).as_ref(),
                Ok(&compiled.program)
            );
            for note in &compiled.notes {
                assert!(
                    note.span.start <= note.span.end && note.span.end <= expression.chars().count()
                );
            }
            let input = Input {
                bytes: packet,
                wire_len: packet.len() as u32,
                packet_type: Some(4),
            };
            let kept = compiled.program.run(&input);
            assert!(kept == 0 || kept == SNAPLEN);
        }
    }
});
