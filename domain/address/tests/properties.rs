//! What must hold for any text at all.

use address::{Address, Country, MAX_LINE_BYTES, parse_full, standardize};
use proptest::prelude::*;

/// Pieces of addresses: in any order they reach deeper than random letters.
const PIECES: &str = "12|1636|101-1234|1/2|12A|B|E|N|#|-|--|&|,|(|St|AVE|rue|Boul|av|Place|Main|WESTMOUNT|Sainte-Catherine|de la|McDonald|O'Brien|NW|North|Ouest|NO|SO|Apt|Unit|Fl|2nd|Floor|Bldg|Rear|PH|PO Box|RR|Box|Highway|County Road|US|FM|KK|Ext|Calgary|AB|CA|New York|NY|BC|Québec|T2P 1A1|T2P|94607|94607-1234|Canada|USA|100 Mile House|N/A|CR|ST LOUIS|3e|Lower|Second|Key|ʔEqeʔat’in";

fn pieces() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(PIECES.split('|').collect::<Vec<_>>());
    prop::collection::vec((piece, prop::sample::select(vec![" ", ", ", ",", "  "])), 0..10)
        .prop_map(|parts| parts.into_iter().flat_map(|(piece, gap)| [piece, gap]).collect())
}

fn bounded(line: &str, found: &Address) -> bool {
    // Lower-casing can lengthen a letter, standard forms are a little longer than their codes.
    found.unparsed_address.len() <= 4 * line.len().max(MAX_LINE_BYTES)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn any_text_is_read_without_panic_and_reading_again_changes_nothing(line in ".{0,80}", is_canada: bool) {
        let country = if is_canada { Country::Ca } else { Country::Us };
        let once = standardize(&line, country);
        prop_assert!(bounded(&line, &once));
        prop_assert_eq!(&standardize(&once.unparsed_address, country), &once);
        let full = parse_full(&line, Some(country));
        prop_assert_eq!(&parse_full(&full.unparsed_address, Some(country)), &full);
    }

    #[test]
    fn pieces_in_any_order_are_read_the_same_twice(line in pieces(), is_canada: bool) {
        let country = if is_canada { Country::Ca } else { Country::Us };
        let once = standardize(&line, country);
        prop_assert!(bounded(&line, &once));
        prop_assert_eq!(&standardize(&once.unparsed_address, country), &once);
        let full = parse_full(&line, None);
        prop_assert_eq!(&parse_full(&full.unparsed_address, None), &full);
    }
}
