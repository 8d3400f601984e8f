//! Randomness as an argument: a small generator that gives the same numbers on every machine, for ever.

/// A stream of pseudo-random numbers (SplitMix64), made from what it is for and not from when it is asked.
#[derive(Clone, Debug)]
pub(crate) struct Chance(u64);

/// What a stream is for, so that two uses of the same number do not walk in step.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Purpose {
    Home = 1,
    Place,
    Change,
    Street,
    Agent,
    Office,
    Remarks,
    Fault,
    Postal,
    Area,
}

impl Chance {
    /// The stream of `purpose` for item `number` in the world of `seed`.
    pub(crate) fn new(seed: u64, purpose: Purpose, number: u64) -> Self {
        let mut mixed = Self(seed ^ (purpose as u64).wrapping_mul(0xD6E8_FEB8_6659_FD93));
        let base = mixed.next();
        Self(base ^ number.wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(17))
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number from 0 up to and without `limit`; 0 where the limit is 0.
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        let wide = u128::from(self.next()) * u128::from(limit);
        u64::try_from(wide >> 64)
            .expect("a product of two 64-bit numbers has 64 bits above the lowest 64")
    }

    /// A small number from 0 up to and without `limit`.
    pub(crate) fn small(&mut self, limit: u32) -> u32 {
        u32::try_from(self.below(u64::from(limit))).expect("it is below a 32-bit limit")
    }

    /// A number from `low` to `high`, both possible.
    pub(crate) fn between(&mut self, low: u32, high: u32) -> u32 {
        low + self.small(high.saturating_sub(low) + 1)
    }

    /// A signed number from `-reach` to `reach`, dense around 0: the mean of three even draws.
    pub(crate) fn around(&mut self, reach: i64) -> i64 {
        let span = u64::try_from(2 * reach + 1).expect("a reach is not negative");
        let sum = self.below(span) + self.below(span) + self.below(span);
        i64::try_from(sum / 3).expect("a mean of three small numbers is small") - reach
    }

    pub(crate) fn percent(&mut self, share: u32) -> bool {
        self.small(100) < share
    }

    /// One of `choices`, which are tables of this crate and never empty.
    pub(crate) fn pick<'a, T>(&mut self, choices: &'a [T]) -> &'a T {
        let limit = u64::try_from(choices.len()).expect("a table has fewer than 2^64 lines");
        let at = usize::try_from(self.below(limit)).expect("it is below a usize");
        choices.get(at).expect("a table to pick from has a line")
    }
}

#[cfg(test)]
mod tests {
    use super::{Chance, Purpose};

    #[test]
    fn streams_are_fixed_for_ever_and_differ_by_seed_purpose_and_number() {
        let first = |seed, purpose, number| Chance::new(seed, purpose, number).next();
        // SplitMix64's published first output for the seed 0, then our own streams as they always were.
        assert_eq!(Chance(0).next(), 0xE220_A839_7B1D_CDAF);
        assert_eq!(first(1, Purpose::Home, 1), 17_451_857_424_328_275_162);
        assert_ne!(first(1, Purpose::Home, 1), first(2, Purpose::Home, 1));
        assert_ne!(first(1, Purpose::Home, 1), first(1, Purpose::Place, 1));
        assert_ne!(first(1, Purpose::Home, 1), first(1, Purpose::Home, 2));
    }

    #[test]
    fn draws_stay_in_their_limits() {
        let mut chance = Chance::new(7, Purpose::Home, 7);
        for _ in 0..10_000 {
            assert!(chance.below(10) < 10);
            assert!((3..=5).contains(&chance.between(3, 5)));
            assert!(chance.around(100).abs() <= 100);
        }
        assert_eq!(chance.below(0), 0);
    }
}
