//! Any bytes are a message of `listing.raw`: read or refused; what is mapped from them, `track` reads.
#![no_main]

use std::cell::RefCell;

use geography::{Boundaries, PostalCodes};
use mapping::{Pack, Places};
use messages::change::Change;
use normalize::Bare;

fn bare(pack: &str) -> Bare {
    let codes = PostalCodes::read([]).expect("nothing is no fault");
    let pack = Pack::parse(pack).expect("a pack of this repository");
    Bare::new(pack, Places::new(codes, Boundaries::built_in()))
}

thread_local! {
    static ALL: RefCell<Vec<Bare>> = RefCell::new(vec![
        bare(include_str!("../../packs/simulated-mls.toml")),
        bare(include_str!("../../packs/king-county.toml")),
        bare(include_str!("../../packs/calgary.toml")),
        bare(include_str!("../../packs/staten-island.toml")),
    ]);
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    ALL.with_borrow_mut(|all| {
        for bare in all {
            if bare.change(bytes, 1).is_ok() {
                let change = Change::parse(&bare.buffer).expect("what normalize writes, track reads");
                drop(track::decide("f:1", None, &change).expect("a change that was mapped is decided"));
            }
        }
    });
});
