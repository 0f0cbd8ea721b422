//! What the data of each type of record hold: one row a type, and functions where a row does not suffice.

use std::ops::ControlFlow;

use super::{edns, fields as f, message::OPT, reader::Reader, special};
use crate::field::Field;

/// A piece of record data.
pub(super) enum Part {
    /// So many bytes, read as the field's kind says.
    Fixed(&'static Field, usize),
    /// Some bits of the two bytes before: first bit from the most significant, and how many.
    Bits(&'static Field, u32, u32),
    /// Seconds since 1970, in so many bytes.
    Seconds(&'static Field, usize),
    /// A domain name.
    Name(&'static Field),
    /// A length byte and text.
    String(&'static Field, &'static Field),
    /// Such strings to the end.
    Strings(&'static Field, &'static Field),
    /// A length of two bytes and bytes.
    Counted(&'static Field, &'static Field),
    /// All that is left.
    Rest(&'static Field),
    /// What follows from bytes that are not taken by it.
    Shown(fn(&mut Reader<'_, '_>) -> ControlFlow<()>),
    /// What a row cannot tell.
    Call(fn(&mut Reader<'_, '_>) -> ControlFlow<()>),
}

use Part::{Bits, Call, Counted, Fixed, Name, Rest, Seconds, Shown, String, Strings};

/// The data of a record, by type. In the order of the types' numbers.
static LAYOUTS: &[(u16, &[Part])] = &[
    (1, &[Fixed(&f::A, 4)]),
    (2, &[Name(&f::NS)]),
    (3, &[Name(&f::MD)]),
    (4, &[Name(&f::MF)]),
    (5, &[Name(&f::CNAME)]),
    (
        6,
        &[
            Name(&f::SOA_MNAME),
            Name(&f::SOA_RNAME),
            Fixed(&f::SOA_SERIAL_NUMBER, 4),
            Fixed(&f::SOA_REFRESH_INTERVAL, 4),
            Fixed(&f::SOA_RETRY_INTERVAL, 4),
            Fixed(&f::SOA_EXPIRE_LIMIT, 4),
            Fixed(&f::SOA_MINIMUM_TTL, 4),
        ],
    ),
    (7, &[Name(&f::MB)]),
    (8, &[Name(&f::MG)]),
    (9, &[Name(&f::MR)]),
    (10, &[Rest(&f::NULL)]),
    (
        11,
        &[
            Fixed(&f::WKS_ADDRESS, 4),
            Fixed(&f::WKS_PROTOCOL, 1),
            Call(special::open_ports),
        ],
    ),
    (12, &[Name(&f::PTR_DOMAIN_NAME)]),
    (
        13,
        &[
            String(&f::HINFO_CPU_LENGTH, &f::HINFO_CPU),
            String(&f::HINFO_OS_LENGTH, &f::HINFO_OS),
        ],
    ),
    (14, &[Name(&f::MINFO_R), Name(&f::MINFO_E)]),
    (
        15,
        &[Fixed(&f::MX_PREFERENCE, 2), Name(&f::MX_MAIL_EXCHANGE)],
    ),
    (16, &[Strings(&f::TXT_LENGTH, &f::TXT)]),
    (17, &[Name(&f::RP_MAILBOX), Name(&f::RP_TXT_RR)]),
    (18, &[Fixed(&f::AFSDB_SUBTYPE, 2), Name(&f::AFSDB_HOSTNAME)]),
    (19, &[String(&f::X25_LENGTH, &f::X25_PSDN_ADDRESS)]),
    (
        20,
        &[
            String(&f::IDSN_LENGTH, &f::IDSN_ADDRESS),
            Strings(&f::IDSN_SA_LENGTH, &f::IDSN_SA_ADDRESS),
        ],
    ),
    (
        21,
        &[Fixed(&f::RT_SUBTYPE, 2), Name(&f::RT_INTERMEDIATE_HOST)],
    ),
    (22, &[Rest(&f::NSAP_RDATA)]),
    (23, &[Name(&f::NSAP_PTR_OWNER)]),
    (24, SIGNATURE),
    (
        25,
        &[
            Fixed(&f::KEY_FLAGS, 2),
            Bits(&f::KEY_FLAGS_AUTHENTICATION, 0, 1),
            Bits(&f::KEY_FLAGS_CONFIDENTIALITY, 1, 1),
            Bits(&f::KEY_FLAGS_REQUIRED, 2, 1),
            Bits(&f::KEY_FLAGS_ASSOCIATED_USER, 5, 1),
            Bits(&f::KEY_FLAGS_ASSOCIATED_NAMED_ENTITY, 6, 1),
            Bits(&f::KEY_FLAGS_IPSEC, 8, 1),
            Bits(&f::KEY_FLAGS_MIME, 9, 1),
            Bits(&f::KEY_FLAGS_SIGNATORY, 12, 4),
            Fixed(&f::KEY_PROTOCOL, 1),
            Fixed(&f::KEY_ALGORITHM, 1),
            Shown(|r| special::key_tag(r, &f::KEY_KEY_ID)),
            Rest(&f::KEY_PUBLIC_KEY),
        ],
    ),
    (
        26,
        &[
            Fixed(&f::PX_PREFERENCE, 2),
            Name(&f::PX_MAP822),
            Name(&f::PX_MAP400),
        ],
    ),
    (
        27,
        &[
            String(&f::GPOS_LONGITUDE_LENGTH, &f::GPOS_LONGITUDE),
            String(&f::GPOS_LATITUDE_LENGTH, &f::GPOS_LATITUDE),
            String(&f::GPOS_ALTITUDE_LENGTH, &f::GPOS_ALTITUDE),
        ],
    ),
    (28, &[Fixed(&f::AAAA, 16)]),
    (
        29,
        &[
            Fixed(&f::LOC_VERSION, 1),
            Fixed(&f::LOC_SIZE, 1),
            Fixed(&f::LOC_HORIZONTAL_PRECISION, 1),
            Fixed(&f::LOC_VERTICAL_PRECISION, 1),
            Fixed(&f::LOC_LATITUDE, 4),
            Fixed(&f::LOC_LONGITUDE, 4),
            Fixed(&f::LOC_ALTITUDE, 4),
        ],
    ),
    (
        30,
        &[
            Name(&f::NXT_NEXT_DOMAIN_NAME),
            Call(|r| special::bitmap(r, 0)),
        ],
    ),
    (
        33,
        &[
            Fixed(&f::SRV_PRIORITY, 2),
            Fixed(&f::SRV_WEIGHT, 2),
            Fixed(&f::SRV_PORT, 2),
            Name(&f::SRV_TARGET),
        ],
    ),
    (
        35,
        &[
            Fixed(&f::NAPTR_ORDER, 2),
            Fixed(&f::NAPTR_PREFERENCE, 2),
            String(&f::NAPTR_FLAGS_LENGTH, &f::NAPTR_FLAGS),
            String(&f::NAPTR_SERVICE_LENGTH, &f::NAPTR_SERVICE),
            String(&f::NAPTR_REGEX_LENGTH, &f::NAPTR_REGEX),
            Call(special::replacement),
        ],
    ),
    (
        36,
        &[Fixed(&f::KX_PREFERENCE, 2), Name(&f::KX_KEY_EXCHANGE)],
    ),
    (
        37,
        &[
            Fixed(&f::CERT_TYPE, 2),
            Fixed(&f::CERT_KEY_TAG, 2),
            Fixed(&f::CERT_ALGORITHM, 1),
            Rest(&f::CERT_CERTIFICATE),
        ],
    ),
    (38, &[Fixed(&f::A6_PREFIX_LEN, 1), Call(special::a6)]),
    (39, &[Name(&f::DNAME)]),
    (OPT, &[Call(edns::options)]),
    (42, &[Call(special::prefixes)]),
    (43, DELEGATION),
    (
        44,
        &[
            Fixed(&f::SSHFP_ALGORITHM, 1),
            Fixed(&f::SSHFP_FINGERPRINT_TYPE, 1),
            Rest(&f::SSHFP_FINGERPRINT),
        ],
    ),
    (
        45,
        &[
            Fixed(&f::IPSECKEY_GATEWAY_PRECEDENCE, 1),
            Fixed(&f::IPSECKEY_GATEWAY_TYPE, 1),
            Fixed(&f::IPSECKEY_GATEWAY_ALGORITHM, 1),
            Call(special::gateway),
            Rest(&f::IPSECKEY_PUBLIC_KEY),
        ],
    ),
    (46, SIGNATURE),
    (
        47,
        &[Name(&f::NSEC_NEXT_DOMAIN_NAME), Call(special::bitmaps)],
    ),
    (48, KEY),
    (49, &[Rest(&f::DHCID_RDATA)]),
    (
        50,
        &[
            Fixed(&f::NSEC3_ALGO, 1),
            Fixed(&f::NSEC3_FLAGS, 1),
            Bits(&f::NSEC3_FLAGS_OPT_OUT, 15, 1),
            Fixed(&f::NSEC3_ITERATIONS, 2),
            String(&f::NSEC3_SALT_LENGTH, &f::NSEC3_SALT_VALUE),
            Call(special::hashed_owner),
            Call(special::bitmaps),
        ],
    ),
    (
        51,
        &[
            Fixed(&f::NSEC3_ALGO, 1),
            Fixed(&f::NSEC3_FLAGS, 1),
            Fixed(&f::NSEC3_ITERATIONS, 2),
            String(&f::NSEC3_SALT_LENGTH, &f::NSEC3_SALT_VALUE),
        ],
    ),
    (
        52,
        &[
            Fixed(&f::TLSA_CERTIFICATE_USAGE, 1),
            Fixed(&f::TLSA_SELECTOR, 1),
            Fixed(&f::TLSA_MATCHING_TYPE, 1),
            Rest(&f::TLSA_CERTIFICATE_ASSOCIATION_DATA),
        ],
    ),
    (55, &[Call(special::host_identity)]),
    (59, DELEGATION),
    (60, KEY),
    (61, &[Rest(&f::OPENPGPKEY)]),
    (
        62,
        &[
            Fixed(&f::CSYNC_SOA, 4),
            Fixed(&f::CSYNC_FLAGS, 2),
            Bits(&f::CSYNC_FLAGS_IMMEDIATE, 15, 1),
            Bits(&f::CSYNC_FLAGS_SOAMINIMUM, 14, 1),
            Call(special::csync_types),
        ],
    ),
    (
        63,
        &[
            Fixed(&f::ZONEMD_SERIAL, 4),
            Fixed(&f::ZONEMD_SCHEME, 1),
            Fixed(&f::ZONEMD_HASH_ALGO, 1),
            Rest(&f::ZONEMD_DIGEST),
        ],
    ),
    (64, SERVICE),
    (65, SERVICE),
    (99, &[Strings(&f::SPF_LENGTH, &f::SPF)]),
    (
        104,
        &[Fixed(&f::ILNP_NID_PREFERENCE, 2), Fixed(&f::ILNP_NID, 8)],
    ),
    (
        105,
        &[Fixed(&f::ILNP_L32_PREFERENCE, 2), Fixed(&f::ILNP_L32, 4)],
    ),
    (
        106,
        &[Fixed(&f::ILNP_L64_PREFERENCE, 2), Fixed(&f::ILNP_L64, 8)],
    ),
    (107, &[Fixed(&f::ILNP_LP_PREFERENCE, 2), Name(&f::ILNP_LP)]),
    (108, &[Fixed(&f::EUI48, 6)]),
    (109, &[Fixed(&f::EUI64, 8)]),
    (
        249,
        &[
            Name(&f::TKEY_ALGO_NAME),
            Seconds(&f::TKEY_SIGNATURE_INCEPTION, 4),
            Seconds(&f::TKEY_SIGNATURE_EXPIRATION, 4),
            Fixed(&f::TKEY_MODE, 2),
            Fixed(&f::TKEY_ERROR, 2),
            Counted(&f::TKEY_KEY_SIZE, &f::TKEY_KEY_DATA),
            Counted(&f::TKEY_OTHER_SIZE, &f::TKEY_OTHER_DATA),
        ],
    ),
    (
        250,
        &[
            Name(&f::TSIG_ALGORITHM_NAME),
            Seconds(&f::TSIG_TIME_SIGNED, 6),
            Fixed(&f::TSIG_FUDGE, 2),
            Counted(&f::TSIG_MAC_SIZE, &f::TSIG_MAC),
            Fixed(&f::TSIG_ORIGINAL_ID, 2),
            Fixed(&f::TSIG_ERROR, 2),
            Counted(&f::TSIG_OTHER_LEN, &f::TSIG_OTHER_DATA),
        ],
    ),
    (257, &[Call(special::certification_authority)]),
    (32769, DELEGATION),
    (
        65281,
        &[
            Fixed(&f::WINS_LOCAL_FLAG, 4),
            Fixed(&f::WINS_LOOKUP_TIMEOUT, 4),
            Fixed(&f::WINS_CACHE_TIMEOUT, 4),
            Fixed(&f::WINS_NB_WINS_SERVERS, 4),
            Call(special::wins_servers),
        ],
    ),
    (
        65282,
        &[
            Fixed(&f::WINSR_LOCAL_FLAG, 4),
            Fixed(&f::WINSR_LOOKUP_TIMEOUT, 4),
            Fixed(&f::WINSR_CACHE_TIMEOUT, 4),
            Name(&f::WINSR_NAME_RESULT_DOMAIN),
        ],
    ),
];

/// SIG and RRSIG (RFC 4034 §3.1).
static SIGNATURE: &[Part] = &[
    Fixed(&f::RRSIG_TYPE_COVERED, 2),
    Fixed(&f::RRSIG_ALGORITHM, 1),
    Fixed(&f::RRSIG_LABELS, 1),
    Fixed(&f::RRSIG_ORIGINAL_TTL, 4),
    Seconds(&f::RRSIG_SIGNATURE_EXPIRATION, 4),
    Seconds(&f::RRSIG_SIGNATURE_INCEPTION, 4),
    Fixed(&f::RRSIG_KEY_TAG, 2),
    Name(&f::RRSIG_SIGNERS_NAME),
    Rest(&f::RRSIG_SIGNATURE),
];

/// DNSKEY and CDNSKEY (RFC 4034 §2.1).
static KEY: &[Part] = &[
    Fixed(&f::DNSKEY_FLAGS, 2),
    Bits(&f::DNSKEY_FLAGS_ZONE_KEY, 7, 1),
    Bits(&f::DNSKEY_FLAGS_KEY_REVOKED, 8, 1),
    Bits(&f::DNSKEY_FLAGS_SECURE_ENTRY_POINT, 15, 1),
    Shown(special::reserved_key_flags),
    Fixed(&f::DNSKEY_PROTOCOL, 1),
    Fixed(&f::DNSKEY_ALGORITHM, 1),
    Shown(|r| special::key_tag(r, &f::DNSKEY_KEY_ID)),
    Rest(&f::DNSKEY_PUBLIC_KEY),
];

/// DS, CDS and DLV (RFC 4034 §5.1).
static DELEGATION: &[Part] = &[
    Fixed(&f::DS_KEY_ID, 2),
    Fixed(&f::DS_ALGORITHM, 1),
    Fixed(&f::DS_DIGEST_TYPE, 1),
    Rest(&f::DS_DIGEST),
];

/// SVCB and HTTPS (RFC 9460 §2.2).
static SERVICE: &[Part] = &[
    Fixed(&f::SVCB_SVCPRIORITY, 2),
    Name(&f::SVCB_TARGETNAME),
    Call(special::parameters),
];

/// The row of type `kind`, where it suffices to write its data.
pub(super) fn writable(kind: u16) -> Option<&'static [Part]> {
    let row = LAYOUTS.binary_search_by_key(&kind, |row| row.0).ok()?;
    let parts = LAYOUTS[row].1;
    (!parts.iter().any(|part| matches!(part, Call(_)))).then_some(parts)
}

/// Shows the data of a record of type `kind`, which lie between `r.at` and `r.end`.
pub(super) fn data(r: &mut Reader<'_, '_>, kind: u16) -> ControlFlow<()> {
    // Without data: a prerequisite or a deletion in an update (RFC 2136 §2.4).
    if r.rest().is_empty() {
        return ControlFlow::Continue(());
    }
    let Ok(row) = LAYOUTS.binary_search_by_key(&kind, |row| row.0) else {
        return r.remainder(&f::DATA);
    };
    r.ended = false;
    for part in LAYOUTS[row].1 {
        if r.ended {
            break;
        }
        match *part {
            Fixed(field, len) => r.fixed(field, len)?,
            Bits(field, first, len) => r.bits(field, r.at.saturating_sub(2), (first, len))?,
            Seconds(field, len) => r.seconds(field, len)?,
            Name(field) => r.name(field)?,
            String(length, text) => r.string(length, text)?,
            Strings(length, text) => {
                while !r.rest().is_empty() {
                    r.string(length, text)?;
                }
            }
            Counted(length, bytes) => r.counted(length, bytes)?,
            Rest(field) => r.remainder(field)?,
            Shown(read) | Call(read) => read(r)?,
        }
    }
    ControlFlow::Continue(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layouts_are_in_order() {
        assert!(LAYOUTS.is_sorted_by_key(|row| row.0));
    }
}
