//! The client with its TCP made by hand: every segment it sends and hears goes through raw sockets.

use std::{io, ops::ControlFlow};

use super::{
    super::{
        Report,
        message::{BURST, burst_len, message},
    },
    Side, failed,
};
use crate::{
    lab::LabError,
    probe::{
        handshake::{Event, Handshake, HandshakeError, Plan},
        tcp::{Close, Ending, Settings, Template},
    },
    time::SECOND,
    track::state::State,
};

/// A connection by hand, and what the peer said that is not read yet.
struct ByHand<'a> {
    side: &'a Side,
    handshake: Handshake,
    heard: Vec<u8>,
}

pub(super) fn client(side: &Side) -> Result<(), LabError> {
    let plan = Plan {
        template: Template::default(),
        settings: Settings {
            text: Vec::new(),
            close: Close::Fin,
            // The exchange says when it closes, not a silence.
            wait: 3600 * SECOND,
            patience: 60 * SECOND,
            absolute: false,
        },
        remote: Some(side.server),
        source: None,
        port: 0,
        kernel_resets: false,
    };
    let handshake = Handshake::open(plan).map_err(failed("send packets by hand in the lab"))?;
    let mut client = ByHand {
        side,
        handshake,
        heard: Vec::new(),
    };
    client.exchange().map_err(failed("play TCP by hand"))?;
    match client.handshake.connection().ending() {
        Some(Ending::Closed) => {}
        ending => side.told(Err(io::Error::other(format!(
            "the connection by hand did not close: {ending:?}"
        )))),
    }
    Ok(())
}

impl ByHand<'_> {
    fn exchange(&mut self) -> Result<(), HandshakeError> {
        self.acts(Handshake::start)?;
        while self.handshake.connection().state() == State::SynSent && !self.is_over() {
            self.acts(Handshake::step)?;
        }
        for word in BURST {
            self.acts(|handshake, listener| handshake.say(word, listener))?;
        }
        self.side.burst(BURST.len());
        if self.await_bytes(burst_len())? {
            let words: Vec<u8> = self.heard.drain(..burst_len()).collect();
            self.side.read(&words);
        }
        let payload = self.side.exchange.payload;
        for number in 1..=self.side.exchange.count {
            if self.is_over() {
                return Ok(());
            }
            self.side.said(number);
            let text = message(number, payload);
            self.acts(|handshake, listener| handshake.say(&text, listener))?;
            if self.await_bytes(payload)? {
                self.side.got(&self.heard[..payload], number);
                self.heard.drain(..payload);
            }
        }
        self.acts(Handshake::close)?;
        while !self.is_over() {
            self.acts(Handshake::step)?;
        }
        Ok(())
    }

    fn is_over(&self) -> bool {
        self.handshake.connection().ending().is_some()
    }

    /// Goes on until so many bytes of the peer are there; false when the connection has ended before.
    fn await_bytes(&mut self, wanted: usize) -> Result<bool, HandshakeError> {
        while self.heard.len() < wanted && !self.is_over() {
            self.acts(Handshake::step)?;
        }
        Ok(self.heard.len() >= wanted)
    }

    /// Lets the connection do something, and reports the packets that this took.
    fn acts(
        &mut self,
        act: impl FnOnce(
            &mut Handshake,
            &mut dyn FnMut(Event<'_>) -> ControlFlow<()>,
        ) -> Result<ControlFlow<()>, HandshakeError>,
    ) -> Result<(), HandshakeError> {
        let (side, heard) = (self.side, &mut self.heard);
        act(&mut self.handshake, &mut |event| {
            match event {
                Event::Packet(frame) => side.tell(Report::ByHand(frame.direction)),
                Event::Data(data) => {
                    heard.extend_from_slice(data);
                }
                _ => {}
            }
            ControlFlow::Continue(())
        })
        .map(|_| ())
    }
}
