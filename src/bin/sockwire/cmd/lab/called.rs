//! Socket calls as a line: name, arguments, result, and how long it took where that is worth knowing.

use sockwire::{
    call::{Address, Answer, Call, Called, Data, Family, How, Kind},
    text::Safe,
    time::MILLISECOND,
};

/// At most `room` columns.
pub(super) fn text(called: &Called, room: usize) -> String {
    let mut text = format!("{} = {}", asked(&called.call), answered(called));
    if called.took >= MILLISECOND {
        text += &format!("   {:.1} ms", called.took as f64 / MILLISECOND as f64);
    }
    text.chars().take(room).collect()
}

fn asked(call: &Call) -> String {
    match call {
        Call::GetAddrInfo { node, service } => format!("getaddrinfo({node}, {service})"),
        Call::Socket { family, kind } => {
            let family = match family {
                Family::Inet => "AF_INET",
                Family::Inet6 => "AF_INET6",
                Family::Unix => "AF_UNIX",
            };
            let kind = match kind {
                Kind::Stream => "SOCK_STREAM",
                Kind::Datagram => "SOCK_DGRAM",
            };
            format!("socket({family}, {kind})")
        }
        Call::SetSockOpt { fd, choice, value } => format!("setsockopt({fd}, {choice:?}, {value})"),
        Call::Bind { fd, address } => format!("bind({fd}, {address})"),
        Call::Listen { fd, backlog } => format!("listen({fd}, {backlog})"),
        Call::Accept { fd } => format!("accept({fd})"),
        Call::Connect { fd, address } => format!("connect({fd}, {address})"),
        Call::Send { fd, data } => format!("send({fd}, {})", excerpt(data)),
        Call::SendTo { fd, data, to } => format!("sendto({fd}, {}, {to})", excerpt(data)),
        Call::Recv { fd, size } => format!("recv({fd}, {size})"),
        Call::RecvFrom { fd, size } => format!("recvfrom({fd}, {size})"),
        Call::Shutdown { fd, how } => {
            let how = match how {
                How::Read => "SHUT_RD",
                How::Write => "SHUT_WR",
                How::Both => "SHUT_RDWR",
            };
            format!("shutdown({fd}, {how})")
        }
        Call::Close { fd } => format!("close({fd})"),
        Call::Poll { fds, .. } => format!("poll({fds:?})"),
        Call::GetSockName { fd } => format!("getsockname({fd})"),
        Call::GetPeerName { fd } => format!("getpeername({fd})"),
        Call::Fork => "fork()".to_owned(),
        Call::WaitPid { process } => {
            let process = process.map_or_else(|| "-1".to_owned(), |process| process.to_string());
            format!("waitpid({process})")
        }
    }
}

fn answered(called: &Called) -> String {
    match &called.result {
        Err(error) => nix::errno::Errno::from_raw(*error)
            .to_string()
            .replace(':', ","),
        Ok(answer) => match answer {
            Answer::Done => "0".to_owned(),
            Answer::Count(count) => count.to_string(),
            Answer::Fd(fd) => fd.to_string(),
            Answer::Accepted(fd, from) => format!("{fd}, {from}"),
            Answer::Data(data) => counted(data),
            Answer::Datagram(data, from, cut) => {
                let cut = if *cut { ", cut (MSG_TRUNC)" } else { "" };
                format!("{}, {}{cut}", counted(data), address(from))
            }
            Answer::Ready(fds) => format!("{fds:?}"),
            Answer::Address(address) => address.to_string(),
            Answer::Addresses(addresses) => format!("{addresses:?}"),
            Answer::Process(process) => process.to_string(),
        },
    }
}

fn address(address: &Address) -> String {
    address.to_string()
}

fn counted(data: &Data) -> String {
    match data.len {
        0 => "0".to_owned(),
        len => format!("{len} {}", excerpt(data)),
    }
}

fn excerpt(data: &Data) -> String {
    let head = &data.head[..data.head.len().min(20)];
    let more = if head.len() < data.len { "…" } else { "" };
    format!("\"{}{more}\"", Safe(head))
}
