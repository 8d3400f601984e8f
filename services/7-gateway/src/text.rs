//! Words of addresses, cities and postal codes, folded so that what people type finds what feeds write.
//!
//! A query word matches a listing when some word of the listing *begins* with it. Each listing carries a
//! [`signature`]: one bit for the first three and one for the first five letters of each word. It is compared
//! before any text is read, so that most listings are ruled out without touching the file.

/// Longest folded text kept for one listing, in bytes.
pub(crate) const TEXT_MAX: usize = 200;

/// Lower case, Latin letters without accents, everything else one space. Appends to `out`.
pub(crate) fn fold(text: &str, out: &mut String) {
    let mut gap = !out.is_empty();
    for c in text.chars().map(unaccented) {
        if out.len() + 4 > TEXT_MAX {
            return;
        }
        if !c.is_alphanumeric() {
            gap = !out.is_empty();
            continue;
        }
        if gap {
            out.push(' ');
            gap = false;
        }
        if c.is_ascii() { out.push(c.to_ascii_lowercase()) } else { out.extend(c.to_lowercase()) }
    }
}

/// As [`fold`], into a new string.
pub(crate) fn folded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    fold(text, &mut out);
    out
}

/// Letters of French, Spanish and Indigenous place names that people type without their marks.
fn unaccented(c: char) -> char {
    if c.is_ascii() {
        return c;
    }
    match c {
        'à' | 'á' | 'â' | 'ã' | 'ä' | 'å' | 'À' | 'Á' | 'Â' | 'Ã' | 'Ä' | 'Å' => 'a',
        'ç' | 'Ç' => 'c',
        'è' | 'é' | 'ê' | 'ë' | 'È' | 'É' | 'Ê' | 'Ë' => 'e',
        'ì' | 'í' | 'î' | 'ï' | 'Ì' | 'Í' | 'Î' | 'Ï' => 'i',
        'ñ' | 'Ñ' => 'n',
        'ò' | 'ó' | 'ô' | 'õ' | 'ö' | 'Ò' | 'Ó' | 'Ô' | 'Õ' | 'Ö' => 'o',
        'ù' | 'ú' | 'û' | 'ü' | 'Ù' | 'Ú' | 'Û' | 'Ü' => 'u',
        'ÿ' | 'ý' | 'Ý' | 'Ÿ' => 'y',
        '’' | '‘' => '\'',
        other => other,
    }
}

/// One bit of 64 for each word beginning of three and of five letters.
pub(crate) fn signature(folded: &str) -> u64 {
    words(folded).map(word_bits).fold(0, |bits, word| bits | word)
}

/// The bits that a listing must have for every word of the query; none for words under three letters.
pub(crate) fn query_signature(folded: &str) -> u64 {
    words(folded).filter(|w| w.len() >= 3).map(word_bits).fold(0, |bits, word| bits | word)
}

/// Whether each word of `query` begins some word of one of `texts`; all of them folded.
pub(crate) fn matches(query: &str, texts: [&str; 2]) -> bool {
    words(query).all(|q| texts.iter().any(|text| words(text).any(|word| word.starts_with(q))))
}

fn words(folded: &str) -> impl Iterator<Item = &str> {
    folded.split(' ').filter(|word| !word.is_empty())
}

fn word_bits(word: &str) -> u64 {
    let (mut bits, mut mixed) = (0, 0u64);
    for (at, byte) in word.bytes().take(5).enumerate() {
        mixed = (mixed << 8) | u64::from(byte);
        if at == 2 || at == 4 {
            bits |= 1 << (mixed.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 58);
        }
    }
    bits
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn folds_as_people_type() {
        for (text, expect) in [
            ("1636 WESTMOUNT BV NW", "1636 westmount bv nw"),
            ("  123, Rue de l'Église #4-B ", "123 rue de l eglise 4 b"),
            ("Montréal (Québec)", "montreal quebec"),
            ("xʷməθkʷəy̓əm", "xʷməθkʷəy əm"),
            ("", ""),
            ("--", ""),
        ] {
            assert_eq!(folded(text), expect);
        }
        assert!(folded(&"ab ".repeat(1000)).len() <= TEXT_MAX);
    }

    #[test]
    fn a_query_word_begins_a_word_of_either_text() {
        let texts = ["1636 westmount bv nw", "calgary t2n 3g5"];
        for (query, expect) in [
            ("westm", true),
            ("1636 calg", true),
            ("nw 1636", true),
            ("t2n", true),
            ("mount", false),
            ("1636 edmonton", false),
            ("westmountx", false),
        ] {
            assert_eq!(matches(query, texts), expect, "{query}");
        }
    }

    proptest! {
        #[test]
        fn the_signature_never_hides_a_match(text in "[ a-d0-9]{0,40}", query in "[a-d0-9 ]{0,12}") {
            let (text, query) = (folded(&text), folded(&query));
            let needed = query_signature(&query);
            if matches(&query, [&text, ""]) {
                prop_assert_eq!(signature(&text) & needed, needed);
            }
        }
    }
}
