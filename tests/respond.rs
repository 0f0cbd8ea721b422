//! `respond`: ordinary programs take its answers for those of hosts and servers that are not there.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod lan;

use std::{
    io::{BufRead as _, BufReader, ErrorKind, Read as _},
    net::{SocketAddr, TcpStream, UdpSocket},
    process::{Child, ChildStderr, Command, Stdio},
    time::Duration,
};

use lan::{in_own_network, pair, said, sockwire, testing};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

/// The program at work, ready to answer.
struct Responder {
    child: Child,
    stderr: BufReader<ChildStderr>,
}

impl Responder {
    /// Starts it and waits until it hears.
    fn start(words: &str) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_sockwire"))
            .arg("respond")
            .args(words.split_whitespace())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        while !line.starts_with("hearing on") {
            line.clear();
            assert!(stderr.read_line(&mut line).unwrap() > 0, "it ended");
        }
        Self { child, stderr }
    }

    /// Ends it by Ctrl-C, or waits until it has ended: its code, what it printed, what it said.
    fn end(mut self, interrupt: bool) -> (Option<i32>, String, String) {
        if interrupt {
            let _ = kill(Pid::from_raw(self.child.id() as i32), Signal::SIGINT);
        }
        let (mut printed, mut said) = (String::new(), String::new());
        self.child
            .stdout
            .take()
            .unwrap()
            .read_to_string(&mut printed)
            .unwrap();
        self.stderr.read_to_string(&mut said).unwrap();
        (self.child.wait().unwrap().code(), printed, said)
    }
}

impl Drop for Responder {
    fn drop(&mut self) {
        let _ = self.child.kill();
    }
}

const ECHO: &str =
    "ip src={ip.dst} dst={ip.src} / udp sport={udp.dstport} dport={udp.sport} / hex={payload}";

fn socket() -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket
        .set_read_timeout(Some(Duration::from_secs(2)))
        .unwrap();
    socket
}

fn ask(socket: &UdpSocket, to: &str, text: &str) -> Option<(String, SocketAddr)> {
    socket.send_to(text.as_bytes(), to).unwrap();
    let mut buffer = [0; 2048];
    let (len, from) = socket.recv_from(&mut buffer).ok()?;
    Some((String::from_utf8_lossy(&buffer[..len]).into_owned(), from))
}

#[test]
fn datagrams_to_nobody_come_back_and_answers_are_not_answered() {
    in_own_network(|| {
        // The filter takes the answers too.
        let responder = Responder::start(&format!("-i lo udp -c 2 -- {ECHO}"));
        let socket = socket();
        for text in ["hello", "again"] {
            let (echo, from) = ask(&socket, "127.0.0.2:7", text).expect("an echo");
            assert_eq!(
                (echo.as_str(), from.to_string().as_str()),
                (text, "127.0.0.2:7")
            );
        }
        let (code, printed, said) = responder.end(false);
        assert_eq!(code, Some(0), "{said}");
        assert_eq!(printed.lines().count(), 4, "{printed}");
        assert!(
            said.contains("= 2 answered") && said.contains("+ 1 of our own"),
            "{said}"
        );
    });
}

#[test]
fn what_does_not_fit_is_counted_and_ctrl_c_ends_with_the_sum() {
    in_own_network(|| {
        let responder = Responder::start(&format!(
            "-i lo udp dst port 7 -Y udp.length>8 -- {}",
            ECHO.replace(
                "dport={udp.sport}",
                "dport={udp.sport} chksum={data.len+65530}"
            )
        ));
        let socket = socket();
        socket
            .set_read_timeout(Some(Duration::from_millis(50)))
            .unwrap();
        // With 6 bytes the sum does not fit any more.
        for text in ["", "123456"] {
            assert!(ask(&socket, "127.0.0.1:7", text).is_none());
        }
        // Its port unreachable is behind them.
        let (code, _, said) = responder.end(true);
        assert_eq!(code, Some(0), "{said}");
        assert!(
            said.contains("0 answered") && said.contains("does not fit chksum="),
            "{said}"
        );
    });
}

#[test]
fn a_port_looks_closed_on_a_host_that_is_not_there() {
    in_own_network(|| {
        pair();
        let record = lan::Temporary::new("reset.pcapng");
        let responder = Responder::start(&format!(
            "-i vb tcp dst port 23 -Y tcp.flags.syn==1 -c 1 -w {} -- ip src={{ip.dst}} dst={{ip.src}} / \
             tcp sport={{tcp.dport}} dport={{tcp.sport}} seq=0 ack={{tcp.seq+1}} flags=RA",
            record.path()
        ));
        let server: SocketAddr = "10.9.0.2:23".parse().unwrap();
        let refused = TcpStream::connect_timeout(&server, Duration::from_secs(2)).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
        let (code, printed, said) = responder.end(false);
        assert_eq!((code, printed.as_str()), (Some(0), ""), "{said}");
        let read = sockwire(&format!("read {}", record.path()));
        assert_eq!(String::from_utf8_lossy(&read.stdout).lines().count(), 2);
    });
}

/// ARP and ICMP together: a host that is only made of answers.
#[test]
fn a_host_that_is_not_there_answers_ping() {
    in_own_network(|| {
        pair();
        let arp = Responder::start(
            "-i vb arp -Y arp.opcode==1 -c 1 -- eth dst={eth.src} src={if.mac} / \
             arp op=2 hwsrc={if.mac} psrc={arp.pdst} hwdst={arp.hwsrc} pdst={arp.psrc}",
        );
        let ping = Responder::start(
            "-i vb icmp and dst 10.9.0.99 -Y icmp.type==8 -c 1 -- ip src={ip.dst} dst={ip.src} / \
             icmp type=0 id={icmp.id} seq={icmp.seq} / hex={icmp.data}",
        );
        let output = sockwire("probe ip dst=10.9.0.99 / icmp type=8 / text=hello");
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(output.status.code(), Some(0), "{printed}{}", said(&output));
        assert!(printed.contains("10.9.0.99"), "{printed}");
        for responder in [arp, ping] {
            let (code, _, said) = responder.end(true);
            assert!(code == Some(0) && said.contains("= 1 answered"), "{said}");
        }
    });
}

#[test]
fn no_more_are_answered_than_the_rate_allows() {
    in_own_network(|| {
        let responder = Responder::start(&format!("-i lo udp dst port 7 --rate 0.01 -- {ECHO}"));
        let socket = socket();
        assert!(ask(&socket, "127.0.0.2:7", "one").is_some());
        socket
            .set_read_timeout(Some(Duration::from_millis(50)))
            .unwrap();
        assert!(ask(&socket, "127.0.0.2:7", "two").is_none());
        let (_, _, said) = responder.end(true);
        assert!(
            said.contains("= 1 answered") && said.contains("1 over the rate"),
            "{said}"
        );
    });
}

#[test]
fn strangers_are_not_answered_in_others_names() {
    in_own_network(|| {
        pair();
        assert!(lan::ip("route add default via 10.9.0.2"));
        let spec = "ip src=10.9.0.77 dst=8.8.8.8 / udp dport=9";
        let responder = Responder::start(&format!("-i lo udp dst port 7 -- {spec}"));
        let socket = socket();
        socket
            .set_read_timeout(Some(Duration::from_millis(50)))
            .unwrap();
        assert!(ask(&socket, "127.0.0.2:7", "one").is_none());
        let (_, _, said) = responder.end(true);
        assert!(said.contains("--yes-really"), "{said}");
    });
}

#[test]
fn wrong_words_and_missing_rights_have_their_exit_codes() {
    for (words, expected, told) in [
        ("respond udp", 2, "SPEC"),
        ("respond -i lo -- ip / udp", 2, "without a filter"),
        ("respond -i lo udp and -- ip / udp", 2, ""),
        (
            "respond -i lo udp -- ip dst={ip.scr}",
            2,
            "did you mean ip.src?",
        ),
        ("respond -i lo udp -- ip dst={ip.src / udp", 2, "has no }"),
        (
            "respond -i lo udp -- ip / udp dport=1..101",
            2,
            "shorter lists",
        ),
        ("respond -i nowhere0 udp -- ip / udp", 4, "nowhere0"),
    ] {
        let output = sockwire(words);
        assert_eq!(
            output.status.code(),
            Some(expected),
            "{words}: {}",
            said(&output)
        );
        assert!(said(&output).contains(told), "{words}: {}", said(&output));
    }
    if !nix::unistd::geteuid().is_root() {
        return testing::skipped("dropping rights needs root");
    }
    in_own_network(|| {
        let output = Command::new("setpriv")
            .args([
                "--bounding-set=-all",
                "--inh-caps=-all",
                env!("CARGO_BIN_EXE_sockwire"),
            ])
            .args("respond -i lo udp -- ip / udp".split(' '))
            .output();
        let Ok(output) = output else {
            return testing::skipped("no setpriv command here");
        };
        assert_eq!(output.status.code(), Some(3), "{}", said(&output));
        assert!(said(&output).contains("CAP_NET_RAW"), "{}", said(&output));
    });
}
