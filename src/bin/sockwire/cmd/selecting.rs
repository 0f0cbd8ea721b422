//! Both filters of a command line in use: the capture filter compiled for each link type that comes, and run on frames
//! before they are decoded; the display filter compiled once.

use std::{
    fs::File,
    io::{self, ErrorKind, Read as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::Context as _;
use sockwire::{
    bpf::{Input, Program},
    capture::{self, Fault, On, Sieve, packet_type},
    decode::{Decoded, Decoder},
    filter::{
        CaptureFilter, DisplayFilter, FilterError,
        capture::{Place, Target},
    },
    frame::Frame,
    link::LinkType,
};

use super::{Exit, Failure, names::System, usage};

/// The most bytes of a filter file.
const LONGEST: u64 = 1 << 20;

/// Filters beside the words at the end of the line.
#[derive(clap::Args, Clone, Debug, Default)]
pub(crate) struct FilterArgs {
    /// Shows, and records, only the packets that match a display filter as in Wireshark: -Y 'tcp.flags.syn == 1'
    #[arg(short = 'Y', long, value_name = "EXPR")]
    pub(super) display_filter: Option<String>,
    /// Reads the capture filter from a file, in which # begins a comment, - is standard input; words at the end of the line are not used then
    #[arg(short = 'F', value_name = "FILE")]
    pub(super) filter_file: Option<PathBuf>,
}

/// Which packets a command takes, and which of them it shows.
pub(super) struct Filters {
    pub(super) selection: Selection,
    pub(super) display: Option<DisplayFilter>,
}

impl FilterArgs {
    /// Compiles both; `words` are those at the end of the line. The resolver is asked for names only when it may be.
    pub(super) fn compile(&self, words: &[String], resolve: bool) -> Result<Filters, Failure> {
        let names = System { resolve };
        let bad = |error: FilterError| Failure::new(Exit::Usage, error);
        let expression = match &self.filter_file {
            Some(path) => from_file(path)?,
            None => words.join(" "),
        };
        let display = self.display_filter.as_deref();
        Ok(Filters {
            selection: Selection {
                filter: Arc::new(CaptureFilter::parse(&expression, &names).map_err(bad)?),
                icmp_errors: false,
            },
            display: display
                .map(|expression| DisplayFilter::compile(expression, &names))
                .transpose()
                .map_err(bad)?,
        })
    }
}

/// The expression in a file, or on standard input for `-`, on one line: what `#` begins is left out, as tcpdump does.
pub(super) fn from_file(path: &Path) -> Result<String, Failure> {
    let mut bytes = Vec::new();
    let opened: io::Result<Box<dyn io::Read>> = if path.as_os_str() == "-" {
        Ok(Box::new(io::stdin()))
    } else {
        File::open(path).map(|file| Box::new(file) as _)
    };
    opened
        .and_then(|file| file.take(LONGEST + 1).read_to_end(&mut bytes))
        .with_context(|| format!("cannot read the filter file {}", path.display()))
        .map_err(|error| {
            let kind = error.downcast_ref().map(io::Error::kind);
            let forbidden = kind == Some(ErrorKind::PermissionDenied);
            Failure::new(
                if forbidden {
                    Exit::NotPermitted
                } else {
                    Exit::NoSuch
                },
                error,
            )
        })?;
    if bytes.len() as u64 > LONGEST {
        return Err(usage(format!(
            "the filter file {} is longer than 1 MiB",
            path.display()
        )));
    }
    let text = String::from_utf8_lossy(&bytes);
    let lines = text
        .lines()
        .map(|line| line.split('#').next().unwrap_or("").trim());
    let lines: Vec<&str> = lines.filter(|line| !line.is_empty()).collect();
    Ok(lines.join(" "))
}

/// What a program sees of a frame.
pub(super) fn input<'a>(frame: &Frame<'a>) -> Input<'a> {
    Input {
        bytes: frame.bytes,
        wire_len: frame.wire_len,
        packet_type: packet_type(frame.direction),
    }
}

/// The capture filter, and whether ICMP errors about its packets are wanted too.
#[derive(Clone, Debug)]
pub(super) struct Selection {
    filter: Arc<CaptureFilter>,
    icmp_errors: bool,
}

impl Selection {
    /// Takes ICMP errors about wanted packets as well.
    pub(super) fn with_icmp_errors(self) -> Self {
        Self {
            icmp_errors: true,
            ..self
        }
    }

    /// The filter itself.
    pub(super) fn filter(&self) -> &CaptureFilter {
        &self.filter
    }

    /// The program for frames of a file.
    pub(super) fn for_file(&self, link: LinkType) -> Result<Program, Failure> {
        let target = Target {
            link,
            place: Place::Frame,
            snaplen: capture::SNAPLEN,
            netmask: None,
        };
        let compiled = self.filter.compile(target);
        let compiled = compiled.map_err(|error| Failure::new(Exit::Usage, error))?;
        Ok(compiled.program)
    }

    /// For frames of a file, whose link types come up one by one.
    pub(super) fn sifter(&self) -> Sifter {
        Sifter {
            selection: self.clone(),
            netmask: None,
            programs: Vec::new(),
            quoted: self.quoted(None),
            behind_vlan: self.behind_vlan(),
            missed: false,
        }
    }

    /// The program for what the filter misses behind VLAN tags, if it has a meaning there.
    fn behind_vlan(&self) -> Option<Program> {
        let filter = CaptureFilter::clone(&self.filter).behind_vlan();
        let target = Target {
            link: LinkType::ETHERNET,
            place: Place::Frame,
            snaplen: capture::SNAPLEN,
            netmask: None,
        };
        Some(filter.compile(target).ok()?.program)
    }

    /// What reads quotations, when they matter and the filter has a meaning for them.
    fn quoted(&self, netmask: Option<u32>) -> Option<Quoted> {
        let target = Target {
            link: LinkType::RAW,
            place: Place::Frame,
            snaplen: capture::SNAPLEN,
            netmask,
        };
        let program = self.icmp_errors.then(|| self.filter.compile(target).ok());
        Some(Quoted {
            program: program??.program,
            decoder: Decoder::default(),
            decoded: Decoded::default(),
        })
    }
}

impl capture::Filter for Selection {
    fn expression(&self) -> &str {
        self.filter.expression()
    }

    fn program(&self, on: &On) -> Result<Program, Fault> {
        let target = Target {
            link: on.link,
            place: if on.cooked {
                Place::KernelCooked
            } else {
                Place::Kernel
            },
            snaplen: on.snaplen,
            netmask: on.netmask,
        };
        let filter = CaptureFilter::clone(&self.filter);
        let filter = if self.icmp_errors {
            filter.with_icmp_errors()
        } else {
            filter
        };
        Ok(filter.compile(target)?.program)
    }

    fn sieve(&self, on: &On, attached: bool) -> Result<Option<Sieve>, Fault> {
        if attached && !self.icmp_errors {
            return Ok(None);
        }
        let mut sifter = Sifter {
            netmask: on.netmask,
            quoted: self.quoted(on.netmask),
            behind_vlan: None,
            ..self.sifter()
        };
        sifter.learn(on.link)?;
        // Its frames have the one link type that is known.
        Ok(Some(Box::new(move |frame| {
            sifter.takes(frame).unwrap_or(false)
        })))
    }
}

/// Runs the capture filter here, on frames as a file has them or as a source delivers them.
pub(super) struct Sifter {
    selection: Selection,
    netmask: Option<u32>,
    /// One for each link type seen, the last one asked for first.
    programs: Vec<Programs>,
    quoted: Option<Quoted>,
    /// Kept until the filter takes its first frame.
    behind_vlan: Option<Program>,
    missed: bool,
}

/// The filter compiled for a link type.
struct Programs {
    link: LinkType,
    wanted: Program,
    /// Takes every ICMP error too, where these matter.
    errors: Option<Program>,
}

impl Sifter {
    /// The frame is wanted.
    ///
    /// # Errors
    /// When the filter has no meaning for the frame's link type.
    pub(super) fn takes(&mut self, frame: &Frame<'_>) -> Result<bool, FilterError> {
        if self.programs.first().is_none_or(|p| p.link != frame.link) {
            self.learn(frame.link)?;
        }
        let Some(programs) = self.programs.first() else {
            return Ok(false);
        };
        let input = input(frame);
        if programs.wanted.run(&input) != 0 {
            self.behind_vlan = None;
            return Ok(true);
        }
        if let Some(program) = &self.behind_vlan
            && frame.link == LinkType::ETHERNET
            && program.run(&input) != 0
        {
            (self.behind_vlan, self.missed) = (None, true);
        }
        let is_error = |program: &Program| program.run(&input) != 0;
        Ok(programs.errors.as_ref().is_some_and(is_error)
            && self
                .quoted
                .as_mut()
                .is_some_and(|quoted| quoted.is_wanted(frame)))
    }

    /// Before it took anything, it refused a frame that it would take without the VLAN tag.
    pub(super) fn missed_behind_vlan(&self) -> bool {
        self.missed
    }

    /// Puts the programs for `link` first, compiled when they are new.
    fn learn(&mut self, link: LinkType) -> Result<(), FilterError> {
        let known = self.programs.iter().position(|p| p.link == link);
        if let Some(at) = known {
            self.programs.swap(0, at);
            return Ok(());
        }
        let target = Target {
            link,
            place: Place::Frame,
            snaplen: capture::SNAPLEN,
            netmask: self.netmask,
        };
        let filter = &self.selection.filter;
        let errors = self
            .quoted
            .as_ref()
            .map(|_| CaptureFilter::clone(filter).with_icmp_errors());
        let programs = Programs {
            link,
            wanted: filter.compile(target)?.program,
            errors: errors.and_then(|all| Some(all.compile(target).ok()?.program)),
        };
        self.programs.insert(0, programs);
        Ok(())
    }
}

/// Asks the filter about the packet that an ICMP error quotes.
struct Quoted {
    /// For packets that begin with their IP header.
    program: Program,
    decoder: Decoder,
    decoded: Decoded,
}

impl Quoted {
    fn is_wanted(&mut self, frame: &Frame<'_>) -> bool {
        self.decoded.clear();
        self.decoder.frame(frame, &mut self.decoded);
        let packet = self.decoded.packet_of(*frame, 0);
        let quoted = packet.and_then(|packet| packet.views().find(|view| view.layer.quoted));
        quoted.is_some_and(|view| {
            self.program.run(&Input {
                bytes: view.bytes(),
                wire_len: view.layer.wire,
                packet_type: None,
            }) != 0
        })
    }
}
