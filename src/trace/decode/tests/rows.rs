//! Every row of the table against text written by hand.

use super::*;

const INET: u64 = libc::AF_INET as u64;
const STREAM: u64 = libc::SOCK_STREAM as u64 | libc::SOCK_CLOEXEC as u64;
const NOSIGNAL: u64 = libc::MSG_NOSIGNAL as u64;
const TCP: u64 = libc::IPPROTO_TCP as u64;
const HERE: u64 = u64::MAX;

/// Number, arguments, whether the socket is one of a stream, the value returned, and the line.
type Case<'a> = (libc::c_long, &'a [u64], bool, i64, &'a str);

#[rustfmt::skip]
const CASES: &[Case<'_>] = &[
    (libc::SYS_socket, &[INET, STREAM, 0], true, 3, "socket(AF_INET, SOCK_STREAM|SOCK_CLOEXEC, 0) = 3"),
    (libc::SYS_socket, &[INET, STREAM, TCP], true, -24, "socket(AF_INET, SOCK_STREAM|SOCK_CLOEXEC, IPPROTO_TCP) = -1 EMFILE"),
    (libc::SYS_socketpair, &[1, 1, 0, PAIR], true, 0, "socketpair(AF_UNIX, SOCK_STREAM, 0, pair) = 0 {4, 5}"),
    (libc::SYS_bind, &[3, ADDRESS, 16], true, 0, "bind(3, <10.0.0.1:5000>, 16) = 0"),
    (libc::SYS_listen, &[3, 128], true, 0, "listen(3, 128) = 0"),
    (libc::SYS_accept, &[3, ADDRESS, SIXTEEN], true, 4, "accept(3, &from, &size) = 4 <10.0.0.1:5000>"),
    (libc::SYS_accept, &[3, 0, 0], true, 4, "accept(3, NULL, NULL) = 4"),
    (libc::SYS_accept4, &[3, MAPPED, SIXTEEN, libc::SOCK_NONBLOCK as u64], true, 4, "accept4(3, &from, &size, SOCK_NONBLOCK) = 4 <10.0.0.1:5000>"),
    (libc::SYS_connect, &[3, MAPPED, 28], true, -111, "connect(3, <10.0.0.1:5000>, 28) = -1 ECONNREFUSED"),
    (libc::SYS_sendto, &[3, HELLO, 5, NOSIGNAL, 0, 0], true, 5, "send(3, \"hello\", 5, MSG_NOSIGNAL) = 5"),
    (libc::SYS_sendto, &[3, HELLO, 5, 0, ADDRESS, 16], false, 5, "sendto(3, \"hello\", 5, 0, <10.0.0.1:5000>, 16) = 5"),
    (libc::SYS_recvfrom, &[3, HELLO, 1024, 0, 0, 0], true, 5, "recv(3, buffer, 1024, 0) = 5 \"hello\""),
    (libc::SYS_recvfrom, &[3, HELLO, 1024, 0, 0, 0], true, 0, "recv(3, buffer, 1024, 0) = 0"),
    (libc::SYS_recvfrom, &[3, HELLO, 1024, 0, ADDRESS, SIXTEEN], false, 5, "recvfrom(3, buffer, 1024, 0, &from, &size) = 5 \"hello\", <10.0.0.1:5000>"),
    (libc::SYS_recvfrom, &[3, HELLO, 1024, 0, ADDRESS, SIXTEEN], false, 0, "recvfrom(3, buffer, 1024, 0, &from, &size) = 0 \"\", <10.0.0.1:5000>"),
    (libc::SYS_sendmsg, &[3, MESSAGE, NOSIGNAL], false, 5, "sendmsg(3, {<10.0.0.1:5000>, \"hello\", {SCM_RIGHTS, {7, 8}}}, MSG_NOSIGNAL) = 5"),
    (libc::SYS_sendmmsg, &[3, MESSAGES, 2, 0], false, 2, "sendmmsg(3, {{<10.0.0.1:5000>, \"hello\", {SCM_RIGHTS, {7, 8}}}, {<10.0.0.1:5000>, \"hello\", {SCM_RIGHTS, {7, 8}}}}, 2, 0) = 2"),
    (libc::SYS_recvmsg, &[3, MESSAGE, 0], false, 4, "recvmsg(3, &message, 0) = 4 \"hell\", <10.0.0.1:5000>, {SCM_RIGHTS, {7, 8}}"),
    (libc::SYS_recvmmsg, &[3, MESSAGES, 2, 0, TIME], false, 2, "recvmmsg(3, messages, 2, 0, {tv_sec=1, tv_nsec=500000}) = 2 {\"hello\", <10.0.0.1:5000>, {SCM_RIGHTS, {7, 8}}}, {\"he\", <10.0.0.1:5000>, {SCM_RIGHTS, {7, 8}}}"),
    (libc::SYS_shutdown, &[3, 1], true, 0, "shutdown(3, SHUT_WR) = 0"),
    (libc::SYS_shutdown, &[3, 9], true, -22, "shutdown(3, 9) = -1 EINVAL"),
    (libc::SYS_getsockopt, &[3, 1, 4, ONE, SIXTEEN], true, 0, "getsockopt(3, SOL_SOCKET, SO_ERROR, &value, &size) = 0 {EPERM (operation not permitted)}"),
    (libc::SYS_setsockopt, &[3, 1, 2, ONE, 4], true, 0, "setsockopt(3, SOL_SOCKET, SO_REUSEADDR, {1}, 4) = 0"),
    (libc::SYS_getsockname, &[3, ADDRESS, SIXTEEN], true, 0, "getsockname(3, &address, &size) = 0 <10.0.0.1:5000>"),
    (libc::SYS_getpeername, &[3, ADDRESS, SIXTEEN], true, -107, "getpeername(3, &address, &size) = -1 ENOTCONN"),
    (libc::SYS_read, &[3, HELLO, 5], true, 2, "read(3, buffer, 5) = 2 \"he\""),
    (libc::SYS_write, &[3, HELLO, 5], true, 5, "write(3, \"hello\", 5) = 5"),
    (libc::SYS_readv, &[3, IOVECS, 2], true, 4, "readv(3, buffers, 2) = 4 \"hell\""),
    (libc::SYS_writev, &[3, IOVECS, 2], true, 5, "writev(3, {\"hello\"}, 2) = 5"),
    (libc::SYS_preadv2, &[3, IOVECS, 2, HERE, 0, libc::RWF_NOWAIT as u64], true, 5, "preadv2(3, buffers, 2, -1, RWF_NOWAIT) = 5 \"hello\""),
    (libc::SYS_pwritev2, &[3, IOVECS, 2, HERE, 0, 0], true, 5, "pwritev2(3, {\"hello\"}, 2, -1, 0) = 5"),
    (libc::SYS_sendfile, &[3, 5, OFFSET, 4096], true, 4096, "sendfile(3, 5, {10}, 4096) = 4096"),
    (libc::SYS_splice, &[3, 0, 5, 0, 4096, 1], true, 100, "splice(3, NULL, 5, NULL, 4096, SPLICE_F_MOVE) = 100"),
    (libc::SYS_close, &[3], true, 0, "close(3) = 0"),
    (libc::SYS_close_range, &[3, u32::MAX as u64, 0], true, 0, "close_range(3, ~0U, 0) = 0"),
    (libc::SYS_close_range, &[3, 9, 2], true, 0, "close_range(3, 9, CLOSE_RANGE_UNSHARE) = 0"),
    (libc::SYS_dup, &[3], true, 4, "dup(3) = 4"),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_dup2, &[3, 9], true, 9, "dup2(3, 9) = 9"),
    (libc::SYS_dup3, &[3, 9, libc::O_CLOEXEC as u64], true, 9, "dup3(3, 9, O_CLOEXEC) = 9"),
    (libc::SYS_fcntl, &[3, libc::F_DUPFD_CLOEXEC as u64, 0], true, 4, "fcntl(3, F_DUPFD_CLOEXEC, 0) = 4"),
    (libc::SYS_fcntl, &[3, libc::F_SETFL as u64, (libc::O_RDWR | libc::O_NONBLOCK) as u64], true, 0, "fcntl(3, F_SETFL, O_RDWR|O_NONBLOCK) = 0"),
    (libc::SYS_ioctl, &[3, libc::FIONBIO, ONE], true, 0, "ioctl(3, FIONBIO, {1}) = 0"),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_poll, &[POLLS, 2, u32::MAX as u64], true, 1, "poll({{3, POLLIN}, {4, POLLOUT}}, 2, -1) = 1 {{3, POLLIN|POLLHUP}}"),
    (libc::SYS_ppoll, &[POLLS, 2, 0, 0], true, 0, "ppoll({{3, POLLIN}, {4, POLLOUT}}, 2, NULL, NULL) = 0"),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_select, &[5, SET, 0, 0, TIME], true, 2, "select(5, {3, 4}, NULL, NULL, {tv_sec=1, tv_usec=500000}) = 2 {3, 4}"),
    (libc::SYS_pselect6, &[4, SET, 0, 0, TIME, 0], true, 0, "pselect6(4, {3}, NULL, NULL, {tv_sec=1, tv_nsec=500000}, NULL) = 0"),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_epoll_wait, &[6, EVENTS, 10, 1000], true, 1, "epoll_wait(6, events, 10, 1000) = 1 {{EPOLLIN, 5}}"),
    (libc::SYS_epoll_pwait, &[6, EVENTS, 10, u32::MAX as u64, 0], true, 0, "epoll_pwait(6, events, 10, -1, NULL) = 0"),
    (libc::SYS_epoll_pwait2, &[6, EVENTS, 10, TIME, 0], true, 1, "epoll_pwait2(6, events, 10, {tv_sec=1, tv_nsec=500000}, NULL) = 1 {{EPOLLIN, 5}}"),
    (libc::SYS_epoll_ctl, &[6, 1, 3, EVENTS], true, 0, "epoll_ctl(6, EPOLL_CTL_ADD, 3, {EPOLLIN, 5}) = 0"),
];

#[test]
fn every_call_is_shown_as_its_manual_page_writes_it() {
    for &(number, args, stream, value, expected) in CASES {
        assert_eq!(line(number, args, stream, value, &memory()), expected);
    }
}

#[test]
fn every_row_has_a_case() {
    let (always, above) = table::filter_numbers(Wanted {
        net_only: false,
        waits: true,
    });
    for number in always.into_iter().chain(above) {
        let found = CASES
            .iter()
            .any(|(case, ..)| *case == libc::c_long::from(number));
        let name = table::find(i64::from(number)).and_then(|row| Some(row.form(&[0; 6])?.name));
        assert!(found, "no case for {name:?}, number {number}");
    }
}
