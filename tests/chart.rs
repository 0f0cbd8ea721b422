//! `chart`: the drawings, and the programs behind them played in a private network.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod beside;
mod lan;

use beside::fed;
use lan::{said, sockwire, testing::skipped};

/// Plays a chart, with `input` on standard input; nothing where there is no private network.
fn played(words: &str, input: &str) -> Option<String> {
    let output = fed(
        beside::sockwire(&format!("chart {words}")),
        input.as_bytes(),
    );
    if output.status.code() == Some(3) {
        skipped(said(&output).trim());
        return None;
    }
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    Some(String::from_utf8(output.stdout).unwrap())
}

/// The names of the calls that one end made, each when it was made or, where it does not block, when it was done.
fn calls_of<'a>(told: &'a str, lane: &str) -> Vec<&'a str> {
    let lines = told.lines().filter(|line| line.starts_with(lane));
    let calls = lines.filter_map(|line| line[lane.len()..].trim().split_once('('));
    let mut names: Vec<&str> = Vec::new();
    let mut waits = false;
    for (name, rest) in calls {
        if !waits {
            names.push(name);
        }
        waits = rest.ends_with("...");
    }
    names
}

#[test]
fn the_drawings_fit_and_are_ascii_on_request() {
    for chart in ["sequential", "concurrent", "udp"] {
        let output = sockwire(&format!("chart {chart} --ascii"));
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(
            text.is_ascii() && text.lines().all(|line| line.len() <= 80),
            "{text}"
        );
        assert!(text.contains("socket()") && text.contains('*'), "{text}");
    }
}

#[test]
fn the_programs_make_the_calls_that_are_drawn() {
    let Some(told) = played("sequential --live", "") else {
        return;
    };
    let server = [
        "socket", "bind", "listen", "accept", "recv", "send", "recv", "close", "close",
    ];
    assert_eq!(calls_of(&told, "server"), server, "{told}");
    let client = ["socket", "connect", "send", "recv", "close"];
    assert_eq!(calls_of(&told, "client"), client, "{told}");

    let Some(told) = played("concurrent --live", "") else {
        return;
    };
    let parent = [
        "socket", "bind", "listen", "accept", "fork", "close", "waitpid", "close",
    ];
    assert_eq!(calls_of(&told, "parent"), parent, "{told}");
    let child = ["fork", "close", "recv", "send", "recv", "close"];
    assert_eq!(calls_of(&told, "child"), child, "{told}");
    assert_eq!(calls_of(&told, "client"), client, "{told}");
}

#[test]
fn with_step_each_call_waits_for_a_line_and_the_end_of_input_lets_all_go() {
    let Some(told) = played("udp --live --step", "\n\n\n") else {
        return;
    };
    assert_eq!(
        calls_of(&told, "client"),
        ["socket", "sendto", "recvfrom", "close"],
        "{told}"
    );
    assert_eq!(
        calls_of(&told, "server"),
        ["socket", "bind", "recvfrom", "sendto", "close"],
        "{told}"
    );
}
