//! Dead letters: the original byte for byte, plus a fixed, small set of headers.
//!
//! The set never grows with hops: a dead letter that dies again replaces these headers (stack traces that
//! grew per hop made other systems' dead letters too large to send).

use crate::batch::RecordRef;
use crate::failure::Reject;

/// Topic the record came from.
pub const TOPIC: &str = "cv_topic";
/// Partition the record came from.
pub const PARTITION: &str = "cv_partition";
/// Offset the record came from.
pub const OFFSET: &str = "cv_offset";
/// Service and version that refused it.
pub const SERVICE: &str = "cv_service";
/// Stable reason code.
pub const CODE: &str = "cv_code";
/// One line for a person.
pub const MESSAGE: &str = "cv_message";
/// How often it was tried.
pub const ATTEMPTS: &str = "cv_attempts";
/// First failure, milliseconds since 1970.
pub const FIRST_MS: &str = "cv_first_ms";
/// Last failure, milliseconds since 1970.
pub const LAST_MS: &str = "cv_last_ms";

const RESERVED: [&str; 9] =
    [TOPIC, PARTITION, OFFSET, SERVICE, CODE, MESSAGE, ATTEMPTS, FIRST_MS, LAST_MS];

/// Whether a header belongs to the fixed set.
#[must_use]
pub fn is_reserved(name: &str) -> bool {
    RESERVED.contains(&name)
}

/// Where a refused record came from.
pub(crate) struct Origin<'a> {
    pub(crate) topic: &'a str,
    pub(crate) partition: u16,
    pub(crate) record: RecordRef<'a>,
    pub(crate) now_ms: i64,
}

type Header = (&'static str, Vec<u8>);

pub(crate) fn headers(origin: &Origin<'_>, service: &str, reason: &Reject) -> Vec<Header> {
    let record = origin.record;
    let attempts = number(record.header(ATTEMPTS)).unwrap_or(0) + 1;
    let first = number(record.header(FIRST_MS)).unwrap_or(origin.now_ms);
    let mut headers: Vec<Header> = vec![
        (TOPIC, origin.topic.as_bytes().to_vec()),
        (PARTITION, origin.partition.to_string().into_bytes()),
        (OFFSET, record.offset.to_string().into_bytes()),
    ];
    headers.extend(reason_headers(service, reason, origin.now_ms));
    for (name, value) in &mut headers {
        match *name {
            ATTEMPTS => *value = attempts.to_string().into_bytes(),
            FIRST_MS => *value = first.to_string().into_bytes(),
            _ => {}
        }
    }
    headers
}

pub(crate) fn reason_headers(service: &str, reason: &Reject, now_ms: i64) -> Vec<Header> {
    vec![
        (SERVICE, format!("{service}/{}", env!("CARGO_PKG_VERSION")).into_bytes()),
        (CODE, reason.code.as_bytes().to_vec()),
        (MESSAGE, reason.message.as_bytes().to_vec()),
        (ATTEMPTS, b"1".to_vec()),
        (FIRST_MS, now_ms.to_string().into_bytes()),
        (LAST_MS, now_ms.to_string().into_bytes()),
    ]
}

/// A header that holds a decimal number.
#[must_use]
pub fn number(value: Option<&[u8]>) -> Option<i64> {
    std::str::from_utf8(value?).ok()?.parse().ok()
}
