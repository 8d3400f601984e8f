use super::*;
use crate::forms::DateForm;
use proptest::prelude::*;

/// `expect` is the value, the value and `!code` when it was changed, `-` for nothing, or `code` when it failed.
fn check(convert: &Convert, text: &str, expect: &str) {
    let mut out = Vec::new();
    let done = convert.text(text, &mut out);
    let value = String::from_utf8(out).unwrap();
    let got = match done {
        Ok(Done::Value) => value,
        Ok(Done::Changed(problem)) => format!("{value}!{}", problem.code),
        Ok(Done::Nothing) => "-".to_owned(),
        Err(problem) => problem.code.to_owned(),
    };
    assert_eq!(got, expect, "{text}");
}

#[test]
fn money_in_all_its_forms() {
    for (text, expect) in [
        ("221900", "221900"),
        ("1.225e+006", "1225000"),
        ("4.5e5", "450000"),
        ("520,000", "520000"),
        ("$1,000", "1000"),
        ("$1,200,000.50", "1200000.5"),
        ("$0", "0"),
        ("C$ 5", "5"),
        ("$ -", "-"),
        ("-", "-"),
        ("10.005", "10.01!rounded"),
        ("0.1", "0.1"),
        ("-5", "negative_amount"),
        ("-$5", "negative_amount"),
        ("1,5", "unreadable_number"),
        ("1,00,000", "unreadable_number"),
        (",100", "unreadable_number"),
        ("1.000.000", "unreadable_number"),
        ("1 000", "unreadable_number"),
        ("--5", "unreadable_number"),
        ("five", "unreadable_number"),
        ("5 USD", "unreadable_number"),
    ] {
        check(&Convert::Money, text, expect);
    }
}

#[test]
fn whole_and_decimal_numbers() {
    for (text, expect) in
        [("3", "3"), ("3.0", "3"), ("33", "33"), ("0", "0"), ("1,234", "1234"), ("-1", "-1")]
    {
        check(&Convert::Integer, text, expect);
    }
    check(&Convert::Integer, "2.5", "not_whole");
    for (text, shift, expect) in [
        ("1533.6", 0, "1533.6"),
        ("0.38", 0, "0.38"),
        ("-122.257", 0, "-122.257"),
        ("1.23456", 0, "1.2346"),
        ("1.5", 4, "15000"),
        ("0.25", 4, "2500"),
    ] {
        check(&Convert::Decimal { scale: 4, shift }, text, expect);
    }
}

#[test]
fn texts_are_tidy_and_bounded() {
    let convert = Convert::Text { max: 10, title: false };
    for (text, expect) in [
        ("plain", "\"plain\""),
        ("a   b\n\tc", "\"a b c\""),
        ("a\u{a0}b", "\"a b\""),
        ("a\u{0}b", "\"a b\""),
        ("é \"q\"", "\"é \\\"q\\\"\""),
        ("12345678901", "\"1234567890\"!cut"),
        ("éééééééééé", "\"éééééééééé\""),
        ("123456789 x", "\"123456789\"!cut"),
    ] {
        check(&convert, text, expect);
    }
    check(&Convert::Text { max: 50, title: true }, "NEW BRIGHTON", "\"New Brighton\"");
}

#[test]
fn dates_that_do_not_exist_are_refused() {
    let forms = |form: &str| DateForms { forms: vec![DateForm::parse(form).unwrap()], offset: 0 };
    let date = Convert::Date(forms("%m/%d/%Y"));
    check(&date, "2/28/2013", "\"2013-02-28\"");
    check(&date, "2/29/2013", "impossible_date");
    check(&date, "0/0/0000", "impossible_date");
    check(
        &Convert::Timestamp(forms("%Y%m%dT000000")),
        "20141013T000000",
        "\"2014-10-13T00:00:00.000Z\"",
    );
}

#[test]
fn flags() {
    let standard = Convert::Boolean { yes: Vec::new(), no: Vec::new() };
    for (text, expect) in [
        ("1", "true"),
        ("Y", "true"),
        ("true", "true"),
        ("no", "false"),
        ("0", "false"),
        ("2", "unreadable_flag"),
    ] {
        check(&standard, text, expect);
    }
    let own = Convert::Boolean { yes: vec!["sold".to_owned()], no: vec!["open".to_owned()] };
    for (text, expect) in [("SOLD", "true"), ("open", "false"), ("1", "unreadable_flag")] {
        check(&own, text, expect);
    }
}

#[test]
fn lookups_of_the_standard() {
    let status = Convert::Locked(messages::fields::STANDARD_STATUS);
    for (text, expect) in [
        ("Active", "\"Active\""),
        ("ActiveUnderContract", "\"Active Under Contract\""),
        ("COMING SOON", "\"Coming Soon\""),
        ("Sold", "unknown_lookup"),
    ] {
        check(&status, text, expect);
    }
    for (text, expect) in
        [("WA", "\"WA\""), ("Ontario", "\"ON\""), ("NL", "\"NF\""), ("PR", "unknown_state")]
    {
        check(&Convert::State, text, expect);
    }
    for (text, expect) in [("Canada", "\"CA\""), ("usa", "\"US\""), ("FR", "unknown_country")] {
        check(&Convert::Country, text, expect);
    }
}

#[test]
fn lists_keep_order_and_no_twins() {
    let convert = Convert::List { separator: ',' };
    for (text, expect) in
        [("FA,GAS", r#"["FA","GAS"]"#), (" FA , GAS, FA,,", r#"["FA","GAS"]"#), (",", "-")]
    {
        check(&convert, text, expect);
    }
    let table: Table = [
        ("FA".to_owned(), Some(b"\"Forced Air\"".to_vec())),
        ("HEAT".to_owned(), Some(b"\"Forced Air\"".to_vec())),
        ("NONE".to_owned(), None),
    ]
    .into();
    for (items, value, code) in [
        ("fa,heat", r#"["Forced Air"]"#, ""),
        ("none", "", ""),
        ("fa,gas", r#"["Forced Air"]"#, "unknown_lookup"),
        ("gas,fa", r#"["Forced Air"]"#, "unknown_lookup"),
        ("gas", "", "unknown_lookup"),
    ] {
        let mut out = Vec::new();
        let done = list(items.split(',').map(Cow::Borrowed), Some(&table), &mut out);
        let got = match done {
            Ok(Done::Changed(problem)) | Err(problem) => problem.code,
            Ok(_) => "",
        };
        assert_eq!((String::from_utf8(out).unwrap().as_str(), got), (value, code), "{items}");
    }
}

#[test]
fn media_in_its_forms() {
    check(
        &Convert::Media,
        "https://a/1.jpg https://a/2.jpg",
        r#"[{"MediaURL":"https://a/1.jpg","Order":0},{"MediaURL":"https://a/2.jpg","Order":1}]"#,
    );
    check(&Convert::Media, "none", "unreadable_media");
    for (text, expect) in [
        (r#"["https://a/1.jpg"]"#, r#"[{"MediaURL":"https://a/1.jpg","Order":0}]"#),
        (
            r#"[ { "Order" : 1.0, "MediaURL":"u", "A":[1,{"z":1,"b":null}], "A":2 }, 7 ]"#,
            r#"[{"A":[1,{"b":null,"z":1}],"MediaURL":"u","Order":1}]"#,
        ),
        ("[]", ""),
    ] {
        let mut out = Vec::new();
        assert!(media(text, &mut out).is_ok(), "{text}");
        assert_eq!(String::from_utf8(out).unwrap(), expect);
    }
}

proptest! {
    #[test]
    fn whatever_is_written_is_json(text in ".{1,40}", kind in 0usize..12) {
        let convert = [
            Convert::Money,
            Convert::Integer,
            Convert::Decimal { scale: 4, shift: 4 },
            Convert::Text { max: 8, title: true },
            Convert::Date(DateForms::default()),
            Convert::Timestamp(DateForms::default()),
            Convert::Boolean { yes: Vec::new(), no: Vec::new() },
            Convert::Locked(messages::fields::STANDARD_STATUS),
            Convert::Open { title: false },
            Convert::State,
            Convert::List { separator: ',' },
            Convert::Media,
        ];
        let mut out = Vec::new();
        if let Ok(Done::Value | Done::Changed(_)) = convert[kind].text(&text, &mut out) {
            prop_assert!(serde_json::from_slice::<serde_json::Value>(&out).is_ok(), "{:?}", String::from_utf8(out));
        } else {
            prop_assert!(out.is_empty());
        }
    }

    #[test]
    fn money_is_exact(cents in 0u64..10u64.pow(14)) {
        let text = format!("${}.{:02}", cents / 100, cents % 100);
        let mut out = Vec::new();
        prop_assert_eq!(Convert::Money.text(&text, &mut out), Ok(Done::Value));
        let number = Decimal::parse(std::str::from_utf8(&out).unwrap()).unwrap();
        prop_assert_eq!(number.shift(2).unwrap().to_integer(), i64::try_from(cents).ok());
    }
}
