//! A look at the speed over real addresses, printed and not judged: machines differ.
//! `cargo test -p address --release --test speed -- --nocapture`
#![allow(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "measures time, which only a person at a terminal asks for"
)]

use address::{Country, parse_full, standardize};

#[test]
fn microseconds_for_an_address() {
    let lines = [
        "1636 WESTMOUNT BV NW",
        "B 1408 43 ST SE",
        "1000 CLOVE ROAD, 2A",
        "123 RUE SAINTE-CATHERINE O",
    ];
    let whole = "101-1234 Main St, Calgary, AB T2P 1A1";
    let rounds = 20_000;
    let start = std::time::Instant::now();
    let mut read = 0;
    for round in 0..rounds {
        let country = if round % 2 == 0 { Country::Ca } else { Country::Us };
        read +=
            lines.iter().filter(|line| standardize(line, country).street_name.is_some()).count();
    }
    println!("street line: {:?} each", start.elapsed() / (rounds * 4));
    assert_eq!(read, usize::try_from(rounds * 4).unwrap_or(0));
    let start = std::time::Instant::now();
    let cities = (0..rounds).filter(|_| parse_full(whole, None).city.is_some()).count();
    println!("whole address: {:?} each", start.elapsed() / rounds);
    assert_eq!(cities, usize::try_from(rounds).unwrap_or(0));
}
