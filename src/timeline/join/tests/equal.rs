//! Datagrams that nothing but their order tells apart.

use super::join;
use crate::{
    call::Caller,
    event::{CallId, Transport, Way},
    timeline::testing::{Log, at, caller, datagram},
};

#[test]
fn of_equal_datagrams_the_first_call_sent_the_first() {
    const ENDS: [&str; 2] = ["10.0.0.1:40000", "10.0.0.2:5000"];
    let mut log = Log::lab();
    let socket = log.appears(1, Transport::Udp);
    log.addresses(socket, ENDS[0], None);
    // Three threads at once.
    let by: [Caller; 3] = [1, 2, 3].map(caller);
    let calls = by.map(|by| log.sends(by, socket, b"same", Some(ENDS[1])));
    let same = || datagram(at(ENDS[0]), at(ENDS[1]), b"same");
    let packets = calls.map(|_| log.packet(Way::Wire, same(), None));
    let made = join(&log.entries);
    let causes = packets.map(|packet| {
        let tied = made.join.packet(packet).unwrap();
        let causes: Vec<CallId> = tied.causes.iter().map(|tie| tie.call).collect();
        causes
    });
    assert_eq!(causes, calls.map(|call| vec![call]));
}
