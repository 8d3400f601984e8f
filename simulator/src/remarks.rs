//! Remarks that read, and compress, like those people write: sentences with slots, read once from `data/remarks.txt`.

use std::collections::HashMap;

use crate::chance::{Chance, Purpose};
use crate::text::{push_digits, push_number};

/// Remarks stop growing at about this many bytes.
const REMARKS_BYTES: usize = 225;

/// How many body sentences are written in advance, for each language: many enough to read as new, few enough to stay in a cache.
/// Writing them anew for each listing took half of the time of a row.
const POOL_SENTENCES: u64 = 8_192;

/// The sentences, cut into pieces, so that writing one is a walk over slices.
#[derive(Debug)]
pub(crate) struct Phrasebook {
    words: Vec<Vec<Sentence>>,
    english: Section,
    french: Section,
    private: Vec<Sentence>,
}

#[derive(Debug, Default)]
struct Section {
    open: Vec<Sentence>,
    body: Pool,
    close: Vec<Sentence>,
}

/// Whole sentences, one behind the other.
#[derive(Debug, Default)]
struct Pool {
    text: Vec<u8>,
    /// Where each sentence lies in the text.
    spans: Vec<(usize, usize)>,
}

type Sentence = Vec<Piece>;

#[derive(Clone, Copy, Debug)]
enum Piece {
    Text(&'static str),
    Words(usize),
    City,
    Bedrooms,
    Digit,
    TwoDigits,
    Year,
}

/// What a sentence may say about its home.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Subject<'a> {
    pub(crate) city: &'a str,
    pub(crate) bedrooms: u64,
    pub(crate) french: bool,
}

impl Phrasebook {
    /// Reads the sentences that are built into the program.
    pub(crate) fn new(seed: u64) -> Self {
        let text = include_str!("../data/remarks.txt");
        let lists: Vec<(&str, &str)> =
            text.lines().filter_map(|line| line.strip_prefix('@')?.split_once(": ")).collect();
        let numbers: HashMap<&str, usize> =
            lists.iter().enumerate().map(|(at, list)| (list.0, at)).collect();
        let words = lists
            .iter()
            .map(|list| list.1.split(" | ").map(|word| sentence(word, &numbers)).collect())
            .collect();
        let mut sections: HashMap<&str, Vec<Sentence>> = HashMap::new();
        let mut current = "";
        for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with(['#', '@'])) {
            match line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
                Some(name) => current = name,
                None => sections.entry(current).or_default().push(sentence(line, &numbers)),
            }
        }
        let mut take = |name: &str| sections.remove(name).expect("remarks.txt has every section");
        let bodies = [take("en.body"), take("fr.body")];
        let mut book = Self {
            words,
            english: Section {
                open: take("en.open"),
                body: Pool::default(),
                close: take("en.close"),
            },
            french: Section {
                open: take("fr.open"),
                body: Pool::default(),
                close: take("fr.close"),
            },
            private: take("private"),
        };
        let [english, french] = bodies.map(|body| book.pool(&body, seed));
        book.english.body = english;
        book.french.body = french;
        book
    }

    fn pool(&self, sentences: &[Sentence], seed: u64) -> Pool {
        let nowhere = Subject { city: "", bedrooms: 0, french: false };
        let mut pool = Pool::default();
        for number in 0..POOL_SENTENCES {
            let mut chance = Chance::new(seed, Purpose::Remarks, u64::MAX - number);
            let begin = pool.text.len();
            self.write_sentence(
                chance.pick::<Sentence>(sentences),
                nowhere,
                &mut chance,
                &mut pool.text,
            );
            pool.spans.push((begin, pool.text.len()));
        }
        pool
    }

    /// Writes public remarks, ready to stand between the quotes of a JSON string.
    pub(crate) fn write_public(
        &self,
        subject: Subject<'_>,
        chance: &mut Chance,
        out: &mut Vec<u8>,
    ) {
        let section = if subject.french { &self.french } else { &self.english };
        let begin = out.len();
        let enough = REMARKS_BYTES - 60 + usize::try_from(chance.small(100)).unwrap_or(0);
        self.write_sentence(chance.pick::<Sentence>(&section.open), subject, chance, out);
        while out.len() - begin < enough {
            let (from, to) = *chance.pick(&section.body.spans);
            out.push(b' ');
            out.extend_from_slice(section.body.text.get(from..to).unwrap_or_default());
        }
        if chance.percent(70) {
            out.push(b' ');
            self.write_sentence(chance.pick::<Sentence>(&section.close), subject, chance, out);
        }
        // Some agents shout.
        if chance.percent(7) {
            out.get_mut(begin..).unwrap_or_default().make_ascii_uppercase();
        }
    }

    /// Writes remarks for agents only: they hold what would open a door, and must never be public.
    pub(crate) fn write_private(
        &self,
        subject: Subject<'_>,
        chance: &mut Chance,
        out: &mut Vec<u8>,
    ) {
        self.write_sentence(chance.pick::<Sentence>(&self.private), subject, chance, out);
    }

    fn write_sentence(
        &self,
        sentence: &[Piece],
        subject: Subject<'_>,
        chance: &mut Chance,
        out: &mut Vec<u8>,
    ) {
        let begin = out.len();
        self.write_pieces(sentence, subject, chance, out);
        if let Some(first) = out.get_mut(begin) {
            first.make_ascii_uppercase();
        }
    }

    fn write_pieces(
        &self,
        sentence: &[Piece],
        subject: Subject<'_>,
        chance: &mut Chance,
        out: &mut Vec<u8>,
    ) {
        for piece in sentence {
            match *piece {
                Piece::Text(text) => out.extend_from_slice(text.as_bytes()),
                Piece::City => out.extend_from_slice(subject.city.as_bytes()),
                Piece::Bedrooms => push_number(out, subject.bedrooms.max(1)),
                Piece::Digit => push_number(out, 2 + chance.below(8)),
                Piece::TwoDigits => push_digits(out, 10 + chance.below(20), 2),
                Piece::Year => push_number(out, 2008 + chance.below(18)),
                Piece::Words(list) => {
                    let choices = self.words.get(list).expect("a slot names a list that exists");
                    self.write_pieces(chance.pick::<Sentence>(choices), subject, chance, out);
                }
            }
        }
    }
}

fn sentence(line: &'static str, lists: &HashMap<&str, usize>) -> Sentence {
    let mut pieces = Vec::new();
    let mut rest = line;
    while let Some((before, after)) = rest.split_once('{') {
        let (slot, tail) = after.split_once('}').expect("a slot of remarks.txt is closed");
        if !before.is_empty() {
            pieces.push(Piece::Text(before));
        }
        pieces.push(match slot {
            "city" => Piece::City,
            "beds" => Piece::Bedrooms,
            "n" => Piece::Digit,
            "k" => Piece::TwoDigits,
            "year" => Piece::Year,
            name => Piece::Words(*lists.get(name).expect("a slot of remarks.txt has its list")),
        });
        rest = tail;
    }
    if !rest.is_empty() {
        pieces.push(Piece::Text(rest));
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::{Phrasebook, Subject};
    use crate::chance::{Chance, Purpose};

    #[test]
    fn body_sentences_speak_of_no_listing() {
        let text = include_str!("../data/remarks.txt");
        for group in text
            .split("\n[")
            .filter(|group| group.starts_with("en.body") || group.starts_with("fr.body"))
        {
            assert!(!group.contains("{city}") && !group.contains("{beds}"), "{group}");
        }
    }

    #[test]
    fn remarks_need_no_escapes_and_vary() {
        let book = Phrasebook::new(1);
        let mut seen = std::collections::HashSet::new();
        for number in 0..2_000 {
            let subject = Subject { city: "Québec", bedrooms: 3, french: number % 2 == 0 };
            let mut chance = Chance::new(1, Purpose::Remarks, number);
            let mut out = Vec::new();
            book.write_public(subject, &mut chance, &mut out);
            assert!((150..=480).contains(&out.len()), "{} bytes", out.len());
            book.write_private(subject, &mut chance, &mut out);
            let text = String::from_utf8(out).unwrap();
            assert!(!text.contains(['"', '\\', '{', '}', '\n']), "{text}");
            assert!(text.contains('–'), "private remarks hold a character outside ASCII: {text}");
            seen.insert(text);
        }
        assert_eq!(seen.len(), 2_000);
    }
}
