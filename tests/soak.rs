//! A long file over a wire that loses frames: the determined sender and a receiver whose checksum tells whether all of it came.
//!
//! In megabytes of two to the twentieth, and the share of frames lost: `SOCKWIRE_SOAK_MIB=1024 SOCKWIRE_SOAK_LOSS=0.01`,
//! with `cargo test --release --test soak -- --nocapture` for what came of it.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod lan;

use std::{
    env,
    fs::{self, File},
    io::{self, Read, Write},
    net::{TcpListener, TcpStream},
    ops::ControlFlow,
    str::FromStr,
    sync::mpsc::channel,
    time::Instant,
};

use lan::{Temporary, in_own_network, testing};
use sha1::{Digest, Sha1};
use sockwire::{
    call::Address,
    lab::{
        Event, Link, PRIVATE_IPV4,
        hosts::{self, Body},
        refusal::Way,
    },
    sockets::{
        Journal,
        client::{Determined, Dial},
    },
    sys::machine,
    time::MILLISECOND,
};

const MIB: usize = 1 << 20;

/// A number from the environment.
fn asked<T: FromStr>(name: &str, usual: T) -> T {
    match env::var(name) {
        Ok(word) => word
            .parse()
            .unwrap_or_else(|_| panic!("{name} is no number: {word}")),
        Err(_) => usual,
    }
}

/// A file of which no two blocks are alike, and its checksum.
fn made(file: &Temporary, blocks: usize) -> Vec<u8> {
    let mut out = File::create(&file.0).unwrap();
    let mut sum = Sha1::new();
    let mut block: Vec<u8> = (0..MIB).map(|at| (at % 251) as u8).collect();
    for number in 0..blocks as u64 {
        block[..8].copy_from_slice(&number.to_be_bytes());
        out.write_all(&block).unwrap();
        sum.update(&block);
    }
    // A last block that is not whole: the one that is easily forgotten.
    out.write_all(b"end").unwrap();
    sum.update(b"end");
    sum.finalize().to_vec()
}

/// Takes all that one client sends, answers with the count, and gives back the checksum.
fn receive(mut client: TcpStream) -> io::Result<Vec<u8>> {
    let (mut sum, mut count) = (Sha1::new(), 0);
    let mut buffer = vec![0; 1 << 16];
    loop {
        let len = client.read(&mut buffer)?;
        if len == 0 {
            break;
        }
        sum.update(&buffer[..len]);
        count += len;
    }
    client.write_all(count.to_string().as_bytes())?;
    Ok(sum.finalize().to_vec())
}

/// The most memory that this process has had, in KiB.
fn peak() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let number = line.and_then(|line| line.split_whitespace().next());
    number.unwrap().parse().unwrap()
}

#[test]
fn a_file_arrives_whole_over_a_wire_that_loses_frames() {
    in_own_network(|| {
        if !machine::has(caps::Capability::CAP_SYS_ADMIN) {
            return testing::skipped("hosts of its own need CAP_SYS_ADMIN");
        }
        let blocks = asked("SOCKWIRE_SOAK_MIB", 4);
        let file = Temporary::new("soak");
        let sent = made(&file, blocks);
        let before = peak();
        let start = Instant::now();
        let (ready, wait) = channel();
        let (say_sum, received) = channel();
        let (say_delivery, delivered) = channel();
        let server = PRIVATE_IPV4[1];
        let path = file.0.clone();
        let bodies: [Body; 2] = [
            Box::new(move || {
                wait.recv().unwrap();
                let determined = Determined {
                    dial: &Dial::default(),
                    addresses: &[Address::Ip((server, 4000).into())],
                    tries: Some(5),
                    stopped: &|| false,
                };
                let mut file = File::open(path).unwrap();
                let delivery = determined.deliver(&Journal::default(), &mut file, &mut |_| ());
                say_delivery.send(delivery.unwrap()).unwrap();
                Ok(())
            }),
            Box::new(move || {
                let listener = TcpListener::bind((server, 4000)).unwrap();
                ready.send(()).unwrap();
                // The first one is let down in the middle: its connection is closed with data unread (RST).
                let (mut first, _) = listener.accept().unwrap();
                first.read_exact(&mut vec![0; MIB / 2]).unwrap();
                drop(first);
                let (second, _) = listener.accept().unwrap();
                say_sum.send(receive(second).unwrap()).unwrap();
                Ok(())
            }),
        ];
        let loss = asked("SOCKWIRE_SOAK_LOSS", 0.01);
        let link = Link {
            delay: MILLISECOND / 10,
            loss,
            ..Link::default()
        };
        let (mut frames, mut lost) = (0_u64, 0_u64);
        hosts::run(
            &link,
            PRIVATE_IPV4,
            Way::Administrator,
            bodies,
            &mut |event| {
                if let Event::Sent(transit) = event {
                    frames += 1;
                    lost += u64::from(transit.dropped.is_some());
                }
                ControlFlow::Continue(())
            },
        )
        .unwrap();
        let delivery = delivered.try_recv().unwrap();
        assert!(delivery.fault.is_none(), "{:?}", delivery.fault);
        assert_eq!(delivery.tries, 2);
        assert_eq!(delivery.bytes, (blocks * MIB + 3) as u64);
        assert!(lost > 0, "a wire that loses nothing shows nothing");
        assert_eq!(received.try_recv().unwrap(), sent, "checksums");
        println!(
            "{blocks} MiB, loss {loss}: {:.1} s, {} tries, {lost} of {frames} frames lost, checksums equal, peak {before} -> {} KiB",
            start.elapsed().as_secs_f64(),
            delivery.tries,
            peak()
        );
    });
}
