//! The socket calls of both ends of a conversation, drawn as course books draw them: one column an end, arrows for packets.

use crate::call::Call;

/// The calls of the ends of one kind of conversation.
#[derive(Debug)]
pub struct Chart {
    /// What it shows.
    pub title: &'static str,
    /// The ends, from left to right; the first is the client.
    pub lanes: &'static [&'static str],
    /// Where the lanes begin, in eighths of the width.
    starts: &'static [usize],
    rows: &'static [Row],
    /// What is to be learnt from it.
    notes: &'static [&'static str],
}

#[derive(Debug)]
enum Row {
    /// A heading.
    Part(&'static str),
    /// What happens at the same time.
    Line(&'static [Step], Option<Arrow>),
}

/// A call, or its return.
#[derive(Debug)]
struct Step {
    lane: usize,
    /// As [`Call::name`] has it.
    call: &'static str,
    moment: Moment,
    /// What is written there.
    text: &'static str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Moment {
    Made,
    /// Made, and it returns only when the other end has done something.
    Blocks,
    Returns,
}

/// A packet between two lanes.
#[derive(Debug)]
struct Arrow {
    from: usize,
    to: usize,
    words: &'static str,
}

const CLIENT: usize = 0;
/// The parent, where there are two.
const SERVER: usize = 1;
const CHILD: usize = 2;

const fn made(lane: usize, call: &'static str, text: &'static str) -> Step {
    step(lane, call, Moment::Made, text)
}

const fn blocks(lane: usize, call: &'static str, text: &'static str) -> Step {
    step(lane, call, Moment::Blocks, text)
}

const fn returns(lane: usize, call: &'static str, text: &'static str) -> Step {
    step(lane, call, Moment::Returns, text)
}

const fn step(lane: usize, call: &'static str, moment: Moment, text: &'static str) -> Step {
    Step {
        lane,
        call,
        moment,
        text,
    }
}

const fn arrow(from: usize, to: usize, words: &'static str) -> Option<Arrow> {
    Some(Arrow { from, to, words })
}

/// One client after the other.
#[rustfmt::skip]
pub static SEQUENTIAL: Chart = Chart {
    title: "stream sockets (TCP), one client after the other",
    lanes: &["client", "server"],
    starts: &[0, 5],
    rows: &[
        Row::Part("the server gets ready"),
        Row::Line(&[made(SERVER, "socket", "socket()")], None),
        Row::Line(&[made(SERVER, "bind", "bind()")], None),
        Row::Line(&[made(SERVER, "listen", "listen()")], None),
        Row::Line(&[made(CLIENT, "socket", "socket()"), blocks(SERVER, "accept", "accept()")], None),
        Row::Part("the connection: a handshake of three packets"),
        Row::Line(&[blocks(CLIENT, "connect", "connect()")], arrow(CLIENT, SERVER, "SYN")),
        Row::Line(&[], arrow(SERVER, CLIENT, "SYN, ACK")),
        Row::Line(&[returns(CLIENT, "connect", "= 0"), returns(SERVER, "accept", "= new socket")],
            arrow(CLIENT, SERVER, "ACK")),
        Row::Part("data, both ways"),
        Row::Line(&[blocks(SERVER, "recv", "recv()")], None),
        Row::Line(&[made(CLIENT, "send", "send()"), returns(SERVER, "recv", "= data")],
            arrow(CLIENT, SERVER, "data")),
        Row::Line(&[blocks(CLIENT, "recv", "recv()")], None),
        Row::Line(&[returns(CLIENT, "recv", "= data"), made(SERVER, "send", "send()")],
            arrow(SERVER, CLIENT, "data")),
        Row::Part("the close, by each end for itself"),
        Row::Line(&[blocks(SERVER, "recv", "recv()")], None),
        Row::Line(&[made(CLIENT, "close", "close()"), returns(SERVER, "recv", "= 0: the end")],
            arrow(CLIENT, SERVER, "FIN")),
        Row::Line(&[made(SERVER, "close", "close()")], arrow(SERVER, CLIENT, "FIN")),
        Row::Line(&[blocks(SERVER, "accept", "accept()")], None),
    ],
    notes: &["The handshake is the kernel's: accept() only hands over what is ready. A second client waits in the queue of listen() until the server is back in accept()."],
};

/// A process for each client.
#[rustfmt::skip]
pub static CONCURRENT: Chart = Chart {
    title: "stream sockets (TCP), a process for each client",
    lanes: &["client", "parent", "child"],
    starts: &[0, 4, 6],
    rows: &[
        Row::Part("the server gets ready"),
        Row::Line(&[made(SERVER, "socket", "socket()")], None),
        Row::Line(&[made(SERVER, "bind", "bind()")], None),
        Row::Line(&[made(SERVER, "listen", "listen()")], None),
        Row::Line(&[made(CLIENT, "socket", "socket()"), blocks(SERVER, "accept", "accept()")], None),
        Row::Part("the connection: a handshake of three packets"),
        Row::Line(&[blocks(CLIENT, "connect", "connect()")], arrow(CLIENT, SERVER, "SYN")),
        Row::Line(&[], arrow(SERVER, CLIENT, "SYN, ACK")),
        Row::Line(&[returns(CLIENT, "connect", "= 0"), returns(SERVER, "accept", "= new socket")],
            arrow(CLIENT, SERVER, "ACK")),
        Row::Part("a process of its own for the client"),
        Row::Line(&[made(SERVER, "fork", "fork() = PID"), made(CHILD, "fork", "fork() = 0")], None),
        Row::Line(&[made(SERVER, "close", "close(new)"), made(CHILD, "close", "close(listen)")], None),
        Row::Line(&[blocks(SERVER, "accept", "accept()"), blocks(CHILD, "recv", "recv()")], None),
        Row::Part("data; the parent waits for the next client"),
        Row::Line(&[made(CLIENT, "send", "send()"), returns(CHILD, "recv", "= data")],
            arrow(CLIENT, CHILD, "data")),
        Row::Line(&[blocks(CLIENT, "recv", "recv()")], None),
        Row::Line(&[returns(CLIENT, "recv", "= data"), made(CHILD, "send", "send()")],
            arrow(CHILD, CLIENT, "data")),
        Row::Part("the close, and the end of the child"),
        Row::Line(&[blocks(CHILD, "recv", "recv()")], None),
        Row::Line(&[made(CLIENT, "close", "close()"), returns(CHILD, "recv", "= 0: the end")],
            arrow(CLIENT, CHILD, "FIN")),
        Row::Line(&[made(CHILD, "close", "close(new)")], arrow(CHILD, CLIENT, "FIN")),
        Row::Line(&[made(SERVER, "waitpid", "waitpid()")], None),
    ],
    notes: &["Both processes have both sockets after fork(): unless the parent closes the new one, the child's close() sends no FIN. A child that nobody waits for stays as a zombie."],
};

/// Datagrams.
#[rustfmt::skip]
pub static UDP: Chart = Chart {
    title: "datagram sockets (UDP)",
    lanes: &["client", "server"],
    starts: &[0, 5],
    rows: &[
        Row::Part("the server gets ready"),
        Row::Line(&[made(SERVER, "socket", "socket()")], None),
        Row::Line(&[made(SERVER, "bind", "bind()")], None),
        Row::Line(&[made(CLIENT, "socket", "socket()"), blocks(SERVER, "recvfrom", "recvfrom()")], None),
        Row::Part("datagrams: no connection before them"),
        Row::Line(&[made(CLIENT, "sendto", "sendto()"), returns(SERVER, "recvfrom", "= data, address")],
            arrow(CLIENT, SERVER, "datagram")),
        Row::Line(&[blocks(CLIENT, "recvfrom", "recvfrom()")], None),
        Row::Line(&[returns(CLIENT, "recvfrom", "= data, from"), made(SERVER, "sendto", "sendto()")],
            arrow(SERVER, CLIENT, "datagram")),
        Row::Part("the end: no packet tells of it"),
        Row::Line(&[made(CLIENT, "close", "close()"), blocks(SERVER, "recvfrom", "recvfrom()")], None),
    ],
    notes: &["Each datagram is alone: it arrives whole, or not at all, and a client whose datagram is lost waits in recvfrom() for ever."],
};

/// How a chart is drawn.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Columns that there are; a chart takes 80, or 60 where there are fewer.
    pub columns: usize,
    /// ASCII characters only.
    pub ascii: bool,
}

/// The characters of a chart.
struct Glyphs {
    line: char,
    left: char,
    right: char,
    /// Stands before the call that an end is in.
    here: char,
}

impl Options {
    const fn width(self) -> usize {
        if self.columns < 80 { 60 } else { 80 }
    }

    const fn glyphs(self) -> Glyphs {
        match self.ascii {
            true => Glyphs {
                line: '-',
                left: '<',
                right: '>',
                here: '>',
            },
            false => Glyphs {
                line: '─',
                left: '◀',
                right: '▶',
                here: '▶',
            },
        }
    }
}

/// Columns of the client's lane.
const CLIENT_WIDTH: usize = 14;

impl Chart {
    /// The row in which `lane` makes `call`, or in which it returns after it had blocked: the next one behind row `after`.
    pub fn row_of(
        &self,
        lane: usize,
        call: &Call,
        returned: bool,
        after: Option<usize>,
    ) -> Option<usize> {
        let first = after.map_or(0, |row| row + 1);
        let fits = |step: &Step| {
            let is_return = step.moment == Moment::Returns;
            step.lane == lane && step.call == call.name() && is_return == returned
        };
        let rows = self.rows.iter().enumerate().skip(first);
        let mut fitting =
            rows.filter(|(_, row)| matches!(row, Row::Line(steps, _) if steps.iter().any(fits)));
        fitting.next().map(|(at, _)| at)
    }

    /// The lines of the drawing; `here` is the row in which each lane is now.
    pub fn draw(&self, options: Options, here: &[Option<usize>]) -> Vec<String> {
        let mut lines = vec![self.title.to_owned(), self.heads(options)];
        for (at, row) in self.rows.iter().enumerate() {
            lines.push(match row {
                Row::Part(title) => heading(title, options),
                Row::Line(steps, arrow) => {
                    let now = |step: &Step| here.get(step.lane) == Some(&Some(at));
                    self.line(steps, arrow.as_ref(), now, options)
                }
            });
        }
        lines
    }

    /// Sentences below the drawing.
    pub fn notes(&self, options: Options) -> String {
        let mut text = String::new();
        let legend =
            ["*  blocks until the other end has done its part;  =  what the call returned"];
        for note in legend.iter().chain(self.notes) {
            crate::text::write_wrapped(&mut text, 0, options.width(), note);
        }
        text
    }

    /// The line of [`Chart::draw`] in which row `at` stands.
    pub const fn line_of(at: usize) -> usize {
        at + 2
    }

    fn start(&self, lane: usize, options: Options) -> usize {
        let eighths = self.starts.get(lane).copied().unwrap_or(0);
        2 + options.width() * eighths / 8
    }

    fn heads(&self, options: Options) -> String {
        let mut line = Canvas::default();
        for (lane, name) in self.lanes.iter().enumerate() {
            line.put(self.start(lane, options), name);
        }
        line.finish()
    }

    fn line(
        &self,
        steps: &[Step],
        arrow: Option<&Arrow>,
        now: impl Fn(&Step) -> bool,
        options: Options,
    ) -> String {
        let mut line = Canvas::default();
        for step in steps {
            let start = self.start(step.lane, options);
            if now(step) {
                line.put(start - 2, &options.glyphs().here.to_string());
            }
            line.put(start, step.text);
            if step.moment == Moment::Blocks {
                line.put(start + step.text.len() + 1, "*");
            }
        }
        if let Some(arrow) = arrow {
            let ends = (arrow.from.min(arrow.to), arrow.from.max(arrow.to));
            let first = self.start(ends.0, options) + CLIENT_WIDTH;
            let last = self.start(ends.1, options).saturating_sub(3);
            let room = last.saturating_sub(first);
            line.put(first, &shaft(arrow, room, &options.glyphs()));
        }
        line.finish()
    }
}

/// An arrow of `room` columns with its words in the middle.
fn shaft(arrow: &Arrow, room: usize, glyphs: &Glyphs) -> String {
    let words = format!(" {} ", arrow.words);
    let shaft = room.saturating_sub(1 + words.len());
    let lead: String = std::iter::repeat_n(glyphs.line, shaft / 2).collect();
    let rest: String = std::iter::repeat_n(glyphs.line, shaft - shaft / 2).collect();
    match arrow.from < arrow.to {
        true => format!("{lead}{words}{rest}{}", glyphs.right),
        false => format!("{}{rest}{words}{lead}", glyphs.left),
    }
}

fn heading(title: &str, options: Options) -> String {
    let rest = options.width().saturating_sub(title.len() + 4);
    format!("-- {title} {}", "-".repeat(rest))
}

/// A line that is written from several places.
#[derive(Default)]
struct Canvas(Vec<char>);

impl Canvas {
    fn put(&mut self, at: usize, text: &str) {
        for (at, c) in (at..).zip(text.chars()) {
            if self.0.len() <= at {
                self.0.resize(at + 1, ' ');
            }
            debug_assert_eq!(self.0[at], ' ', "written twice");
            self.0[at] = c;
        }
    }

    fn finish(self) -> String {
        self.0.into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::{Data, Family, Kind};

    const ALL: [&Chart; 3] = [&SEQUENTIAL, &CONCURRENT, &UDP];

    /// One of each kind that a chart can have.
    fn calls() -> Vec<Call> {
        let address = crate::call::Address::Unnamed;
        let data = Data::default();
        let fd = 3;
        vec![
            Call::Socket {
                family: Family::Inet,
                kind: Kind::Stream,
            },
            Call::Bind {
                fd,
                address: address.clone(),
            },
            Call::Listen { fd, backlog: 5 },
            Call::Accept { fd },
            Call::Connect {
                fd,
                address: address.clone(),
            },
            Call::Send {
                fd,
                data: data.clone(),
                now: false,
            },
            Call::SendTo {
                fd,
                data,
                to: address,
            },
            Call::Recv { fd, size: 1 },
            Call::RecvFrom { fd, size: 1 },
            Call::Close { fd },
            Call::Fork,
            Call::WaitPid { process: None },
        ]
    }

    #[test]
    fn every_chart_fits_wide_and_narrow_and_ascii_is_ascii() {
        for chart in ALL {
            for (columns, most) in [(200, 80), (80, 80), (79, 60), (20, 60)] {
                for ascii in [false, true] {
                    let options = Options { columns, ascii };
                    let everywhere: Vec<_> = chart.lanes.iter().map(|_| Some(4)).collect();
                    let lines = chart.draw(options, &everywhere);
                    let notes = chart.notes(options);
                    for line in lines.iter().map(String::as_str).chain(notes.lines()) {
                        assert!(line.chars().count() <= most, "{columns}: {line}");
                        assert!(!ascii || line.is_ascii(), "{line}");
                    }
                }
            }
        }
    }

    #[test]
    fn every_step_is_a_call_that_a_program_can_make() {
        let names: Vec<_> = calls().iter().map(Call::name).collect();
        for chart in ALL {
            assert_eq!(chart.lanes.len(), chart.starts.len());
            for row in chart.rows {
                let Row::Line(steps, arrow) = row else {
                    continue;
                };
                for step in *steps {
                    assert!(names.contains(&step.call), "{step:?}");
                    let says_it = step.text.starts_with(step.call) || step.text.starts_with("= ");
                    assert!(says_it && step.lane < chart.lanes.len(), "{step:?}");
                }
                assert!(arrow.as_ref().is_none_or(|a| a.from != a.to), "{arrow:?}");
            }
        }
    }

    #[test]
    fn what_blocks_returns_further_down_or_is_the_wait_for_the_next_client() {
        for chart in ALL {
            for call in calls() {
                for lane in 0..chart.lanes.len() {
                    let mut at = None;
                    while let Some(row) = chart.row_of(lane, &call, false, at) {
                        let Row::Line(steps, _) = &chart.rows[row] else {
                            break;
                        };
                        let blocks = steps
                            .iter()
                            .any(|s| s.lane == lane && s.moment == Moment::Blocks);
                        let again = chart.row_of(lane, &call, false, Some(row));
                        let back = chart.row_of(lane, &call, true, Some(row));
                        assert!(!blocks || back.is_some() || again.is_none(), "{call:?}");
                        at = Some(row);
                    }
                }
            }
        }
    }

    #[test]
    fn the_current_call_is_marked_in_its_lane() {
        let options = Options {
            columns: 80,
            ascii: true,
        };
        let accept = Call::Accept { fd: 3 };
        let row = SEQUENTIAL.row_of(SERVER, &accept, false, None);
        let lines = SEQUENTIAL.draw(options, &[None, row]);
        let marked: Vec<&String> = lines
            .iter()
            .filter(|line| line.contains("> accept() *"))
            .collect();
        assert_eq!(marked.len(), 1, "{lines:#?}");
        assert_eq!(
            row.map(Chart::line_of),
            lines.iter().position(|line| line == marked[0])
        );
        let returned = SEQUENTIAL.row_of(SERVER, &accept, true, row);
        assert!(returned > row);
        let plain = SEQUENTIAL.draw(options, &[]);
        assert!(plain.iter().all(|line| !line.contains("> accept()")));
        assert!(
            plain.iter().any(|line| line.contains("-- SYN --")),
            "{plain:#?}"
        );
    }
}
