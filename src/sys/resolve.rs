//! The resolver of the C library: names to addresses and back, with all that it tells.

use std::{
    ffi::{CStr, CString, c_char, c_int},
    io,
    mem::MaybeUninit,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    ptr,
};

use socket2::SockAddr;

/// What is wanted of `getaddrinfo(3)`; zero is any.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hints {
    /// `AF_INET`, `AF_INET6`.
    pub family: i32,
    /// `SOCK_STREAM`, `SOCK_DGRAM`.
    pub kind: i32,
    /// `AI_…`.
    pub flags: i32,
}

/// One `struct addrinfo`.
#[derive(Clone, Debug)]
pub struct Info {
    /// `AF_…`.
    pub family: i32,
    /// `SOCK_…`.
    pub kind: i32,
    /// `IPPROTO_…`.
    pub protocol: i32,
    /// The official name, which the first entry has when `AI_CANONNAME` asks for it. From the network: untrusted.
    pub canonical: Option<String>,
    /// The address as `connect(2)` takes it.
    pub address: SockAddr,
}

/// `getaddrinfo(3)`: can take many seconds.
///
/// # Errors
/// `EAI_…` codes as raw error numbers, which are negative; for `EAI_SYSTEM` the system's own error. `EINVAL` for a zero
/// byte in a name.
pub fn addresses(node: Option<&str>, service: Option<&str>, hints: Hints) -> io::Result<Vec<Info>> {
    let node = node.map(CString::new).transpose()?;
    let service = service.map(CString::new).transpose()?;
    // SAFETY: all of `addrinfo` is integers and pointers, for which zero is valid; hints must be zero but for these.
    let mut wanted: libc::addrinfo = unsafe { MaybeUninit::zeroed().assume_init() };
    wanted.ai_family = hints.family;
    wanted.ai_socktype = hints.kind;
    wanted.ai_flags = hints.flags;
    let mut first = ptr::null_mut();
    // SAFETY: both strings end with a zero byte or are null, the hints are as the call wants them, and `first` is written.
    let status = unsafe {
        libc::getaddrinfo(
            node.as_ref().map_or(ptr::null(), |node| node.as_ptr()),
            service.as_ref().map_or(ptr::null(), |name| name.as_ptr()),
            &raw const wanted,
            &raw mut first,
        )
    };
    checked(status)?;
    let list = List(first);
    let mut found = Vec::new();
    let mut next = list.0;
    // SAFETY: the list is the library's until `list` is dropped; its last entry's `ai_next` is null.
    while let Some(entry) = unsafe { next.as_ref() } {
        found.push(Info {
            family: entry.ai_family,
            kind: entry.ai_socktype,
            protocol: entry.ai_protocol,
            // SAFETY: null, or a string that the library ended with a zero byte.
            canonical: unsafe { text(entry.ai_canonname) },
            // SAFETY: the library's address has the length that it says.
            address: unsafe { address(entry) }?,
        });
        next = entry.ai_next;
    }
    Ok(found)
}

/// What `getaddrinfo` allocated.
struct List(*mut libc::addrinfo);

impl Drop for List {
    fn drop(&mut self) {
        if !self.0.is_null() {
            // SAFETY: it came from getaddrinfo, and is given back once.
            unsafe { libc::freeaddrinfo(self.0) }
        }
    }
}

/// A copy of the entry's address.
///
/// # Safety
/// `ai_addr` must be valid for `ai_addrlen` bytes.
unsafe fn address(entry: &libc::addrinfo) -> io::Result<SockAddr> {
    let len = entry.ai_addrlen as usize;
    let copy = |storage: *mut socket2::SockAddrStorage, size: *mut libc::socklen_t| {
        // SAFETY: the room is `*size` bytes, and no more than that is copied from the entry's `len`.
        unsafe {
            let room = *size as usize;
            ptr::copy_nonoverlapping(entry.ai_addr.cast::<u8>(), storage.cast(), len.min(room));
            *size = len.min(room) as libc::socklen_t;
        }
        Ok(())
    };
    // SAFETY: `copy` writes an address that the library made, and its length.
    Ok(unsafe { SockAddr::try_init(copy) }?.1)
}

/// `getnameinfo(3)` with `NI_…` flags: the host and the service of an address. Untrusted; can take many seconds.
///
/// # Errors
/// As those of [`addresses`].
pub fn names(address: &SockAddr, flags: i32) -> io::Result<(String, String)> {
    let mut host: [c_char; 1025] = [0; 1025];
    let mut service: [c_char; 32] = [0; 32];
    // SAFETY: the address and both buffers are valid for the lengths given.
    let status = unsafe {
        libc::getnameinfo(
            address.as_ptr().cast(),
            address.len(),
            host.as_mut_ptr(),
            host.len() as libc::socklen_t,
            service.as_mut_ptr(),
            service.len() as libc::socklen_t,
            flags,
        )
    };
    checked(status)?;
    // SAFETY: on success both buffers hold strings that end with a zero byte.
    let (host, service) = unsafe { (text(host.as_ptr()), text(service.as_ptr())) };
    Ok((host.unwrap_or_default(), service.unwrap_or_default()))
}

/// What the library's words for an `EAI_…` code are.
pub fn words(code: i32) -> String {
    // SAFETY: the library has a string of its own for every number.
    unsafe { text(libc::gai_strerror(code)) }.unwrap_or_default()
}

fn checked(status: c_int) -> io::Result<()> {
    match status {
        0 => Ok(()),
        libc::EAI_SYSTEM => Err(io::Error::last_os_error()),
        code => Err(io::Error::from_raw_os_error(code)),
    }
}

/// # Safety
/// Null, or a string that ends with a zero byte.
unsafe fn text(start: *const c_char) -> Option<String> {
    // SAFETY: as the caller says.
    let text = (!start.is_null()).then(|| unsafe { CStr::from_ptr(start) })?;
    Some(text.to_string_lossy().into_owned())
}

/// All that is known of a host: `struct hostent`. Its names are untrusted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Host {
    /// `h_name`, the official one.
    pub name: String,
    /// `h_aliases`.
    pub aliases: Vec<String>,
    /// `h_addr_list`.
    pub addresses: Vec<IpAddr>,
}

/// `netdb.h`: the calls of old that write into the caller's memory, of glibc and musl alike.
mod netdb {
    use std::ffi::{c_char, c_int, c_void};

    unsafe extern "C" {
        pub(super) fn gethostbyname2_r(
            name: *const c_char,
            family: c_int,
            host: *mut libc::hostent,
            buffer: *mut c_char,
            len: usize,
            result: *mut *mut libc::hostent,
            error: *mut c_int,
        ) -> c_int;
        pub(super) fn gethostbyaddr_r(
            address: *const c_void,
            len: libc::socklen_t,
            family: c_int,
            host: *mut libc::hostent,
            buffer: *mut c_char,
            size: usize,
            result: *mut *mut libc::hostent,
            error: *mut c_int,
        ) -> c_int;
    }
}

/// `gethostbyname2(3)` for `AF_INET` or `AF_INET6`; `None` where it finds nothing. Can take many seconds.
pub fn host_by_name(name: &str, family: i32) -> Option<Host> {
    let name = CString::new(name).ok()?;
    by(|host, buffer, result, error| {
        // SAFETY: the name ends with a zero byte; the rest is as `by` says.
        unsafe {
            netdb::gethostbyname2_r(
                name.as_ptr(),
                family,
                host,
                buffer.as_mut_ptr(),
                buffer.len(),
                result,
                error,
            )
        }
    })
}

/// `gethostbyaddr(3)`; `None` where it finds nothing. Can take many seconds.
pub fn host_by_address(address: IpAddr) -> Option<Host> {
    let (bytes, family) = match address {
        IpAddr::V4(v4) => (v4.octets().to_vec(), libc::AF_INET),
        IpAddr::V6(v6) => (v6.octets().to_vec(), libc::AF_INET6),
    };
    by(|host, buffer, result, error| {
        // SAFETY: the address has the length given and the family's form; the rest is as `by` says.
        unsafe {
            netdb::gethostbyaddr_r(
                bytes.as_ptr().cast(),
                bytes.len() as libc::socklen_t,
                family,
                host,
                buffer.as_mut_ptr(),
                buffer.len(),
                result,
                error,
            )
        }
    })
}

/// One of the calls of old, with buffers as large as it wants. What `call` gets is valid for writing.
fn by(
    call: impl Fn(*mut libc::hostent, &mut [c_char], *mut *mut libc::hostent, *mut c_int) -> c_int,
) -> Option<Host> {
    /// No answer needs more: names of 1 KiB, and some thousand addresses.
    const MOST: usize = 1 << 20;
    let mut size = 4096;
    loop {
        let mut buffer: Vec<c_char> = vec![0; size];
        let mut host = MaybeUninit::zeroed();
        let (mut result, mut error) = (ptr::null_mut(), 0);
        let status = call(
            host.as_mut_ptr(),
            &mut buffer,
            &raw mut result,
            &raw mut error,
        );
        if status == libc::ERANGE && size < MOST {
            size *= 4;
            continue;
        }
        // SAFETY: null, or `host`, which the call has filled and which points into `buffer`; both live on here.
        let host = unsafe { result.as_ref() }?;
        // SAFETY: the same.
        return (status == 0).then(|| unsafe { copied(host) });
    }
}

/// # Safety
/// The entry must be one that the library filled.
unsafe fn copied(host: &libc::hostent) -> Host {
    // SAFETY: both lists end with a null pointer, names with a zero byte, and addresses are of the family's length.
    unsafe {
        let aliases = listed(host.h_aliases);
        let addresses = listed(host.h_addr_list);
        Host {
            name: text(host.h_name).unwrap_or_default(),
            aliases: aliases.into_iter().filter_map(|name| text(name)).collect(),
            addresses: addresses
                .into_iter()
                .map(|bytes| match host.h_addrtype {
                    libc::AF_INET6 => Ipv6Addr::from(*bytes.cast::<[u8; 16]>()).into(),
                    _ => Ipv4Addr::from(*bytes.cast::<[u8; 4]>()).into(),
                })
                .collect(),
        }
    }
}

/// # Safety
/// Null, or a list that ends with a null pointer.
unsafe fn listed(list: *mut *mut c_char) -> Vec<*const c_char> {
    let mut found = Vec::new();
    if list.is_null() {
        return found;
    }
    loop {
        // SAFETY: no entry after the null pointer is read.
        let entry = unsafe { *list.add(found.len()) };
        if entry.is_null() {
            return found;
        }
        found.push(entry.cast_const());
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::net::SocketAddr;

    use super::*;

    #[test]
    fn numbers_need_no_resolver_and_come_for_each_type() {
        let all = addresses(Some("::1"), Some("80"), Hints::default()).unwrap();
        let shape = |info: &Info| (info.family, info.kind, info.protocol);
        let found: Vec<_> = all.iter().map(shape).collect();
        let v6 = libc::AF_INET6;
        assert_eq!(
            found,
            [
                (v6, libc::SOCK_STREAM, 6),
                (v6, libc::SOCK_DGRAM, 17),
                (v6, libc::SOCK_RAW, 0)
            ]
        );
        let wanted: SocketAddr = "[::1]:80".parse().unwrap();
        assert_eq!(all[0].address.as_socket(), Some(wanted));
        assert_eq!(all[0].address.len(), 28);
    }

    #[test]
    fn failures_have_the_library_s_codes() {
        let numeric = Hints {
            flags: libc::AI_NUMERICHOST,
            ..Hints::default()
        };
        let code = |node: &str, service: &str| {
            let found = addresses(Some(node), Some(service), numeric);
            found.unwrap_err().raw_os_error()
        };
        assert_eq!(code("localhost", "80"), Some(libc::EAI_NONAME));
        assert_eq!(code("127.0.0.1", "no such"), Some(libc::EAI_SERVICE));
        assert_eq!(code("a\0b", "80"), None);
        assert!(!words(libc::EAI_NONAME).is_empty());
    }

    #[test]
    fn an_address_s_own_names_come_back() {
        let address = SockAddr::from(SocketAddr::from(([192, 0, 2, 7], 5000)));
        let numeric = libc::NI_NUMERICHOST | libc::NI_NUMERICSERV;
        let names = names(&address, numeric).unwrap();
        assert_eq!(names, ("192.0.2.7".to_owned(), "5000".to_owned()));
    }

    #[test]
    fn numbers_are_hosts_of_their_own() {
        let host = host_by_name("192.0.2.7", libc::AF_INET).unwrap();
        assert_eq!(host.addresses, [IpAddr::from([192, 0, 2, 7])]);
        let host = host_by_name("2001:db8::1", libc::AF_INET6).unwrap();
        assert_eq!(host.addresses, ["2001:db8::1".parse::<IpAddr>().unwrap()]);
        assert_eq!(host_by_name("a\0b", libc::AF_INET), None);
    }
}
