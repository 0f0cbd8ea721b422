//! Decoding, tracking, writing lines, building packets and sending them allocate nothing per packet, once their buffers have grown.
//!
//! The counting allocator is the one place outside `src/sys` where unsafe code stands.
#![allow(unsafe_code, clippy::unwrap_used)]

#[path = "../src/testing.rs"]
mod testing;

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
    process::Command,
    thread,
};

use nix::sched::{CloneFlags, unshare};

use sockwire::{
    bpf::{Input, Program},
    craft::{Built, NoFiles, NoRoute, Spec},
    decode::{Decoded, Decoder},
    export::json::Records,
    filter::{
        CaptureFilter, DisplayFilter, NoNames,
        capture::{Place, Target},
    },
    frame::{Batch, Direction, KernelChecksum, Record},
    link::LinkType,
    probe::{KernelRoute, Outlet, Via},
    proto::frame::Around,
    render::line::{Lines, Options},
    time::Time,
    track::{Tracker, conversation::Conversations},
};

/// Counts what this thread allocates.
struct Counting;

thread_local! {
    static COUNT: Cell<u64> = const { Cell::new(0) };
}

// SAFETY: every call is handed to the system's allocator unchanged; counting touches only a thread-local number
// without a destructor.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.with(|count| count.set(count.get() + 1));
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract of `dealloc`.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        COUNT.with(|count| count.set(count.get() + 1));
        // SAFETY: the caller keeps the contract of `realloc`.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// A mix of what a lab sees.
const FRAMES: &[&str] = &[
    // UDP over IPv4, with data.
    "02000000000202000000000108004500002100010000401166c90a0000010a00000214e90035000d000068656c6c6f",
    // TCP SYN with options.
    "0200000000020200000000010800 4500003c000140004006 26b9 0a000001 0a000002 a0281388 00000001 00000000 a002ffff \
     00000000 020405b4 0402080a 00000001 00000000 01030307",
    // Its answer, and the third step.
    "0200000000010200000000020800 4500002c000140004006 26c9 0a000002 0a000001 1388a028 0000000a 00000002 6012ffff \
     00000000 020405b4",
    "0200000000020200000000010800 45000028000140004006 26cd 0a000001 0a000002 a0281388 00000002 0000000b 5010ffff 00000000",
    // Data that are no messages, and a request.
    "0200000000020200000000010800 4500002d000140004006 0000 0a000001 0a000002 a0291389 00000002 0000000b 5018ffff 00000000 \
     48656c6c6f",
    "0200000000020200000000010800 4500003a000140004006 0000 0a000001 0a000002 a02a0050 00000002 0000000b 5018ffff 00000000 \
     474554202f20485454502f312e300d0a0d0a",
    // A DNS query, and its answer with compressed names and a cookie.
    "020000000002 020000000001 0800 4500003d00000000401100000a0000010a000002 9c400035 0029 0000 \
     1a2b 0100 0001 0000 0000 0000 03777777 076578616d706c65 036f7267 00 0001 0001",
    "020000000001 020000000002 0800 4500006b00000000401100000a0000020a000001 00359c40 0057 0000 \
     1a2b 8180 0001 0001 0000 0001 03777777 076578616d706c65 036f7267 00 0001 0001 \
     c00c 0005 0001 0000012c 0006 03777732 c010 00 0029 04d0 00008000 0011 000a 000d 0102030405060708 1112131415",
    // UDP over IPv6.
    "020000000002020000000001 86dd 60000000 000d1140 fd000000000000000000000000000001 fd000000000000000000000000000002 \
     14e90035 000d 0000 68656c6c6f",
    // An ICMP error that quotes a datagram, behind a VLAN tag.
    "020000000001020000000002 8100 0064 0800 45000038000100004001 66bd 0a000002 0a000001 0303 0000 00000000 \
     4500002100010000401166c90a0000010a00000214e90035000d0000",
    // ARP.
    "ffffffffffff020000000001 0806 0001080006040001 020000000001 0a000001 000000000000 0a000002",
    // What nobody claims, and what is cut.
    "020000000002020000000001 9999 0102030405",
    "020000000002020000000001 0800 4500",
];

fn batch(rounds: usize) -> Batch {
    let mut data = Vec::new();
    let mut records = Vec::new();
    for round in 0..rounds {
        for digits in FRAMES {
            let digits: String = digits.split_whitespace().collect();
            let bytes = hex::decode(digits).unwrap();
            records.push(Record {
                time: Time::from_nanos(1_700_000_000_000_000_000 + 1000 * records.len() as i64),
                link: LinkType::ETHERNET,
                interface: 0,
                direction: Direction::Unknown,
                checksum: KernelChecksum::Unknown,
                wire_len: bytes.len() as u32 + (round % 2) as u32,
                start: data.len() as u32,
                len: bytes.len() as u32,
            });
            data.extend_from_slice(&bytes);
        }
    }
    Batch::owned(data, records, 1)
}

/// Takes every packet, and asks in every way.
const DISPLAY: &str = "frame.len > 0 and not (tcp.port == 1 or ip.addr in {192.0.2.0/24, 1.1.1.1} or tcp.option_kind == 99 \
     or frame contains \"nothing\" or frame matches \"no(thing|body)\" or tcp[13] & 40 or eth.src[0,1-2] == 01:02:03 \
     or string(ip.ttl) == \"1\" or upper(ip.host) contains \"A\" or count(tcp.option_kind) > 9 or max(ip.ttl) < 1 \
     or ip.src#1 == ip.dst#1 or ip.ttl + 1 == 300 or len(udp.payload) > 99 or icmp.type#2 == 3)";

/// What a view makes of every packet of a batch, and how often that allocated.
struct Pipeline {
    decoder: Decoder,
    tracker: Tracker,
    conversations: Conversations,
    decoded: Decoded,
    wanted: Program,
    display: DisplayFilter,
    lines: Lines,
    records: Records,
    text: String,
    bytes: Vec<u8>,
}

impl Pipeline {
    fn new() -> Self {
        Self {
            decoder: Decoder::default(),
            tracker: Tracker::default(),
            conversations: Conversations::default(),
            decoded: Decoded::default(),
            wanted: CaptureFilter::parse("not port 1 and not host 192.0.2.1", &NoNames)
                .and_then(|filter| {
                    filter.compile(Target {
                        link: LinkType::ETHERNET,
                        place: Place::Frame,
                        snaplen: 262_144,
                        netmask: None,
                    })
                })
                .unwrap()
                .program,
            display: DisplayFilter::compile(DISPLAY, &NoNames).unwrap(),
            lines: Lines::new(Options::default()),
            records: Records::default(),
            text: String::new(),
            bytes: Vec::new(),
        }
    }

    fn run(&mut self, batch: &Batch) -> u64 {
        self.text.clear();
        self.bytes.clear();
        let before = COUNT.get();
        self.decoder.batch(batch, &mut self.decoded);
        for index in 0..batch.len() {
            let frame = batch.frame(index).unwrap();
            let input = Input {
                bytes: frame.bytes,
                wire_len: frame.wire_len,
                packet_type: None,
            };
            assert!(self.wanted.run(&input) > 0 || frame.bytes.len() < 20);
            self.tracker
                .packet(&self.decoder, batch, &mut self.decoded, index);
            let packet = self.decoded.packet(batch, index).unwrap();
            let around = Around::of(&[], batch, index);
            self.conversations.packet(&packet, false);
            assert!(self.display.matches(&packet, &around));
            self.lines.packet(&packet, None, &mut self.text);
            self.records.packet(&packet, &around, &mut self.bytes);
        }
        COUNT.get() - before
    }
}

#[test]
fn a_warm_pipeline_allocates_nothing_per_packet() {
    let batch = batch(100);
    let mut pipeline = Pipeline::new();
    let cold = pipeline.run(&batch);
    assert!(cold > 0, "the allocator does not count");
    pipeline.run(&batch);
    assert_eq!(pipeline.text.lines().count(), batch.len());
    let warm = pipeline.run(&batch);
    assert_eq!(warm, 0, "{} packets", batch.len());
}

#[test]
fn building_allocates_nothing_per_packet() {
    let text = "eth / ip dst=10.0.0.0/24 ttl=1..9 / udp dport=1..100 / text=hello";
    let spec = Spec::parse(text, &NoFiles).unwrap();
    let mut built = Built::default();
    spec.build(0, &NoRoute, &mut built);
    let before = COUNT.get();
    for n in 0..1000 {
        spec.build(n * 101, &NoRoute, &mut built);
        assert_eq!(built.bytes.len(), 47);
    }
    assert_eq!(COUNT.get() - before, 0);
}

/// Sends 640 packets again and again by loopback, in a network of this thread's own.
fn send_by_loopback(text: &str, link: LinkType, hurry: bool) {
    let spec = Spec::parse(text, &NoFiles).unwrap();
    let mut built = Built::default();
    spec.build(0, &NoRoute, &mut built);
    let route = KernelRoute::through("lo").unwrap();
    let mut outlet = Outlet::open(&built.packet(link), &Via::Fitting, &route).unwrap();
    if hurry {
        outlet.hurry().unwrap();
    }
    let lengths = [built.bytes.len() as u32; 640];
    let bytes = built.bytes.repeat(lengths.len());
    for warm in [false, true] {
        let before = COUNT.get();
        let sent = outlet.send_many(&bytes, &lengths).unwrap();
        let allocated = COUNT.get() - before;
        assert_eq!(sent, lengths.len(), "{text}");
        assert!(!warm || allocated == 0, "{text}: {allocated}");
    }
}

#[test]
fn sending_allocates_nothing_per_packet() {
    let sending = || {
        if let Err(errno) = unshare(CloneFlags::CLONE_NEWNET) {
            return testing::skipped(format_args!("no network namespace: {errno}"));
        }
        let up = Command::new("ip")
            .args(["link", "set", "lo", "up"])
            .status();
        if !up.is_ok_and(|status| status.success()) {
            return testing::skipped("the ip command does not work here");
        }
        let ip = "ip src=127.0.0.1 dst=127.0.0.1 id=7 / udp dport=9 / text=hello";
        let frame = format!("eth src=02:00:00:00:00:01 dst=02:00:00:00:00:02 / {ip}");
        send_by_loopback(ip, LinkType::RAW, false);
        send_by_loopback(&frame, LinkType::ETHERNET, false);
        send_by_loopback(&frame, LinkType::ETHERNET, true);
    };
    thread::scope(|scope| {
        scope.spawn(sending);
    });
}
