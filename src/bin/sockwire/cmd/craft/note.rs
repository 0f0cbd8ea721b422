//! What a crafted packet is probably not meant to be: one that a reader takes for something else.

use sockwire::{
    layer::Layer,
    protocol::{Claim, Protocol},
};

/// What to say of a packet with the layers `asked` that a reader finds to have the layers `read`; of `None` when it begins
/// above IP, where nobody could read it.
pub(super) fn of(asked: &[Layer], read: Option<&[Layer]>) -> Option<String> {
    let Some(read) = read else {
        return Some(
            "a whole packet begins with a link layer or IP: put eth / or ip / in front".into(),
        );
    };
    // Frames may have a layer of their own before the first that was asked for.
    let outermost = asked.first()?;
    let first = read.iter().position(|read| is(read, outermost))?;
    let read = &read[first..];
    let same = |at: usize| read.get(at).is_some_and(|read| is(read, &asked[at]));
    let at = (1..asked.len()).find(|at| !same(*at))?;
    let (before, meant) = (asked[at - 1].protocol, asked[at].protocol);
    let found = read.get(at).map(|layer| name(layer.protocol));
    let is_data = meant.craft.is_none();
    if is_data && found.is_none() {
        return None;
    }
    let found = found.unwrap_or("nothing");
    Some(format!(
        "behind {}, a reader finds {found}, not {}; {}",
        name(before),
        name(meant),
        belongs(meant)
    ))
}

fn is(a: &Layer, b: &Layer) -> bool {
    std::ptr::eq(a.protocol, b.protocol)
}

fn name(protocol: &'static Protocol) -> &'static str {
    let craft = protocol.craft.and_then(|craft| craft.names.first());
    craft.copied().unwrap_or(protocol.name)
}

/// Where a layer is found by those who read.
fn belongs(protocol: &Protocol) -> String {
    match protocol.claims.first() {
        Some(Claim::Link(_)) => "it begins a packet".into(),
        Some(Claim::EtherType(kind)) => {
            format!("it belongs into a link layer such as eth, as type {kind:#06x}")
        }
        Some(Claim::IpProto(number)) => {
            format!("it belongs into ip or ip6, as protocol {number}")
        }
        Some(Claim::UdpPort(port)) => format!("it belongs into udp with port {port}"),
        Some(Claim::TcpPort(port)) => format!("it belongs into tcp with port {port}"),
        _ => "numbers that nobody uses leave bytes alone: ip proto=253, eth type=0x88b5".into(),
    }
}
