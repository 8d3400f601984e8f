//! How long a row takes: `cargo run --release -p mapping --example speed`. One thread, a row of 40 columns as the
//! simulator writes it; the address and the price differ from row to row. The fastest of a hundred
//! rounds is shown.

#![allow(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "an example that measures time and prints it"
)]

use std::sync::Arc;
use std::time::Instant;

use geography::{Boundaries, PostalCodes};
use mapping::{Mapper, Pack, Places};

const PACK: &str = include_str!("../../../packs/simulated-mls.toml");
const CHUNKS: u32 = 100;

fn row(n: u32) -> String {
    format!(
        concat!(
            r#"{{"MLS_NUM":"{:08}","STATUS_CD":"A","PROP_TYPE":"SFR","LIST_PRICE":"{},000","ORIG_PRICE":540000,"#,
            r#""CLOSE_PRICE":null,"LIST_DATE":"03/09/2026","CLOSE_DATE":null,"EXP_DATE":"09/09/2026","#,
            r#""LAST_MOD":"2026-03-10T08:00:00.000Z","ADDRESS":"{} 5th Ave NE","UNIT":null,"CITY":"Seattle","#,
            r#""ST":"WA","ZIP":"98101","LAT":47.61{:04},"LNG":-122.33{:04},"BEDS":3,"BATHS_FULL":2,"BATHS_HALF":1,"#,
            r#""SQFT":"1,840","SQM":null,"LOT_ACRES":0.12,"YR_BLT":1962,"HEAT":"FA,GAS","COOL":"CENT","#,
            r#""PARK":"GAR 2","TAX_AMT":5123.07,"HOA_FEE":null,"SCHL_DIST":"Seattle Public Schools","#,
            r#""LOCKBOX":"SUPRA 00012345 CODE 0042","PHOTO_CT":18,"INET_YN":"Y","ADDR_YN":"Y","#,
            r#""LA_NAME":"Alexandra Gent","LA_NUM":"001234","LO_NAME":"Harbour Homes & Company","LO_NUM":"NL0042","#,
            r#""REMARKS":"{}","PRIV_REMARKS":"Alarm at the door: call the office first – no access on Sundays."}}"#
        ),
        n,
        300 + n % 500,
        1 + n % 9_000,
        n % 10_000,
        n % 10_000,
        "Bright rooms, a new roof and a garden that faces south; walk to the lake and the station. ".repeat(3),
    )
}

fn main() {
    let pack = Pack::parse(PACK).expect("the pack of the repository is sound");
    let postal_codes = PostalCodes::read([]).expect("no file is an empty table");
    let mut mapper = Mapper::new(Arc::new(pack), Places::new(postal_codes, Boundaries::built_in()));
    let rows: Vec<_> = (0..1_000).map(row).collect();
    let mut fastest = f64::INFINITY;
    let mut bytes = 0;
    for _ in 0..CHUNKS {
        let start = Instant::now();
        bytes =
            rows.iter().map(|row| mapper.map(row).expect("the row is sound").listing.len()).sum();
        fastest = fastest.min(start.elapsed().as_secs_f64());
    }
    // The fastest chunk is the one that other work on the machine disturbed least.
    let count = u32::try_from(rows.len()).map_or(1.0, f64::from);
    let row_bytes = rows.iter().map(String::len).sum::<usize>() / rows.len();
    println!(
        "{:.2} microseconds for a row of {row_bytes} bytes; {} bytes out",
        fastest * 1e6 / count,
        bytes / rows.len()
    );
}
