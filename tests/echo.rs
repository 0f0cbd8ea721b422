//! `echo`: what routers, NAT and the own kernel change is found by looking at both ends, and named.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod lan;

use std::process::{Command, Output};

use lan::{said, sockwire, testing};

/// Runs it; `None` where private networks are refused.
fn echo(words: &str) -> Option<(Option<i32>, String)> {
    let output: Output = sockwire(&format!("echo {words}"));
    if output.status.code() == Some(3) {
        testing::skipped(said(&output).trim());
        return None;
    }
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said(&output).is_empty(), "{words}: {}", said(&output));
    Some((output.status.code(), printed))
}

/// The lines below `title`, up to the next empty one.
fn below<'a>(title: &str, printed: &'a str) -> Vec<&'a str> {
    let lines = printed.lines().skip_while(|line| !line.starts_with(title));
    lines.take_while(|line| !line.is_empty()).collect()
}

#[test]
fn routers_take_off_the_ttl_and_nothing_else_but_the_link_header() {
    for (hops, change) in [(1, "ip.ttl         64 → 63"), (3, "ip.ttl         64 → 61")] {
        let words = format!("--hops {hops} ip dst=10.0.9.2 / udp dport=7 / text=hello");
        let Some((code, printed)) = echo(&words) else {
            return;
        };
        assert_eq!(code, Some(0), "{printed}");
        for title in ["From A to B", "From B to A"] {
            let lines = below(title, &printed).join("\n");
            assert!(
                lines.contains(change) && lines.contains("router: "),
                "{printed}"
            );
            assert!(
                lines.contains("ip.checksum") && !lines.contains("NAT: "),
                "{printed}"
            );
        }
        assert_eq!(printed.matches("len=5").count(), 5, "{printed}");
    }
    if let Some((_, printed)) = echo("--hops 0 ip dst=10.0.9.2 / tcp dport=7 flags=S") {
        assert!(
            printed.contains("From A to B: nothing changed"),
            "{printed}"
        );
        assert!(printed.contains("SYN,ACK"), "{printed}");
    }
}

#[test]
fn a_raw_socket_rewrites_what_a_packet_socket_leaves() {
    let words = "--hops 0 ip dst=10.0.9.2 id=0 chksum=0xdead / udp dport=7";
    let Some((code, exact)) = echo(words) else {
        return;
    };
    assert!(
        exact.contains("From the words to the wire: nothing changed"),
        "{exact}"
    );
    // Wrong as asked, so that B's kernel drops it; it arrived all the same.
    assert!(
        code == Some(0) && exact.contains("left B     nothing"),
        "{exact}"
    );
    let (_, raw) = echo(&format!("--via raw {words}")).unwrap();
    let changed = below("From the words to the wire", &raw).join("\n");
    assert!(changed.contains("ip.id          0x0000 → 0x"), "{raw}");
    assert!(changed.contains("ip.checksum    0xdead → 0x"), "{raw}");
    assert!(changed.contains("own kernel: "), "{raw}");
}

#[test]
fn a_packet_that_dies_on_the_way_says_where() {
    let Some((code, printed)) = echo("--hops 2 ip dst=10.0.9.2 ttl=1 / udp dport=7") else {
        return;
    };
    assert_eq!(code, Some(1));
    assert!(printed.contains("reached B  nothing"), "{printed}");
    assert!(
        printed.contains("10.0.0.2 → 10.0.0.1  ICMP  time to live exceeded"),
        "{printed}"
    );
}

#[test]
fn nat_is_told_from_routing() {
    let there = Command::new("nft").arg("--version").output();
    if there.is_err() {
        return testing::skipped("no nft command here");
    }
    let output = sockwire("echo --nat ip dst=10.0.9.2 / udp dport=7 / text=hello");
    let (told, printed) = (
        said(&output),
        String::from_utf8_lossy(&output.stdout).into_owned(),
    );
    if output.status.code() == Some(3) || told.contains("nft makes no NAT here") {
        return testing::skipped(told.trim());
    }
    assert_eq!(output.status.code(), Some(0), "{told}");
    let there = below("From A to B", &printed).join("\n");
    assert!(
        there.contains("ip.src         10.0.0.1 → 10.0.9.1"),
        "{printed}"
    );
    assert!(
        there.contains("udp.checksum") && there.contains("NAT: "),
        "{printed}"
    );
    let back = below("From B to A", &printed).join("\n");
    assert!(
        back.contains("ip.dst         10.0.9.1 → 10.0.0.1"),
        "{printed}"
    );
}

#[test]
fn wrong_words_are_told_before_anything_is_built() {
    for (words, told) in [
        ("echo", "SPEC"),
        ("echo --hops 4 ip", "from 0 to 3"),
        ("echo ip dts=10.0.9.2", "did you mean dst?"),
    ] {
        let output = sockwire(words);
        assert_eq!(output.status.code(), Some(2), "{words}");
        assert!(said(&output).contains(told), "{words}: {}", said(&output));
    }
}
