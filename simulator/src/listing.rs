//! Listings and their life: which status may follow which, and what each step changes.

use serde::{Deserialize, Serialize};

use crate::chance::Chance;
use crate::home::asking_price;
use crate::text::DAY_MS;

/// Where a listing is in its life, with the codes of the feed (`STATUS_CD`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Status {
    /// `CS`: announced, not yet shown.
    ComingSoon,
    /// `A`: for sale.
    Active,
    /// `AUC`: an offer is accepted, others are still welcome.
    ActiveUnderContract,
    /// `P`: under contract.
    Pending,
    /// `S`: sold.
    Closed,
    /// `W`: taken off the market, the contract with the broker still runs.
    Withdrawn,
    /// `X`: the contract with the broker ran out.
    Expired,
}

impl Status {
    /// Every status.
    pub const ALL: [Self; 7] = [
        Self::ComingSoon,
        Self::Active,
        Self::ActiveUnderContract,
        Self::Pending,
        Self::Closed,
        Self::Withdrawn,
        Self::Expired,
    ];

    /// The code that the feed writes.
    pub fn code(self) -> &'static str {
        match self {
            Self::ComingSoon => "CS",
            Self::Active => "A",
            Self::ActiveUnderContract => "AUC",
            Self::Pending => "P",
            Self::Closed => "S",
            Self::Withdrawn => "W",
            Self::Expired => "X",
        }
    }

    /// The statuses that the same listing may have next. A sold or expired home comes back under a new key only.
    pub fn next(self) -> &'static [Self] {
        match self {
            Self::ComingSoon => &[Self::ComingSoon, Self::Active, Self::Pending, Self::Withdrawn],
            Self::Active => &[
                Self::Active,
                Self::ActiveUnderContract,
                Self::Pending,
                Self::Withdrawn,
                Self::Expired,
            ],
            Self::ActiveUnderContract => &[Self::ActiveUnderContract, Self::Active, Self::Closed],
            Self::Pending => &[Self::Pending, Self::Active, Self::Closed],
            Self::Withdrawn => &[Self::Active, Self::Expired],
            Self::Closed | Self::Expired => &[],
        }
    }
}

/// One version of one listing: all of it that changes. The rest derives from its home.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listing {
    /// The listing number, written as `MLS_NUM`; never used twice.
    pub key: u64,
    /// Which home of the world it offers; the same home keeps its number when it is listed again.
    pub home: u64,
    /// Where it is in its life.
    pub status: Status,
    /// The asking price, in whole dollars of its country.
    pub list_price: u64,
    /// The first asking price under this key.
    pub original_price: u64,
    /// What it sold for; present exactly when the status is Closed.
    pub close_price: Option<u64>,
    /// When it came on the market, in milliseconds since 1970 UTC.
    pub listed_ms: i64,
    /// When the contract with the broker runs out.
    pub expires_ms: i64,
    /// When it sold; present exactly when the status is Closed.
    pub closed_ms: Option<i64>,
    /// When this version was made: later than every earlier version of the same key.
    pub modified_ms: i64,
    /// How many photos it has.
    pub photos: u64,
    /// How often its remarks were rewritten.
    pub edition: u64,
    /// 1 for the first version of this key, one more for each later one.
    pub version: u64,
}

/// What may happen to a listing, or to the place where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Move(Status),
    Cut,
    Raise,
    Photos,
    Remarks,
    /// The same home, offered again under a new key.
    Relist,
    /// Another home takes the place in the market.
    Replace,
}

/// What happens next, by chance: steps with their shares of 100.
pub(crate) fn steps(status: Status) -> &'static [(u32, Step)] {
    match status {
        Status::ComingSoon => &[
            (70, Step::Move(Status::Active)),
            (6, Step::Move(Status::Pending)),
            (4, Step::Move(Status::Withdrawn)),
            (20, Step::Photos),
        ],
        Status::Active => &[
            (34, Step::Cut),
            (5, Step::Raise),
            (14, Step::Photos),
            (17, Step::Remarks),
            (11, Step::Move(Status::ActiveUnderContract)),
            (12, Step::Move(Status::Pending)),
            (4, Step::Move(Status::Withdrawn)),
            (3, Step::Move(Status::Expired)),
        ],
        Status::ActiveUnderContract => &[
            (45, Step::Move(Status::Closed)),
            (30, Step::Move(Status::Active)),
            (25, Step::Photos),
        ],
        Status::Pending => &[
            (70, Step::Move(Status::Closed)),
            (15, Step::Move(Status::Active)),
            (15, Step::Remarks),
        ],
        Status::Withdrawn => &[
            (40, Step::Move(Status::Active)),
            (15, Step::Move(Status::Expired)),
            (45, Step::Relist),
        ],
        Status::Closed => &[(100, Step::Replace)],
        Status::Expired => &[(60, Step::Relist), (40, Step::Replace)],
    }
}

pub(crate) fn draw_step(status: Status, chance: &mut Chance) -> Step {
    let mut ticket = chance.small(100);
    for (share, step) in steps(status) {
        match ticket.checked_sub(*share) {
            None => return *step,
            Some(rest) => ticket = rest,
        }
    }
    Step::Remarks
}

impl Listing {
    /// A listing that begins now.
    pub(crate) fn begin(
        (key, home): (u64, u64),
        status: Status,
        price: u64,
        now_ms: i64,
        photos: u64,
    ) -> Self {
        Self {
            key,
            home,
            status,
            list_price: price,
            original_price: price,
            close_price: None,
            listed_ms: now_ms,
            expires_ms: now_ms + 180 * DAY_MS,
            closed_ms: None,
            modified_ms: now_ms,
            photos,
            edition: 0,
            version: 1,
        }
    }

    /// The next version of this listing. `Relist` and `Replace` make another listing: the market does that.
    pub(crate) fn advance(&self, step: Step, now_ms: i64, chance: &mut Chance) -> Self {
        let mut next = *self;
        next.version += 1;
        next.modified_ms = now_ms.max(self.modified_ms + 1);
        match step {
            Step::Move(status) => next.enter(status, chance),
            Step::Cut => next.list_price = self.cut_price(chance),
            Step::Raise => next.list_price += (self.list_price / 50_000).max(1) * 1_000,
            Step::Photos => next.photos = 5 + (self.photos + 1 + chance.below(6)) % 40,
            Step::Remarks | Step::Relist | Step::Replace => next.edition += 1,
        }
        next
    }

    fn enter(&mut self, status: Status, chance: &mut Chance) {
        self.status = status;
        match status {
            Status::Closed => {
                let permille = u64::from(chance.between(940, 1_045));
                self.close_price = Some(self.list_price * permille / 1_000 / 500 * 500);
                self.closed_ms = Some(self.modified_ms);
            }
            Status::Expired => self.expires_ms = self.modified_ms,
            _ => {}
        }
    }

    /// 1 to 6 per cent less, and at least a thousand; never below half of what it began with.
    fn cut_price(&self, chance: &mut Chance) -> u64 {
        let cut =
            asking_price(self.list_price * u64::from(chance.between(940, 990)) / 1_000, chance);
        let floor = self.original_price / 2;
        if cut < floor || cut >= self.list_price { self.list_price + 1_000 } else { cut }
    }
}

#[cfg(test)]
mod tests {
    use super::{Status, Step, steps};

    #[test]
    fn shares_make_a_hundred_and_moves_are_allowed() {
        for status in Status::ALL {
            assert_eq!(
                steps(status).iter().map(|(share, _)| share).sum::<u32>(),
                100,
                "{status:?}"
            );
            for (_, step) in steps(status) {
                match step {
                    Step::Move(next) => {
                        assert!(status.next().contains(next), "{status:?} -> {next:?}")
                    }
                    Step::Relist | Step::Replace => assert_ne!(status, Status::Active),
                    _ => assert!(status.next().contains(&status), "{status:?} may stay"),
                }
            }
        }
    }
}
