//! `whose`: who owns a listening socket, both ends of a connection, and those that nobody owns.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod lan;

use std::{
    net::{TcpListener, TcpStream, UdpSocket},
    process::{Command, Output},
};

use lan::{in_own_network, said, sockwire, testing};
use nix::unistd::dup;
use serde_json::Value;

fn told(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn records(words: &str) -> Vec<Value> {
    let lines = told(&sockwire(words));
    let lines = lines.lines().map(serde_json::from_str);
    lines.collect::<Result<_, _>>().unwrap()
}

#[test]
fn the_listener_and_both_ends_are_named_with_process_and_descriptors() {
    in_own_network(|| {
        let own = u64::from(std::process::id());
        let listener = TcpListener::bind("127.0.0.1:5000").unwrap();
        let client = TcpStream::connect("127.0.0.1:5000").unwrap();
        let port = client.local_addr().unwrap().port();
        let waiting = records("whose :5000 --json");
        let owners = |records: &[Value]| -> Vec<(String, String)> {
            let word = |value: &Value| value.as_str().unwrap().to_owned();
            let one = |record: &Value| (word(&record["state"]), word(&record["owner"]));
            records.iter().map(one).collect()
        };
        let pair = |state: &str, owner: &str| (state.to_owned(), owner.to_owned());
        assert_eq!(
            owners(&waiting),
            [
                pair("LISTEN", "processes"),
                pair("ESTABLISHED", "queued"),
                pair("ESTABLISHED", "processes")
            ]
        );
        assert!(told(&sockwire("whose 5000")).contains("waits for the accept()"));
        let (accepted, _) = listener.accept().unwrap();
        let _second = dup(&accepted).unwrap();
        let accepted = records("whose 127.0.0.1:5000 --json");
        assert_eq!(accepted.len(), 3);
        for record in &accepted {
            assert_eq!(record["processes"][0]["pid"], own, "{record}");
        }
        let numbers = accepted[1]["processes"][0]["descriptors"].as_array();
        assert_eq!(numbers.map(Vec::len), Some(2), "{accepted:?}");
        // One connection, by either of its names.
        for words in [
            format!("whose 127.0.0.1:5000 127.0.0.1:{port} --json"),
            format!("whose 127.0.0.1:{port}->127.0.0.1:5000 --json"),
        ] {
            let both = records(&words);
            assert_eq!(both.len(), 2, "{both:?}");
            assert_eq!(both[0]["peer"]["port"], port, "{both:?}");
        }
    });
}

#[test]
fn a_connection_that_is_over_has_no_owner() {
    in_own_network(|| {
        let listener = TcpListener::bind("127.0.0.1:5000").unwrap();
        let client = TcpStream::connect("127.0.0.1:5000").unwrap();
        let (accepted, _) = listener.accept().unwrap();
        drop(client);
        drop(accepted);
        let lines = told(&sockwire("whose :5000"));
        assert!(
            lines.contains("gone (TIME-WAIT): no process owns it any more"),
            "{lines}"
        );
    });
}

#[test]
fn who_is_not_there_may_be_near() {
    in_own_network(|| {
        let udp = UdpSocket::bind("127.0.0.1:5000").unwrap();
        let _tcp = TcpListener::bind("127.0.0.1:6000").unwrap();
        let lines = told(&sockwire("whose --udp :5000"));
        assert!(lines.starts_with("udp  bound "), "{lines}");
        udp.connect("127.0.0.1:5300").unwrap();
        let lines = told(&sockwire("whose --udp 5300"));
        assert!(
            lines.contains("connected    127.0.0.1:5000 -> 127.0.0.1:5300"),
            "{lines}"
        );
        for (words, hint) in [
            ("whose :5000", "a UDP socket (with --udp): udp connected"),
            (
                "whose 127.0.0.2:6000",
                "at another address: tcp LISTEN 127.0.0.1:6000",
            ),
            ("whose :7", "no TCP socket there; all that wait"),
        ] {
            let none = sockwire(words);
            assert_eq!(none.status.code(), Some(1), "{none:?}");
            assert!(said(&none).contains(hint), "{none:?}");
        }
        let wrong = sockwire("whose localhost");
        assert_eq!(wrong.status.code(), Some(2), "{wrong:?}");
        assert!(said(&wrong).contains("[::1]:5000"), "{wrong:?}");
    });
}

#[test]
fn of_other_users_the_user_is_told() {
    if !nix::unistd::geteuid().is_root() {
        return testing::skipped("needs two users");
    }
    in_own_network(|| {
        let _listener = TcpListener::bind("[::]:5000").unwrap();
        let stranger = Command::new("setpriv")
            .args([
                "--reuid=65534",
                "--clear-groups",
                env!("CARGO_BIN_EXE_sockwire"),
            ])
            .args(["whose", ":5000"])
            .output();
        let Ok(stranger) = stranger else {
            return testing::skipped("no setpriv here");
        };
        let lines = told(&stranger);
        assert!(
            lines.contains("not yours: uid 0 (root); run with sudo to see the process"),
            "{lines}"
        );
    });
}
