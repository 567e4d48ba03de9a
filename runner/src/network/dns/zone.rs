//! What a container may know about its neighbours, and answers made of it.
//!
//! Pure: bytes in, bytes out. Whatever is not about a neighbour is left to others.

use std::net::IpAddr;

use hickory_proto::op::{Message, MessageType, OpCode, ResponseCode};
use hickory_proto::rr::rdata::{A, AAAA, PTR};
use hickory_proto::rr::{DNSClass, Name, RData, Record, RecordType};
use rand::seq::SliceRandom as _;

/// Seconds for which a client may remember an answer; Docker's value.
const TTL: u32 = 600;
/// Longest answer over UDP to a client that does not say what it takes (RFC 1035, 4.2.1).
const PLAIN_UDP_LIMIT: usize = 512;

/// The names one container sees.
#[derive(Debug, Clone, Default)]
pub(in crate::network) struct Zone {
    pub(in crate::network) entries: Vec<ZoneEntry>,
    /// Whether the container may ask the world. On internal networks alone it may not: names
    /// asked for would carry its secrets out.
    pub(in crate::network) may_forward: bool,
}

/// One endpoint on a network the asking container is on.
#[derive(Debug, Clone)]
pub(in crate::network) struct ZoneEntry {
    pub(in crate::network) network: String,
    /// The first is its proper name.
    pub(in crate::network) names: Vec<String>,
    pub(in crate::network) addresses: Vec<IpAddr>,
}

/// How a query came, which decides how long its answer may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Transport {
    Udp,
    Tcp,
}

/// What to do about a query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    Reply(Vec<u8>),
    /// Nothing about a neighbour.
    Forward,
    /// No query at all.
    Ignore,
}

impl Zone {
    /// Every address of the endpoints with this name, plain or followed by its network's.
    /// `None` when nobody has it.
    fn addresses(&self, name: &str) -> Option<Vec<IpAddr>> {
        let found: Vec<IpAddr> = self
            .entries
            .iter()
            .filter(|entry| entry.has_name(name))
            .flat_map(|entry| entry.addresses.iter().copied())
            .collect();
        (!found.is_empty()).then_some(found)
    }

    fn name_of(&self, address: IpAddr) -> Option<String> {
        let mut entries = self.entries.iter();
        let entry = entries.find(|entry| entry.addresses.contains(&address))?;
        Some(format!("{}.{}", entry.names.first()?, entry.network))
    }
}

impl ZoneEntry {
    fn has_name(&self, wanted: &str) -> bool {
        let short = wanted
            .len()
            .checked_sub(self.network.len() + 1)
            .and_then(|end| wanted.split_at_checked(end))
            .filter(|(_, rest)| {
                rest.strip_prefix('.')
                    .is_some_and(|n| same(n, &self.network))
            })
            .map(|(short, _)| short);
        let mut names = self.names.iter();
        names.any(|name| same(name, wanted) || short.is_some_and(|short| same(name, short)))
    }
}

/// Names in the DNS have no case (RFC 4343).
fn same(a: &str, b: &str) -> bool {
    a.eq_ignore_ascii_case(b)
}

/// Decides about the bytes of one query.
pub(super) fn answer(query: &[u8], zone: &Zone, transport: Transport) -> Verdict {
    let Ok(message) = Message::from_vec(query) else {
        return failure(query, ResponseCode::FormErr).map_or(Verdict::Ignore, Verdict::Reply);
    };
    if message.metadata.message_type != MessageType::Query {
        return Verdict::Ignore;
    }
    if message.metadata.op_code != OpCode::Query {
        return reply(
            &respond(&message, ResponseCode::NotImp),
            &message,
            transport,
        );
    }
    let [question] = message.queries.as_slice() else {
        return reply(
            &respond(&message, ResponseCode::FormErr),
            &message,
            transport,
        );
    };
    if question.query_class() != DNSClass::IN {
        return Verdict::Forward;
    }
    let records = match question.query_type() {
        RecordType::PTR => pointer(question.name(), zone),
        kind => addresses(question.name(), kind, zone),
    };
    match records {
        Some(records) => {
            let mut response = respond(&message, ResponseCode::NoError);
            response.add_answers(records);
            reply(&response, &message, transport)
        }
        None if zone.may_forward => Verdict::Forward,
        None => reply(
            &respond(&message, ResponseCode::ServFail),
            &message,
            transport,
        ),
    }
}

/// The answer to a query that nobody could answer; `None` when there is not even a header.
pub(super) fn failure(query: &[u8], code: ResponseCode) -> Option<Vec<u8>> {
    let [first, second, ..] = *query else {
        return None;
    };
    let message = match Message::from_vec(query) {
        Ok(message) if message.metadata.message_type == MessageType::Query => {
            respond(&message, code)
        }
        Ok(_) => return None,
        Err(_) => Message::error_msg(u16::from_be_bytes([first, second]), OpCode::Query, code),
    };
    message.to_vec().ok()
}

/// Records for a neighbour's name: of the wanted type, or none when it has only others. In
/// random order, so that several containers with one alias share the load.
fn addresses(name: &Name, kind: RecordType, zone: &Zone) -> Option<Vec<Record>> {
    let text = name.to_utf8();
    let mut found = zone.addresses(text.trim_end_matches('.'))?;
    found.shuffle(&mut rand::rng());
    let records = found.into_iter().filter_map(|address| {
        let data = match (address, kind) {
            (IpAddr::V4(address), RecordType::A | RecordType::ANY) => RData::A(A(address)),
            (IpAddr::V6(address), RecordType::AAAA | RecordType::ANY) => RData::AAAA(AAAA(address)),
            _ => return None,
        };
        Some(Record::from_rdata(name.clone(), TTL, data))
    });
    Some(records.collect())
}

fn pointer(name: &Name, zone: &Zone) -> Option<Vec<Record>> {
    let address = name.parse_arpa_name().ok()?;
    if address.prefix_len() != address.max_prefix_len() {
        return None;
    }
    let target = Name::from_utf8(zone.name_of(address.addr())?).ok()?;
    let data = RData::PTR(PTR(target));
    Some(vec![Record::from_rdata(name.clone(), TTL, data)])
}

/// An answer without records yet.
fn respond(query: &Message, code: ResponseCode) -> Message {
    let mut response = Message::error_msg(query.metadata.id, query.metadata.op_code, code);
    response.metadata.recursion_desired = query.metadata.recursion_desired;
    response.metadata.recursion_available = true;
    response.add_queries(query.queries.iter().cloned());
    response
}

fn reply(response: &Message, query: &Message, transport: Transport) -> Verdict {
    let Ok(bytes) = response.to_vec() else {
        return Verdict::Ignore;
    };
    let limit = match transport {
        Transport::Udp => usize::from(query.max_payload()).max(PLAIN_UDP_LIMIT),
        Transport::Tcp => usize::from(u16::MAX),
    };
    if bytes.len() <= limit {
        return Verdict::Reply(bytes);
    }
    let short = response.truncate().to_vec();
    short.map_or(Verdict::Ignore, Verdict::Reply)
}

#[cfg(test)]
mod tests {
    use hickory_proto::op::Query;
    use proptest::prelude::*;

    use super::*;

    fn zone() -> Zone {
        let entry = |network: &str, names: &[&str], addresses: &[&str]| ZoneEntry {
            network: network.to_owned(),
            names: names.iter().map(|&n| n.to_owned()).collect(),
            addresses: addresses.iter().map(|a| a.parse().unwrap()).collect(),
        };
        Zone {
            entries: vec![
                entry(
                    "shop",
                    &["web", "front", "0123456789ab"],
                    &["10.0.0.2", "fd00::2"],
                ),
                entry("shop", &["db-1", "db"], &["10.0.0.3"]),
                entry("shop", &["db-2", "db"], &["10.0.0.4"]),
                entry("back.office", &["db-3"], &["10.1.0.4"]),
            ],
            may_forward: true,
        }
    }

    fn query(name: &str, kind: RecordType) -> Vec<u8> {
        let mut message = Message::query();
        message.metadata.recursion_desired = true;
        message.add_query(Query::query(Name::from_ascii(name).unwrap(), kind));
        message.to_vec().unwrap()
    }

    /// The records' data, sorted; or what else was decided.
    fn ask(name: &str, kind: RecordType) -> Result<Vec<String>, Verdict> {
        match answer(&query(name, kind), &zone(), Transport::Udp) {
            Verdict::Reply(bytes) => {
                let message = Message::from_vec(&bytes).unwrap();
                assert_eq!(message.metadata.response_code, ResponseCode::NoError);
                assert!(message.metadata.recursion_available);
                let mut found: Vec<String> =
                    message.answers.iter().map(|r| r.data.to_string()).collect();
                found.sort();
                Ok(found)
            }
            other => Err(other),
        }
    }

    #[test]
    fn neighbours_are_found_by_every_name() {
        for (name, kind, expected) in [
            ("web.", RecordType::A, &["10.0.0.2"][..]),
            ("WEB.", RecordType::A, &["10.0.0.2"]),
            ("front.", RecordType::AAAA, &["fd00::2"]),
            ("0123456789ab.", RecordType::A, &["10.0.0.2"]),
            ("web.shop.", RecordType::A, &["10.0.0.2"]),
            ("db.", RecordType::A, &["10.0.0.3", "10.0.0.4"]),
            ("db-3.back.office.", RecordType::A, &["10.1.0.4"]),
            ("db.", RecordType::AAAA, &[]),
            ("web.", RecordType::MX, &[]),
            ("2.0.0.10.in-addr.arpa.", RecordType::PTR, &["web.shop"]),
        ] {
            let found = ask(name, kind).unwrap();
            let found: Vec<&str> = found.iter().map(|f| f.trim_end_matches('.')).collect();
            assert_eq!(found, expected, "{name} {kind}");
        }
    }

    #[test]
    fn what_is_not_about_a_neighbour_is_forwarded() {
        for (name, kind) in [
            ("example.org.", RecordType::A),
            ("web.other.", RecordType::A),
            ("webshop.", RecordType::A),
            (".", RecordType::NS),
            ("9.9.9.9.in-addr.arpa.", RecordType::PTR),
            ("0.10.in-addr.arpa.", RecordType::PTR),
        ] {
            assert_eq!(ask(name, kind), Err(Verdict::Forward), "{name}");
        }
    }

    #[test]
    fn nothing_leaves_an_internal_network() {
        let zone = Zone {
            may_forward: false,
            ..zone()
        };
        let verdict = answer(
            &query("secret.example.", RecordType::A),
            &zone,
            Transport::Udp,
        );
        let Verdict::Reply(bytes) = verdict else {
            panic!("{verdict:?}");
        };
        let code = Message::from_vec(&bytes).unwrap().metadata.response_code;
        assert_eq!(code, ResponseCode::ServFail);
    }

    #[test]
    fn the_order_of_several_addresses_changes() {
        let first = || match answer(&query("db.", RecordType::A), &zone(), Transport::Udp) {
            Verdict::Reply(bytes) => Message::from_vec(&bytes).unwrap().answers[0]
                .data
                .to_string(),
            other => panic!("{other:?}"),
        };
        let seen: std::collections::BTreeSet<String> = (0..200).map(|_| first()).collect();
        assert_eq!(seen.len(), 2);
    }

    #[test]
    fn a_long_answer_is_cut_over_udp_only() {
        let mut zone = zone();
        zone.entries[0].addresses = (0..100).map(|n| IpAddr::from([10, 9, 0, n])).collect();
        let query = query("web.", RecordType::A);
        for (transport, truncated) in [(Transport::Udp, true), (Transport::Tcp, false)] {
            let Verdict::Reply(bytes) = answer(&query, &zone, transport) else {
                panic!("no reply");
            };
            let message = Message::from_vec(&bytes).unwrap();
            assert_eq!(message.metadata.truncation, truncated);
        }
    }

    #[test]
    fn broken_queries_are_answered_or_ignored() {
        let mut response = query("web.", RecordType::A);
        response[2] |= 0x80;
        assert_eq!(answer(&response, &zone(), Transport::Udp), Verdict::Ignore);
        assert_eq!(answer(&[], &zone(), Transport::Udp), Verdict::Ignore);
        let mut short = query("web.", RecordType::A);
        short.truncate(14);
        assert!(matches!(
            answer(&short, &zone(), Transport::Udp),
            Verdict::Reply(_)
        ));
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
            drop(answer(&bytes, &zone(), Transport::Udp));
            drop(failure(&bytes, ResponseCode::ServFail));
        }

        #[test]
        fn any_name_is_survived(name in ".{0,80}") {
            drop(zone().addresses(&name));
        }
    }
}
