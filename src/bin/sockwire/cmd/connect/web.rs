//! `connect http` and `connect ws`: a GET by hand, and a line client for WebSocket.

use std::{fmt, io, time::Duration};

use anyhow::anyhow;
use sockwire::{
    call::{self, Address, Choice},
    sockets::{
        Journal,
        client::{Connected, Dial, Doing, Input, Spoken},
        http::{self, Answered, Asking, HttpError, Part, Url, lines},
        resolve::{Wanted, lookup},
        websocket::{self, Chat, ChatError, Ended, NoWebSocket, Said},
    },
    sys::signal::Stop,
    text::Safe,
};

use super::{
    Args, Exit, Failure, Global, Kind, Outcome, Program, family, output,
    plain::{input, installed, note, source},
    refuse,
    screen::Screen,
    telling, usage,
};

/// Choices for web servers.
#[derive(clap::Args)]
#[command(next_help_heading = "connect http")]
pub(super) struct Web {
    /// Asks with HEAD instead of GET: only the head of the answer comes, and goes to standard output
    #[arg(long)]
    head: bool,
    /// The version that is spoken, 1.0 unless said; servers may answer with another one
    #[arg(long, value_name = "VERSION", value_enum)]
    http: Option<Version>,
}

/// For whoever asks for [`Web`] elsewhere.
pub(super) const ONLY_HTTP: &str = "--head and --http are for: sockwire connect http URL";

impl Web {
    pub(super) const fn is_asked(&self) -> bool {
        self.head || self.http.is_some()
    }
}

/// Versions of HTTP that are lines of text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Version {
    #[value(name = "1.0")]
    Old,
    #[value(name = "1.1")]
    New,
}

/// The program for `kind`, which is `Http` or `WebSocket`.
pub(super) fn program(
    kind: Kind,
    url: Url,
    args: &Args,
    global: &Global,
) -> Result<Program, Failure> {
    fits(kind, args)?;
    let is_http = kind == Kind::Http;
    let wait = args.ending.wait;
    let wait = wait.map(|nanos| Duration::from_nanos(nanos.unsigned_abs()));
    let client = Client {
        dial: Dial {
            kind: call::Kind::Stream,
            source: args.source.as_deref().map(source).transpose()?,
            nodelay: args.nodelay,
            wait,
        },
        wanted: Wanted {
            family: family(args.ipv4, args.ipv6),
            kind: Some(call::Kind::Stream),
            numeric: args.numeric > 0,
            ..Wanted::default()
        },
        url,
        hex: args.hex,
        ascii: global.ascii,
    };
    if is_http {
        let (head_only, minor) = (args.web.head, args.web.http.unwrap_or(Version::Old) as u8);
        return Ok(Box::new(move |journal| {
            client.get(journal, head_only, minor)
        }));
    }
    // One message for each line, as one datagram is.
    let input = input(args, true)?;
    Ok(Box::new(move |journal| client.talk(journal, input)))
}

/// Options that have no meaning for the kind of server.
fn fits(kind: Kind, args: &Args) -> Result<(), Failure> {
    let is_http = kind == Kind::Http;
    let sends = !args.sending.send.is_empty() || args.sending.file.is_some();
    let shuts_down = args.ending.shutdown.is_some() || args.ending.half_close;
    refuse(&[
        (args.scan, "-z only connects: sockwire connect -z HOST PORT"),
        (args.determined, "--determined is for TCP"),
        (
            shuts_down && is_http,
            "connect http leaves both directions open: the server ends the connection",
        ),
        (
            shuts_down && !is_http,
            "a WebSocket has no half-close: its Close frame ends both directions",
        ),
        (
            sends && is_http,
            "connect http sends a GET that it writes itself; your own is: sockwire connect --crlf --file F HOST 80",
        ),
        (
            args.sending.file.is_some(),
            "connect ws sends lines: sockwire connect ws URL < FILE",
        ),
        (
            args.sending.crlf,
            "--crlf is for lines on a stream: the end of a line is not sent here",
        ),
        (!is_http && args.web.is_asked(), ONLY_HTTP),
    ])
}

/// A URL, or a host and a port, or a port of this host.
pub(super) fn url(kind: Kind, words: &[String]) -> Result<Url, Failure> {
    let scheme = if kind == Kind::Http { "http" } else { "ws" };
    let is_port = |word: &str| word.bytes().all(|byte| byte.is_ascii_digit());
    let text = match words {
        [port] if is_port(port) => format!("localhost:{port}"),
        [url] => url.clone(),
        [host, port] if is_port(port) && host.contains(':') && !host.starts_with('[') => {
            format!("[{host}]:{port}")
        }
        [host, port] if is_port(port) => format!("{host}:{port}"),
        _ => {
            return Err(usage(format!(
                "one URL is wanted, such as: sockwire connect {scheme} {scheme}://localhost:8080/"
            )));
        }
    };
    Url::parse(&text, scheme).map_err(usage)
}

/// What both clients share.
struct Client {
    dial: Dial,
    wanted: Wanted,
    url: Url,
    hex: bool,
    ascii: bool,
}

impl Client {
    fn connect(&self, journal: &Journal, stop: Stop) -> Result<Option<Connected>, Failure> {
        let Url { host, port, .. } = &self.url;
        let found = lookup(journal, Some(host), &port.to_string(), self.wanted);
        let found = found.map_err(|error| Failure::new(Exit::NoSuch, error))?;
        let addresses = found.iter().map(|found| Address::Ip(found.address));
        let connected = match self.dial.all(journal, &addresses.collect::<Vec<_>>()) {
            Ok(connected) => connected,
            Err(_) if stop.asked() => return Ok(None),
            Err(tried) => {
                let whom = format!("{host} port {port}");
                return Err(telling::unreachable(&whom, call::Kind::Stream, &tried));
            }
        };
        if let Some(wait) = self.dial.wait {
            let limited = connected.socket.set_time(Choice::ReceiveTimeout, wait);
            limited.map_err(|error| Failure::new(Exit::NoSuch, error))?;
        }
        Ok(Some(connected))
    }

    /// Asks for the URL, and shows the answer.
    fn get(&self, journal: &Journal, head_only: bool, minor: u8) -> Outcome {
        let stop = installed()?;
        let Some(connected) = self.connect(journal, stop)? else {
            return Ok(Exit::Done);
        };
        let mut screen = Screen::new(self.hex, self.ascii, stop)?;
        let asking = Asking {
            url: &self.url,
            head_only,
            minor,
        };
        let answered = http::get(&connected.socket, &asking, &mut |part| match part {
            Part::Head(head) if head_only => output::print(&marked("", head)),
            Part::Sent(_) | Part::Head(_) => told(journal, part),
            Part::Body(bytes) => screen.show(bytes),
        });
        screen.finish()?;
        match answered {
            Ok(answered) => {
                note(journal, || ended(&answered));
                Ok(Exit::Done)
            }
            Err(_) if stop.asked() => Ok(Exit::Done),
            Err(error) => Err(self.no_answer(&connected, error)),
        }
    }

    fn no_answer(&self, connected: &Connected, error: HttpError) -> Failure {
        match error {
            HttpError::Heard(error) => error.into(),
            HttpError::Call(error) => self.broken(connected, &error),
            error => Failure::new(
                Exit::Damaged,
                anyhow!("{}: {error}", Spoken(&connected.peer)),
            ),
        }
    }

    /// A call failed on the open connection.
    fn broken(&self, connected: &Connected, error: &io::Error) -> Failure {
        let spoken = Spoken(&connected.peer).to_string();
        let text = match (self.dial.wait, error.kind()) {
            (Some(wait), io::ErrorKind::WouldBlock) => {
                let seconds = wait.as_secs_f64();
                format!("{spoken}: nothing came for {seconds} s; --wait SECONDS gives it longer")
            }
            _ => {
                let family = connected.peer.family();
                let kind = call::Kind::Stream;
                telling::broken(&spoken, family, kind, Doing::Receiving, error)
            }
        };
        Failure::new(Exit::NoSuch, anyhow!(text))
    }

    /// Opens a WebSocket, and talks.
    fn talk(&self, journal: &Journal, input: Input) -> Outcome {
        let stop = installed()?;
        let Some(connected) = self.connect(journal, stop)? else {
            return Ok(Exit::Done);
        };
        let socket = &connected.socket;
        let mut screen = Screen::new(self.hex, self.ascii, stop)?;
        let talk = websocket::open(socket, &self.url, &mut |part| told(journal, part));
        let talk = match talk {
            Ok(talk) => talk,
            Err(_) if stop.asked() => return Ok(Exit::Done),
            Err(NoWebSocket::Http(error)) => return Err(self.no_answer(&connected, error)),
            Err(error) => {
                let exit = match error {
                    NoWebSocket::Refused(..) => Exit::NoSuch,
                    _ => Exit::Damaged,
                };
                let error = anyhow!("{}: {error}", Spoken(&connected.peer));
                return Err(Failure::new(exit, error));
            }
        };
        let chat = Chat {
            socket,
            talk,
            input,
            wait: self.dial.wait,
            stopped: &|| stop.asked(),
        };
        let talked = chat.run(&mut |said| match said {
            Said::Text(text) => screen.show(format!("{text}\n").as_bytes()),
            other => {
                note(journal, || format!("the server sent: {other}"));
                Ok(())
            }
        });
        screen.finish()?;
        match talked {
            Ok(()) => Ok(Exit::Done),
            Err(_) if stop.asked() => Ok(Exit::Done),
            Err(ChatError::Heard(error)) => Err(error.into()),
            Err(ChatError::Ended(Ended::Call(error))) => Err(self.broken(&connected, &error)),
            Err(error) => {
                let error = anyhow!("{}: {error}", Spoken(&connected.peer));
                Err(Failure::new(Exit::Damaged, error))
            }
        }
    }
}

/// Tells a head line by line.
fn told(journal: &Journal, part: Part<'_>) -> io::Result<()> {
    let (mark, head) = match part {
        Part::Sent(head) => ("> ", head),
        Part::Head(head) => ("< ", head),
        Part::Body(_) => return Ok(()),
    };
    note(journal, || {
        marked(mark, head).trim_end_matches('\n').to_owned()
    });
    Ok(())
}

/// The lines of a head behind a mark each; safe to show.
fn marked(mark: &str, head: &[u8]) -> String {
    let line = |line: http::HeadLine<'_>| match line.to_string() {
        empty if empty.is_empty() => format!("{}\n", mark.trim_end()),
        line => format!("{mark}{line}\n"),
    };
    lines(head).map(line).collect()
}

/// The last sentences on an answer.
fn ended(answered: &Answered) -> String {
    let Answered { head, len, beyond } = answered;
    let safe = |bytes: &[u8]| Safe(bytes).to_string();
    let mut text = format!(
        "{} {}: ",
        head.first.code,
        safe(head.first.reason.as_bytes())
    );
    let mut say = |what: fmt::Arguments<'_>| text += &what.to_string();
    match len {
        1 => say(format_args!("1 byte of body")),
        len => say(format_args!("{len} bytes of body")),
    }
    if head.bare > 0 {
        say(format_args!(
            "; {} lines of the head end in a bare LF, which RFC 9112 lets a client take: CR LF is right",
            head.bare
        ));
    }
    if *beyond > 0 {
        say(format_args!(
            "; at least {beyond} bytes came behind its end"
        ));
    }
    let location = head.values("Location").next();
    if let (300..=399, Some(location)) = (head.first.code, location) {
        let location = safe(location);
        say(format_args!(
            "\nit is at {location} now; this is shown, not followed"
        ));
    }
    text
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_url_may_be_a_host_and_a_port() {
        let told = |words: &str| {
            let words: Vec<String> = words.split(' ').map(str::to_owned).collect();
            url(Kind::WebSocket, &words)
                .map(|url| format!("{} {} {}", url.host, url.port, url.target))
        };
        for (words, wanted) in [
            ("8080", "localhost 8080 /"),
            ("h 8080", "h 8080 /"),
            ("::1 8080", "::1 8080 /"),
            ("[::1] 8080", "::1 8080 /"),
            ("ws://h/echo", "h 80 /echo"),
        ] {
            assert_eq!(told(words).unwrap(), wanted);
        }
        for wrong in ["h x", "h 1 2", "wss://h/"] {
            assert_eq!(told(wrong).unwrap_err().exit, Exit::Usage, "{wrong}");
        }
    }

    #[test]
    fn no_head_reaches_the_terminal_unescaped() {
        let head = b"HTTP/1.1 200 OK\r\nX: \x1b[2J\x9b\xe2\x80\xae\n\r\n";
        let text = marked("< ", head);
        assert_eq!(
            text,
            "< HTTP/1.1 200 OK\n< X: \\x1b[2J\\x9b\\u{202e}   [bare LF]\n<\n"
        );
    }
}
