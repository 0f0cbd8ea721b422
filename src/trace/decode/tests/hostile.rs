//! Pointers that lead nowhere, lengths that no kernel takes, and any registers over any memory.

use super::*;

#[test]
fn pointers_that_lead_nowhere_are_shown_as_they_are() {
    let empty = Fake::default();
    let bad = 0xdead_beef;
    let shown = |number, args: &[u64]| line(number, args, false, -14, &empty);
    let fault = "-1 EFAULT";
    for (number, args, expected) in [
        (
            libc::SYS_sendto,
            &[3, bad, 5, 0, bad, 16][..],
            "sendto(3, 0xdeadbeef, 5, 0, 0xdeadbeef, 16)",
        ),
        (libc::SYS_bind, &[3, 0, 16], "bind(3, NULL, 16)"),
        (libc::SYS_sendmsg, &[3, bad, 0], "sendmsg(3, 0xdeadbeef, 0)"),
        (
            libc::SYS_sendmmsg,
            &[3, bad, 9, 0],
            "sendmmsg(3, 0xdeadbeef, 9, 0)",
        ),
        (libc::SYS_writev, &[3, bad, 2], "writev(3, 0xdeadbeef, 2)"),
        (
            libc::SYS_setsockopt,
            &[3, 6, 1, bad, 4],
            "setsockopt(3, IPPROTO_TCP, TCP_NODELAY, 0xdeadbeef, 4)",
        ),
        (
            libc::SYS_ppoll,
            &[bad, 1, bad, bad],
            "ppoll(0xdeadbeef, 1, 0xdeadbeef, 0xdeadbeef)",
        ),
    ] {
        assert_eq!(shown(number, args), format!("{expected} = {fault}"));
    }
    // A success without memory is survived as well.
    let (_, answered) = both(
        libc::SYS_recvfrom,
        &[3, bad, 5, 0, bad, bad],
        false,
        5,
        &empty,
    );
    assert_eq!(answered.parts[0].data.len, 5);
    assert!(answered.out.is_empty());
}

#[test]
fn lengths_that_no_kernel_takes_are_survived() {
    let memory = memory();
    let (asked, _) = both(
        libc::SYS_sendto,
        &[3, HELLO, u64::MAX, 0, 0],
        true,
        -14,
        &memory,
    );
    assert_eq!(asked.parts[0].data.len, usize::MAX);
    assert_eq!(asked.parts[0].data.head, b"hello");
    let shown = |number, args: &[u64]| line(number, args, true, -22, &memory);
    assert_eq!(
        shown(libc::SYS_connect, &[3, ADDRESS, u64::MAX]),
        "connect(3, 0x2000, -1) = -1 EINVAL"
    );
    assert_eq!(
        shown(libc::SYS_writev, &[3, IOVECS, 1025]),
        "writev(3, 0x4000, 1025) = -1 EINVAL"
    );
}

#[test]
fn of_control_messages_without_end_some_are_looked_at() {
    let mut memory = memory();
    let one = [longs(&[20]), ints(&[1, 4711, 7, 0])].concat();
    memory.pieces.push((0x20000, one.repeat(100)));
    let header = [0, 0, IOVECS, 2, 0x20000, 2400, 0];
    memory.pieces.push((0x30000, longs(&header)));
    let (asked, _) = both(libc::SYS_sendmsg, &[3, 0x30000, 0], false, -14, &memory);
    let Arg::Group(args) = &asked.args[1] else {
        panic!("{asked:?}")
    };
    // The data, and then these.
    assert_eq!(args.len(), 1 + 16);
    assert_eq!(args[1], args[16]);
}

/// Any memory: each address has bytes that its number and a seed decide.
struct Wild {
    seed: u64,
    bytes: Cell<usize>,
}

impl Memory for Wild {
    fn read(&self, address: u64, buffer: &mut [u8]) -> usize {
        let mut state = self.seed ^ address;
        for byte in &mut *buffer {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            // Small numbers are frequent in structures.
            *byte = if state >> 62 == 0 {
                (state >> 56) as u8
            } else {
                0
            };
        }
        self.bytes.set(self.bytes.get() + buffer.len());
        // Some of it is missing, and some memory says that it read more than it was asked for.
        match self.seed % 3 {
            0 => buffer.len(),
            1 => (state >> 40) as usize % (buffer.len() + 1),
            _ => buffer.len() + 1,
        }
    }
}

/// Registers as calls have them, and as they have them not.
fn register() -> impl Strategy<Value = u64> {
    prop_oneof![0..64u64, 0..70_000u64, any::<u64>(), Just(u64::MAX)]
}

proptest! {
    #[test]
    fn any_registers_and_any_memory_are_survived(
        row in any::<prop::sample::Index>(),
        args in prop::array::uniform6(register()),
        value in prop_oneof![-4096..64i64, any::<i64>()],
        seed in any::<u64>(),
        stream in any::<bool>(),
    ) {
        let (always, above) = table::filter_numbers(Wanted { net_only: false, waits: true });
        let numbers = [always, above].concat();
        let number = numbers[row.index(numbers.len())];
        let syscall = table::find(i64::from(number)).unwrap();
        let memory = Wild { seed, bytes: Cell::new(0) };
        if let Some(mut asked) = asked(syscall, args, &memory, stream) {
            let _ = answered(syscall, args, value, &memory, &asked, stream);
            asked.sink_is_socket();
            let answered = answered(syscall, args, value, &memory, &asked, stream);
            for part in asked.parts.iter().chain(&answered.parts) {
                prop_assert!(part.data.head.len() <= HEAD);
            }
        }
        // 1024 messages, each with 1024 buffers, a head, an address and control data, three times.
        let most = 3 * 1024 * (1024 * 16 + 64 + HEAD + 128 + 4096);
        prop_assert!(memory.bytes.get() <= most, "{} bytes", memory.bytes.get());
    }
}
