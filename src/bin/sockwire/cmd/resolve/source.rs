//! Who knows a name on this machine: the hosts file, or those who are asked after it; only where that can be told honestly.

use std::{fs, net::IpAddr};

/// Who knew `name`; nothing where that cannot be told from files.
pub(super) fn of(name: &str, is_number: bool) -> Option<String> {
    if is_number {
        return Some("the number itself; nobody was asked".to_owned());
    }
    let hosts = fs::read_to_string("/etc/hosts").unwrap_or_default();
    let order = order(&fs::read_to_string("/etc/nsswitch.conf").ok()?);
    told(name, &hosts, &order)
}

/// The hosts file when it is asked first and has the name; else those who are asked when it has not.
fn told(name: &str, hosts: &str, order: &[String]) -> Option<String> {
    let (first, others) = order.split_first()?;
    if first != "files" {
        return None;
    }
    Some(if has(hosts, name) {
        "/etc/hosts, which /etc/nsswitch.conf puts first".to_owned()
    } else {
        // One of them; which, only they know.
        let others = others.join(", ");
        format!("not /etc/hosts; /etc/nsswitch.conf goes on with {others}")
    })
}

/// The sources of the `hosts:` line, without what is in brackets.
fn order(nsswitch: &str) -> Vec<String> {
    let mut lines = nsswitch
        .lines()
        .map(|line| line.split('#').next().unwrap_or(""));
    let line = lines.find_map(|line| line.trim().strip_prefix("hosts:"));
    let words = line.unwrap_or("").split_whitespace();
    let is_source = |word: &&str| {
        word.bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    };
    words.filter(is_source).map(str::to_owned).collect()
}

/// A line of the hosts file gives an address to this name.
fn has(hosts: &str, name: &str) -> bool {
    let lines = hosts
        .lines()
        .map(|line| line.split('#').next().unwrap_or(""));
    lines
        .flat_map(|line| line.split_whitespace().skip(1))
        .any(|word| word.eq_ignore_ascii_case(name))
}

/// The name servers that the resolver asks.
pub(super) fn name_servers() -> Vec<String> {
    let text = fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
    let servers = text.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        let address: IpAddr = (words.next()? == "nameserver")
            .then(|| words.next())??
            .parse()
            .ok()?;
        Some(address.to_string())
    });
    servers.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOSTS: &str = "127.0.0.1 localhost\n10.0.0.1\tChat chat.lan # old.lan\n";

    #[test]
    fn the_hosts_file_is_named_only_where_it_is_asked_first() {
        let order = order("passwd: files\nhosts:  files mdns4_minimal [NOTFOUND=return] dns # x\n");
        assert_eq!(order, ["files", "mdns4_minimal", "dns"]);
        let found = |name| told(name, HOSTS, &order).unwrap_or_default();
        assert!(found("chat").starts_with("/etc/hosts"));
        assert!(found("CHAT.LAN").starts_with("/etc/hosts"));
        assert!(found("old.lan").contains("goes on with mdns4_minimal, dns"));
        assert!(found("10.0.0.1").starts_with("not /etc/hosts"));
        let other = ["resolve".to_owned(), "files".to_owned()];
        assert_eq!(told("chat", HOSTS, &other), None);
        assert_eq!(told("chat", HOSTS, &[]), None);
    }
}
