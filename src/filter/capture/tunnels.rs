//! The primitives that move the headers for all that follows: tags, labels, sessions and tunnels.

use super::{
    Place,
    ast::{Proto, Side},
    compile::Compiler,
    graph::{Compare, Cond, Operand},
    headers::{Fault, From, Start, ethertype as et},
    values::Form,
};
use crate::{
    bpf::{ancillary, op},
    link::LinkType,
};

const GENEVE_PORT: u16 = 6081;
const VXLAN_PORT: u16 = 4789;
/// Bytes of the UDP header.
const UDP_HEADER: u32 = 8;
/// Bytes of a VLAN tag, and of an MPLS label.
const TAG: u32 = 4;

impl Compiler {
    pub(super) fn vlan(&mut self, id: Option<u32>) -> Result<Cond, Fault> {
        if id.is_some_and(|id| id > 0x0fff) {
            return Err("a VLAN has 12 bits: 0 to 4095".into());
        }
        if self.at.labels > 0 {
            return Err("no VLAN tag follows MPLS labels".into());
        }
        if self.at.link != LinkType::ETHERNET {
            return Err(format!("{} has no VLAN tags", self.at.link_title()));
        }
        let outermost = self.at.vlans == 0 && self.at.header == Start::at(0);
        self.at.vlans += 1;
        let tagged = self
            .at
            .carries(et::VLAN)?
            .or(self.at.carries(et::SERVICE_VLAN)?)
            .or(self.at.carries(et::OLD_QINQ)?);
        let named = match id {
            Some(id) => self.at.masked((From::Payload, 0, 2), id, 0x0fff, VLAN_ID)?,
            None => Cond::Const(true),
        };
        if outermost && self.at.target.place == Place::Kernel {
            return self.kernel_vlan(id, tagged, named);
        }
        self.at.payload = self.at.payload.plus(TAG);
        self.at.kind = self.at.kind.plus(TAG);
        Ok(tagged.and(named))
    }

    /// The kernel has taken the outer tag off, or it is still there: then headers begin four bytes later.
    fn kernel_vlan(&mut self, id: Option<u32>, tagged: Cond, named: Cond) -> Result<Cond, Fault> {
        let present = self.at.ancillary(ancillary::VLAN_TAG_PRESENT, 1);
        let what = "a VLAN tag was taken off";
        let present = self
            .at
            .test(present, Compare::Equal, Operand::Number(1), what);
        let word = self.word();
        let four = self.at.number(TAG);
        let shift = self.store(word, four);
        let mut vlan = present.clone().or(shift.and(tagged));
        if let Some(id) = id {
            let tag = self.at.ancillary(ancillary::VLAN_TAG, 2);
            let mask = self.at.number(0x0fff);
            let tag = self.at.values.binary(op::AND_K, tag, mask);
            let taken = self
                .at
                .test(tag, Compare::Equal, Operand::Number(id), VLAN_ID);
            vlan = vlan.and(present.clone().and(taken).or((!present).and(named)));
        }
        self.at.payload.word = Some(word);
        self.at.kind.word = Some(word);
        Ok(vlan)
    }

    pub(super) fn mpls(&mut self, label: Option<u32>) -> Result<Cond, Fault> {
        let mpls = if self.at.labels > 0 {
            let bottom = (From::Network, 0_u32.wrapping_sub(2), 1);
            self.at
                .masked(bottom, 0, 1, "bottom of the MPLS label stack")?
        } else {
            self.at.is_mpls()?
        };
        let named = match label {
            Some(0x10_0000..) => return Err("an MPLS label has 20 bits: 0 to 1048575".into()),
            Some(label) => {
                let place = (From::Network, 0, 4);
                self.at
                    .masked(place, label << 12, 0xffff_f000, "MPLS label")?
            }
            None => Cond::Const(true),
        };
        self.at.network += TAG;
        self.at.network_llc += TAG;
        self.at.labels += 1;
        Ok(mpls.and(named))
    }

    pub(super) fn pppoes(&mut self, session: Option<u32>) -> Result<Cond, Fault> {
        let pppoe = self.at.carries(et::PPPOES)?;
        let named = match session {
            Some(0x1_0000..) => return Err("a PPPoE session has 16 bits: 0 to 65535".into()),
            Some(session) => {
                let place = (From::Network, 0, 4);
                self.at.masked(place, session, 0xffff, "PPPoE session")?
            }
            None => Cond::Const(true),
        };
        // Behind the PPPoE header of 6 bytes begins PPP with its protocol number.
        self.at.header = self.at.payload.plus(self.at.network + 6);
        self.at.kind = self.at.header;
        self.at.payload = self.at.header.plus(2);
        (self.at.network, self.at.network_llc) = (0, 0);
        self.at.link = LinkType::PPP;
        Ok(pppoe.and(named))
    }

    /// Geneve (RFC 8926 §3.4): a header of variable length, and behind it Ethernet or another protocol.
    pub(super) fn geneve(&mut self, vni: Option<u32>) -> Result<Cond, Fault> {
        let begin = self.word();
        let version = (0, 0xc0, "version of Geneve");
        let geneve = self.over_udp(GENEVE_PORT, version, vni, begin)?;
        let [header, kind, payload] = [self.word(), self.word(), self.word()];
        let begin_value = self.at.values.add(Form::Word(begin));
        let first = self.at.place_load(1, 0, Some(begin_value))?;
        let mask = self.at.number(0x3f);
        let options = self.at.values.binary(op::AND_K, first, mask);
        let four = self.at.number(4);
        let options = self.at.values.binary(op::MUL_K, options, four);
        let eight = self.at.number(8);
        let length = self.at.values.sum(options, eight);
        let end = self.at.values.sum(length, begin_value);
        let header_value = self.at.values.add(Form::Word(header));
        let [two, twelve, fourteen] = [2, 12, 14].map(|n| self.at.number(n));
        let own_kind = self.at.values.sum(begin_value, two);
        let inner_kind = self.at.values.sum(header_value, twelve);
        let inner_payload = self.at.values.sum(header_value, fourteen);
        let protocol = self.at.place_load(2, 2, Some(begin_value))?;
        let what = "protocol of the Geneve header";
        let ethernet = self
            .at
            .test(protocol, Compare::Equal, Operand::Number(et::TEB), what);
        let with_ethernet = ethernet
            .and(self.store(kind, inner_kind))
            .and(self.store(payload, inner_payload));
        let without = self
            .store(kind, own_kind)
            .and(self.store(payload, header_value));
        let moved = self.store(header, end).and(with_ethernet.or(without));
        self.enter(header, kind, payload);
        self.at.geneve = true;
        Ok(geneve.and(moved))
    }

    /// VXLAN (RFC 7348 §5): a header of 8 bytes, and behind it Ethernet.
    pub(super) fn vxlan(&mut self, vni: Option<u32>) -> Result<Cond, Fault> {
        let begin = self.word();
        let flags = (0x08, 0x08, "flags of VXLAN");
        let vxlan = self.over_udp(VXLAN_PORT, flags, vni, begin)?;
        self.enter(begin, begin, begin);
        self.at.header.k = 8;
        self.at.kind.k = 8 + 12;
        self.at.payload.k = 8 + 14;
        Ok(vxlan)
    }

    /// The headers of an inner frame begin where these words say.
    fn enter(&mut self, header: u8, kind: u8, payload: u8) {
        self.at.header = Start::word(header);
        self.at.kind = Start::word(kind);
        self.at.payload = Start::word(payload);
        (self.at.network, self.at.network_llc) = (0, 3);
        self.at.labels = 0;
        self.at.link = LinkType::ETHERNET;
        self.at.geneve = false;
    }

    /// A header in UDP to `port`: bits of its first byte, its network identifier, and where it begins, kept in a word.
    fn over_udp(
        &mut self,
        port: u16,
        (bits, mask, what): (u32, u32, &'static str),
        vni: Option<u32>,
        begin: u8,
    ) -> Result<Cond, Fault> {
        if vni.is_some_and(|vni| vni > 0xff_ffff) {
            return Err("a network identifier has 24 bits: 0 to 16777215".into());
        }
        if self.at.target.place == Place::KernelCooked {
            return Err("the kernel has no link header of a cooked packet".into());
        }
        let mut either = Cond::Const(false);
        for from in [From::Ip4Payload, From::Ip6Payload] {
            let ip6 = from == From::Ip6Payload;
            let mut found =
                self.ports_of(ip6, Some(Proto::Udp), Side::Destination, (port, port))?;
            found = found.and(self.at.masked((from, UDP_HEADER, 1), bits, mask, what)?);
            if let Some(vni) = vni {
                let place = (from, UDP_HEADER + 4, 4);
                let what = "network identifier";
                found = found.and(self.at.masked(place, vni << 8, 0xffff_ff00, what)?);
            }
            let variable = match (ip6, self.at.payload.word) {
                (false, _) => self.at.header_length()?,
                (true, Some(word)) => self.at.values.add(Form::Word(word)),
                (true, None) => self.at.number(0),
            };
            let fixed = self.at.payload.k + self.at.network + UDP_HEADER;
            let fixed = self.at.number(if ip6 { fixed + 40 } else { fixed });
            let place = self.at.values.sum(variable, fixed);
            found = found.and(self.store(begin, place));
            either = either.or(found);
        }
        Ok(either)
    }

    /// A word of scratch memory that no other header uses.
    pub(super) fn word(&mut self) -> u8 {
        self.words += 1;
        self.words - 1
    }
}

const VLAN_ID: &str = "VLAN";
