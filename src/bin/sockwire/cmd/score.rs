//! How much of what was printed in the notation of `craft` could be said in words, protocol by protocol.

use std::fmt::Write as _;

use sockwire::craft::Printed;

/// Bytes of headers so far.
#[derive(Default)]
pub(super) struct Score {
    /// Protocol, its bytes, and how many of them stand as `hex=`.
    protocols: Vec<(&'static str, u64, u64)>,
}

impl Score {
    /// Takes the headers of a packet.
    pub(super) fn add(&mut self, headers: &[Printed]) {
        for header in headers {
            let name = header.protocol.name;
            let known = self.protocols.iter().position(|(known, ..)| *known == name);
            let at = known.unwrap_or_else(|| {
                self.protocols.push((name, 0, 0));
                self.protocols.len() - 1
            });
            let (_, bytes, as_hex) = &mut self.protocols[at];
            *bytes += header.bytes as u64;
            *as_hex += if header.as_hex {
                header.bytes as u64
            } else {
                0
            };
        }
    }

    /// In words: the share of all, then each protocol that has some, most first.
    pub(super) fn words(&self) -> String {
        let sum = |of: fn(&(&str, u64, u64)) -> u64| self.protocols.iter().map(of).sum::<u64>();
        let (bytes, as_hex) = (sum(|p| p.1), sum(|p| p.2));
        if as_hex == 0 {
            return format!("all {bytes} bytes of headers are in words");
        }
        let share = 100.0 * as_hex as f64 / bytes as f64;
        let mut words =
            format!("{as_hex} of {bytes} bytes of headers stand as hex= ({share:.2} %)");
        let mut some: Vec<_> = self.protocols.iter().filter(|p| p.2 > 0).collect();
        some.sort_by_key(|p| std::cmp::Reverse(p.2));
        for (index, (name, bytes, as_hex)) in some.iter().enumerate() {
            let comma = if index == 0 { ":" } else { "," };
            // Writing to a String cannot fail.
            let _ = write!(words, "{comma} {name} {as_hex} of {bytes}");
        }
        words
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sockwire::proto;

    #[test]
    fn the_share_and_who_has_it() {
        let header = |name: &str, bytes, as_hex| Printed {
            protocol: proto::ALL
                .iter()
                .find(|p| p.name == name)
                .unwrap_or(&proto::ALL[0]),
            bytes,
            as_hex,
        };
        let mut score = Score::default();
        score.add(&[header("ip", 20, false), header("tcp", 20, false)]);
        assert_eq!(score.words(), "all 40 bytes of headers are in words");
        score.add(&[header("ip", 20, true), header("tcp", 40, true)]);
        assert_eq!(
            score.words(),
            "60 of 100 bytes of headers stand as hex= (60.00 %): tcp 40 of 60, ip 20 of 40"
        );
    }
}
