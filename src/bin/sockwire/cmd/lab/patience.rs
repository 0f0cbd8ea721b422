//! How long this machine's connect waits for an answer to its SYN, as its settings have it: what `lab filtered` cuts short.

use sockwire::sys::machine::ipv4_setting;

/// In a sentence; nothing where the settings cannot be read.
pub(super) fn sentence() -> Option<String> {
    let read = |name| ipv4_setting(name)?.parse().ok();
    Some(words(
        read("tcp_syn_retries")?,
        read("tcp_syn_linear_timeouts"),
    ))
}

/// `linear` is nothing on kernels before 6.5, which know no such waits.
fn words(retries: u32, linear: Option<u32>) -> String {
    let steady = linear.unwrap_or(0);
    let times = match retries.saturating_add(steady) {
        1 => "once".to_owned(),
        more => format!("{more} times"),
    };
    // The steady waits last a second each; then each lasts twice as long as the one before it, two minutes at most.
    let doubled = (0..=retries).map(|n| 120.min(1_u64 << n.min(7)));
    let seconds = doubled.fold(u64::from(steady), u64::saturating_add);
    let linear = linear.map_or_else(String::new, |linear| {
        format!(", tcp_syn_linear_timeouts = {linear}")
    });
    format!(
        "This machine's kernel sends the SYN {times} more, and connect fails with ETIMEDOUT after {seconds} s and a little more \
         (net.ipv4.tcp_syn_retries = {retries}{linear})."
    )
}

#[cfg(test)]
mod tests {
    use super::words;

    /// As measured on Linux 6.18: 7.2 s, 19.5 s, and of the fourth 135.2 s, since long timers are late.
    #[test]
    fn the_waits_are_added_up_as_the_kernel_waits() {
        let cases = [
            (2, Some(0), "2 times", "7 s"),
            (3, Some(4), "7 times", "19 s"),
            (6, None, "6 times", "127 s"),
            (6, Some(4), "10 times", "131 s"),
            (1, Some(0), "once", "3 s"),
        ];
        for (retries, linear, times, seconds) in cases {
            let words = words(retries, linear);
            assert!(
                words.contains(&format!("the SYN {times} more"))
                    && words.contains(&format!("after {seconds} ")),
                "{words}"
            );
        }
        assert!(!words(6, None).contains("linear"));
        assert!(words(127, Some(255)).contains("382 times"));
    }
}
