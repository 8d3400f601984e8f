//! Writes a file of listings: `cargo run --release -p simulator --example generate -- listings.jsonl 1000000 [seed]`.

use std::path::Path;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let usage = "give a path and a number of listings, and a seed if you like";
    let path = arguments.next().ok_or(usage)?;
    let listings = arguments.next().ok_or(usage)?.parse()?;
    let seed = arguments.next().map_or(Ok(1), |seed| seed.parse())?;
    let bytes = simulator::write_benchmark_file(Path::new(&path), seed, listings)?;
    eprintln!("{path}: {listings} listings of seed {seed}, {bytes} bytes");
    Ok(())
}
