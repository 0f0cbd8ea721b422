//! Finds the end of a body that is cut into chunks (RFC 9112 §7.1), however its bytes come.

/// Where in such a body a reader is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Chunks {
    /// In the digits of a size.
    Size(u64),
    /// Behind them, in the line.
    Line(u64),
    /// So many bytes before the end of a chunk.
    Data(u64),
    /// In the line break behind a chunk.
    Break,
    /// In the lines behind the last chunk; whether this one is empty so far.
    Trailer(bool),
}

/// How reading ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The body goes on.
    Open,
    /// It ended behind so many bytes.
    At(usize),
    /// These are no chunks.
    Broken,
}

impl Chunks {
    pub(super) const BEGIN: Self = Self::Size(0);

    /// Reads on.
    pub(super) fn read(&mut self, bytes: &[u8]) -> End {
        let mut at = 0;
        while let Some(&byte) = bytes.get(at) {
            at += 1;
            *self = match (*self, byte) {
                (Self::Data(left), _) => {
                    let here = left.min((bytes.len() - at + 1) as u64);
                    at += here as usize - 1;
                    match left - here {
                        0 => Self::Break,
                        left => Self::Data(left),
                    }
                }
                (Self::Size(0) | Self::Line(0), b'\n') => Self::Trailer(true),
                (Self::Size(size) | Self::Line(size), b'\n') => Self::Data(size),
                (Self::Line(size), _) => Self::Line(size),
                (Self::Size(size), byte) => match char::from(byte).to_digit(16) {
                    Some(digit) if size < 1 << 56 => Self::Size(size << 4 | u64::from(digit)),
                    None if b"\r; \t".contains(&byte) => Self::Line(size),
                    _ => return End::Broken,
                },
                (Self::Break, b'\n') => Self::BEGIN,
                (Self::Break, b'\r') => Self::Break,
                (Self::Break, _) => return End::Broken,
                (Self::Trailer(true), b'\n') => return End::At(at),
                (Self::Trailer(_), b'\n') => Self::Trailer(true),
                (Self::Trailer(empty), b'\r') => Self::Trailer(empty),
                (Self::Trailer(_), _) => Self::Trailer(false),
            };
        }
        End::Open
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_is_found_however_little_comes_at_once() {
        for body in [
            "5\r\nhello\r\n0\r\n\r\n",
            "a;ext=\"0\"\r\n0\r\n\r\n12345\r\n1\n!\n0\nTrailer: 1\r\n\r\n",
        ] {
            let bytes = [body.as_bytes(), b"HTTP/1.1"].concat();
            let mut chunks = Chunks::BEGIN;
            assert_eq!(chunks.read(&bytes), End::At(body.len()), "{body}");
            chunks = Chunks::BEGIN;
            for (index, byte) in bytes[..body.len()].iter().enumerate() {
                let end = match index + 1 == body.len() {
                    true => End::At(1),
                    false => End::Open,
                };
                assert_eq!(chunks.read(&[*byte]), end, "{body} at {index}");
            }
        }
    }

    #[test]
    fn what_are_no_chunks_is_told() {
        for body in ["hello", "1\r\nhello", "ffffffffffffffffff\r\n"] {
            let mut chunks = Chunks::BEGIN;
            assert_eq!(chunks.read(body.as_bytes()), End::Broken, "{body}");
        }
    }
}
