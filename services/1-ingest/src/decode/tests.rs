//! Bad inputs as tables: what each becomes, with its line.

use super::*;
use crate::plan::KeyTemplate;
use proptest::prelude::*;

const CSV: Format = Format::Csv { delimiter: b',', encoding: Encoding::Auto };

fn shape(format: Format) -> Shape {
    let plan = RowPlan {
        pack: "test".to_owned(),
        columns: vec!["b".to_owned()],
        key: KeyTemplate::column("a"),
    };
    Shape { format, row_bytes_max: 64, plan }
}

/// Everything in a file: `line key row` for a row, `line !code` for a fault, and the fault of the file.
fn read(bytes: &[u8], format: Format) -> Vec<String> {
    let mut all = Vec::new();
    let mut decoder = match Decoder::open(Window::over(bytes, "f"), shape(format), "f") {
        Ok(decoder) => decoder,
        Err(fault) => return vec![fault.to_string()],
    };
    loop {
        match decoder.next().unwrap() {
            Item::End => return all,
            Item::Blank => all.push("blank".to_owned()),
            Item::Skipped => {}
            Item::Bad(reject) => {
                all.push(format!("{} !{}", decoder.line(), reject.code));
                decoder.advance();
            }
            Item::Row => {
                let (mut out, mut key) = (Vec::new(), Vec::new());
                all.push(match decoder.row(&mut out, &mut key) {
                    Ok(()) => {
                        let row = String::from_utf8(out).unwrap();
                        serde_json::from_str::<serde_json::Value>(&row).unwrap();
                        format!("{} {} {row}", decoder.line(), String::from_utf8(key).unwrap())
                    }
                    Err(reject) => format!("{} !{}", decoder.line(), reject.code),
                });
                decoder.advance();
            }
        }
    }
}

fn row(line: u64, a: &str, b: &str) -> String {
    format!("{line} {} {{\"a\":\"{a}\",\"b\":\"{b}\"}}", a.trim())
}

fn check(bytes: &[u8], expect: &[String]) {
    assert_eq!(read(bytes, CSV), expect, "{}", String::from_utf8_lossy(bytes));
}

#[test]
fn csv_rows() {
    check(b"a,b\n1,x\n2,y\n", &[row(2, "1", "x"), row(3, "2", "y")]);
    check(b"a,b\r\n1,x\r\n2,y", &[row(2, "1", "x"), row(3, "2", "y")]);
    check(b"a,b\n 1 , x \n", &[row(2, " 1 ", " x ")]);
    check(b"a,b\n1,\"x\ny\"\n2,z\n", &[row(2, "1", "x\\ny"), row(4, "2", "z")]);
    check(b"a,b\n1,\"say \"\"hi\"\"\"\n", &[row(2, "1", "say \\\"hi\\\"")]);
    check(b"a,b\n1,tab\\\t\n", &[row(2, "1", "tab\\\\\\t")]);
    check(b"Title,\nas of,\n\n\"a\n\",\" b \"\n1,x\n", &[row(6, "1", "x")]);
    check(b"a,b\n", &[]);
}

#[test]
fn csv_encodings() {
    check(b"\xef\xbb\xbfa,b\n1,\xc3\xa9\n", &[row(2, "1", "é")]);
    check(b"\xef\xbb\xbfa,b\n1,\xe9\n", &["2 !not_utf8".to_owned()]);
    check(b"a,b\n1,Montr\xe9al\n2,\xc3\xa9\n", &[row(2, "1", "Montréal"), row(3, "2", "é")]);
    check(b"a,b\n1,\xc3\xa9\xe9\n2,x\n", &["2 !not_utf8".to_owned(), row(3, "2", "x")]);
    check(b"a,b\n1,\"\xe9,\"\"\xe8\"\n", &[row(2, "1", "é,\\\"è")]);
}

#[test]
fn csv_rows_that_become_dead_letters() {
    let bad = |line: u64, code: &str| format!("{line} !{code}");
    check(
        b"a,b\n1\n2,x,y\n3,z\n",
        &[bad(2, "wrong_column_count"), bad(3, "wrong_column_count"), row(4, "3", "z")],
    );
    check(b"a,b\n1,x\0\n2,y\n", &[bad(2, "nul_byte"), row(3, "2", "y")]);
    check(b"a,b\n,x\n  ,y\n3,z\n", &[bad(2, "no_key"), bad(3, "no_key"), row(4, "3", "z")]);
    check(
        b"a,b\n,\n \n\"\",\"\"\n1,x\n",
        &["blank".to_owned(), "blank".to_owned(), "blank".to_owned(), row(5, "1", "x")],
    );
    check(b"a,b\n\"1\ty\",x\n", &[bad(2, "bad_key")]);
    check(b"a,b\n1,\"x\" y\n2,z\n", &[bad(2, "stray_quote"), row(3, "2", "z")]);
    // A quote that is never closed costs its own line.
    check(b"a,b\n1,\"x\n2,y\n3,z\n", &[bad(2, "open_quote"), row(3, "2", "y"), row(4, "3", "z")]);
    let mut long = b"a,b\n1,\"x\n".to_vec();
    let mut expect = vec![bad(2, "open_quote")];
    for n in 3..40u64 {
        long.extend_from_slice(format!("{n},y\n").as_bytes());
        expect.push(row(n, &n.to_string(), "y"));
    }
    check(&long, &expect);
    // A quote that another row's quote closes.
    check(
        b"a,b\n1,\"x\n2,y\n3,\"z\"\n4,w\n",
        &[bad(2, "stray_quote"), row(3, "2", "y"), row(4, "3", "z"), row(5, "4", "w")],
    );
    check(b"a,b\n1,\"x\n2,y\n\"\n4,w\n", &[row(2, "1", "x\\n2,y\\n"), row(5, "4", "w")]);
    check(
        b"a,b\n\"1\n2,y\n\",\"q\",\n4,w\n",
        &[bad(2, "wrong_column_count"), row(3, "2", "y"), bad(4, "stray_quote"), row(5, "4", "w")],
    );
}

#[test]
fn a_line_without_end_is_one_dead_letter_and_is_not_held_in_memory() {
    let mut bytes = b"a,b\n1,x\n2,".to_vec();
    bytes.resize(100 << 20, b'y');
    bytes.extend_from_slice(b"\n3,z\n");
    check(&bytes, &[row(2, "1", "x"), "3 !row_too_long".to_owned(), row(4, "3", "z")]);
    let mut decoder = Decoder::open(Window::over(&bytes, "f"), shape(CSV), "f").unwrap();
    decoder.advance();
    while !matches!(decoder.next().unwrap(), Item::Bad(_)) {
        decoder.advance();
    }
    assert!(decoder.original().len() <= LONG_ROW_SHOWN);
    assert!(decoder.window.bytes().len() < 1 << 20);
    // To the end of the file.
    check(&bytes[..1 << 20], &[row(2, "1", "x"), "3 !row_too_long".to_owned()]);
    // Lines of just the limit and one more.
    let line = |len: usize| format!("1,{}\n", "y".repeat(len - 3));
    assert_eq!(read(format!("a,b\n{}", line(64)).as_bytes(), CSV), [row(2, "1", &"y".repeat(61))]);
    assert_eq!(
        read(format!("a,b\n{}2,x\n", line(65)).as_bytes(), CSV),
        ["2 !row_too_long".to_owned(), row(3, "2", "x")]
    );
}

#[test]
fn files_that_are_refused() {
    for (bytes, word) in [
        (&b""[..], "is empty"),
        (b"\xff\xfea\0,\0b\0\n\0", "UTF-16"),
        (b"\xfe\xff\0a\0,\0b\0\n", "UTF-16"),
        (b"a\0,\0b\0\n\0", "UTF-16"),
        (b"PK\x03\x04abc", "ZIP"),
        (b"a,b\r1,x\r2,y\r", "carriage returns"),
        (b"a,c\n1,x\n", "no column \"b\", which pack test reads; it has \"c\""),
        (b"a,b,a\n1,x,2\n", "two columns named \"a\""),
        (b"\n\n", "no column"),
        (b"{\"a\":1}", "no column"),
    ] {
        let got = read(bytes, CSV);
        assert!(got.len() == 1 && got[0].contains(word), "{word}: {got:?}");
    }
}

#[test]
fn json_lines() {
    for (text, expect) in [
        ("{\"a\":\"1\",\"x\":{\"y\":[1]}}\n", "1 1 {\"a\":\"1\",\"x\":{\"y\":[1]}}"),
        ("{\"a\": 17 , \"b\":null}\r\n", "1 17 {\"a\": 17 , \"b\":null}"),
        ("\u{feff}{\"a\":\"é\"}", "1 é {\"a\":\"é\"}"),
        ("\n{\"a\":1}\n", "blank|2 1 {\"a\":1}"),
        ("{\"b\":1}\n{\"a\":2}", "1 !no_key|2 2 {\"a\":2}"),
        ("{\"a\":null}\n{\"a\":[1]}\n{\"a\":\" \"}\n", "1 !no_key|2 !no_key|3 !no_key"),
        (
            "[1]\n{\"a\":1\n{\"a\":1}}\n{\"a\":01}\n\"a\"\n",
            "1 !bad_json|2 !bad_json|3 !bad_json|4 !bad_json|5 !bad_json",
        ),
        ("{\"a\":1} {\"a\":2}\n", "1 !bad_json"),
        ("{\"a\":\"x\ty\"}\n", "1 !bad_json"),
        ("{\"a\":\"x\\ty\"}\n", "1 !bad_key"),
    ] {
        assert_eq!(read(text.as_bytes(), Format::JsonLines).join("|"), expect, "{text}");
    }
    assert_eq!(read(b"{\"a\":\"\xe9\"}\n", Format::JsonLines), ["1 !not_utf8"]);
    assert_eq!(read(b"{\"a\":\"\0\"}\n", Format::JsonLines), ["1 !nul_byte"]);
    let deep = format!("{{\"a\":{}}}\n", "[".repeat(50));
    assert_eq!(read(deep.as_bytes(), Format::JsonLines), ["1 !bad_json"]);
}

#[test]
fn nested_keys() {
    let plan = RowPlan {
        pack: "p".to_owned(),
        columns: Vec::new(),
        key: KeyTemplate::parse("{S.Id}/{n}").unwrap(),
    };
    let shape = Shape { format: Format::JsonLines, row_bytes_max: 200, plan };
    let line = br#"{"Id":"no","n":3,"S":{"Id":"yes","T":{"Id":"no"}},"S.Id":4}"#;
    let mut decoder = Decoder::open(Window::over(line, "f"), shape, "f").unwrap();
    assert_eq!(decoder.next(), Ok(Item::Row));
    let mut key = Vec::new();
    decoder.row(&mut Vec::new(), &mut key).unwrap();
    assert_eq!(key, b"4/3");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn any_bytes_are_read_to_their_end(bytes: Vec<u8>, text in "[ab,\"\r\n\u{e9}\u{0}1]{0,200}", head in prop::bool::ANY) {
        let head = if head { &b"a,b\n"[..] } else { b"" };
        for bytes in [[head, &bytes].concat(), [head, text.as_bytes()].concat()] {
            let (rows, faults) = fuzz_csv(&bytes);
            prop_assert!(rows + faults <= bytes.len() as u64);
            let (rows, faults) = fuzz_json_lines(&bytes);
            prop_assert!(rows + faults <= bytes.len() as u64);
            read(&bytes, CSV);
            read(&bytes, Format::JsonLines);
        }
    }

    /// Going on from any row gives what reading on would have given.
    #[test]
    fn any_place_is_resumed(text in "[a1,\"\r\n]{0,150}", long in 0usize..200) {
        let text = format!("a,b\n{text}\n{}\n1,2\n", "z".repeat(long));
        let mut whole = Decoder::open(Window::over(text.as_bytes(), "f"), shape(CSV), "f").unwrap();
        let mut places = vec![(whole.place(), 0)];
        let mut items = Vec::new();
        loop {
            let item = whole.next().unwrap();
            let end = item == Item::End;
            items.push((whole.line(), format!("{item:?}"), whole.original().to_vec()));
            if matches!(item, Item::Row | Item::Bad(_)) { whole.advance(); }
            places.push((whole.place(), items.len()));
            if end { break; }
        }
        for (place, from) in places {
            let mut again = Decoder::open(Window::over(text.as_bytes(), "f"), shape(CSV), "f").unwrap();
            prop_assert!(again.go_to(place).unwrap());
            for expect in &items[from..] {
                let item = again.next().unwrap();
                if !matches!(item, Item::Skipped) {
                    let got = (again.line(), format!("{item:?}"), again.original().to_vec());
                    prop_assert_eq!(&got, expect);
                }
                if matches!(item, Item::Row | Item::Bad(_)) { again.advance(); }
            }
        }
    }
}
