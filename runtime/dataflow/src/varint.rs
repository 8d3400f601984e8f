//! LEB128 variable-length integers, as the batch format uses them.

/// Appends `n` in seven-bit groups, lowest first.
pub(crate) fn put(buf: &mut Vec<u8>, mut n: u64) {
    while n >= 0x80 {
        buf.push((n & 0x7f) as u8 | 0x80);
        n >>= 7;
    }
    buf.push((n & 0x7f) as u8);
}

/// Reads one integer from the front of `buf`; `None` when it is cut short or longer than 64 bits.
pub(crate) fn take(buf: &mut &[u8]) -> Option<u64> {
    let mut n = 0u64;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = buf.split_first()?;
        *buf = rest;
        n |= u64::from(byte & 0x7f).checked_shl(shift)?;
        if byte & 0x80 == 0 {
            return Some(n);
        }
    }
    None
}

/// Maps signed to unsigned so that small magnitudes stay small.
pub(crate) fn zigzag(n: i64) -> u64 {
    ((n << 1) ^ (n >> 63)).cast_unsigned()
}

/// The inverse of [`zigzag`].
pub(crate) fn unzigzag(n: u64) -> i64 {
    (n >> 1).cast_signed() ^ -((n & 1).cast_signed())
}

/// Takes `len` bytes from the front of `buf`.
pub(crate) fn take_bytes<'a>(buf: &mut &'a [u8], len: u64) -> Option<&'a [u8]> {
    let (head, rest) = buf.split_at_checked(usize::try_from(len).ok()?)?;
    *buf = rest;
    Some(head)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_survive_the_round_trip() {
        for n in [0, 1, 127, 128, 300, 1 << 44, u64::MAX] {
            let mut buf = Vec::new();
            put(&mut buf, n);
            assert_eq!(take(&mut buf.as_slice()), Some(n));
        }
        for n in [0, 1, -1, 63, -64, i64::MAX, i64::MIN] {
            assert_eq!(unzigzag(zigzag(n)), n);
        }
        assert_eq!(take(&mut [0x80u8, 0x80].as_slice()), None);
    }
}
