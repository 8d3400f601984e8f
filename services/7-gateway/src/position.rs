//! Positions: how far a client has seen the log. An epoch and one offset for each partition, so that any gateway
//! on the same log understands it.
//!
//! As text `1.EPOCH.INSTANCE.N.N.N…`, numbers in base 36: safe in addresses, headers and event ids. The instance
//! names the process that gave it out. Only that process knows what its client could see there; for every other
//! one the position is as good, but what no longer matches is told once too often rather than never.

use std::sync::Arc;

/// Version of the text form; texts of another one are not understood, and the client takes a snapshot.
const FORMAT: &str = "1";
/// Longest text, in bytes.
pub(crate) const TEXT_MAX: usize = 4096;
/// Most partitions.
const SLOTS_MAX: usize = 1024;
const BASE: u32 = 36;

/// A place in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Position {
    pub(crate) epoch: u64,
    pub(crate) instance: u32,
    /// Next offset for each slot: the partitions of `listing.current`, then those of `command.results`.
    pub(crate) next: Arc<[u64]>,
}

impl Position {
    /// Reads the text form; `None` for anything else.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        if text.len() > TEXT_MAX {
            return None;
        }
        let mut parts = text.split('.');
        if parts.next() != Some(FORMAT) {
            return None;
        }
        let number = |text: &str| {
            let plain = text.bytes().all(|b| b.is_ascii_digit() || b.is_ascii_lowercase());
            u64::from_str_radix(text, BASE).ok().filter(|_| plain)
        };
        let epoch = number(parts.next()?)?;
        let instance = u32::try_from(number(parts.next()?)?).ok()?;
        let next: Arc<[u64]> = parts.map(number).collect::<Option<_>>()?;
        (next.len() <= SLOTS_MAX).then_some(Self { epoch, instance, next })
    }
}

/// Whether each offset of `a` is at or past that of `b`.
pub(crate) fn covers(a: &[u64], b: &[u64]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a >= b)
}

/// The text form of offsets that are given one by one.
pub(crate) fn text(epoch: u64, instance: u32, next: impl Iterator<Item = u64>) -> String {
    let mut out = String::with_capacity(96);
    out.push_str(FORMAT);
    for number in [epoch, u64::from(instance)].into_iter().chain(next) {
        out.push('.');
        push(&mut out, number);
    }
    out
}

fn push(out: &mut String, mut number: u64) {
    let mut digits = [0u8; 13];
    let mut len = 0;
    for slot in &mut digits {
        let digit = u32::try_from(number % u64::from(BASE)).unwrap_or(0);
        *slot = char::from_digit(digit, BASE).and_then(|c| u8::try_from(c).ok()).unwrap_or(b'0');
        number /= u64::from(BASE);
        len += 1;
        if number == 0 {
            break;
        }
    }
    for digit in digits.iter().take(len).rev() {
        out.push(char::from(*digit));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_not_a_position_is_not_read() {
        for text in [
            "",
            "1",
            "1.a",
            "2.a.b.1",
            "1.a.b.",
            "1.a.b.-1",
            "1.a.b.+1",
            "1.A.b.1",
            "1.a.zzzzzzzzz.1",
            "1.a.b.1 ",
            "1.a.b.zzzzzzzzzzzzzzz",
            "nonsense",
            "é",
        ] {
            assert_eq!(Position::parse(text), None, "{text}");
        }
        assert_eq!(Position::parse(&format!("1.a.b{}", ".1".repeat(1025))), None);
    }

    proptest! {
        #[test]
        fn positions_are_read_as_they_were_written(
            epoch: u64, instance: u32, next in proptest::collection::vec(any::<u64>(), 0..20)
        ) {
            let position = Position { epoch, instance, next: next.into() };
            let text = text(epoch, instance, position.next.iter().copied());
            prop_assert_eq!(Position::parse(&text), Some(position));
        }

        #[test]
        fn nonsense_never_panics(text in ".{0,60}") {
            drop(Position::parse(&text));
        }
    }
}
