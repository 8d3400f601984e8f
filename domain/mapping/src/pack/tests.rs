use super::*;

const GOOD: &str = r#"name = "rolls"
title = "Rolls of Oldtown"

[source]
format = "csv"
key = "{ROLL}"

[aliases]
UNIT = ["APT"]

[constants]
City = "Oldtown"
StateOrProvince = "AB"

[fields]
TaxAssessedValue = { column = "VALUE", null_at_most = 10 }
StandardStatus = { column = "STATUS", lookup = "status", unknown = "reject" }
CloseDate = { column = "SOLD", form = "%m/%d/%Y" }
LotSizeArea = { column = "LAND", unit = "Square Meters" }

[address]
line = "ADDRESS"

[lookups.status]
A = "Active"
"#;

#[test]
fn a_good_pack() {
    let pack = Pack::parse(GOOD).unwrap();
    assert_eq!((pack.name(), pack.title()), ("rolls", "Rolls of Oldtown"));
    assert_eq!(pack.key(), [KeyPart::Column("ROLL".to_owned())]);
    let required: Vec<_> = pack.required_columns().collect();
    assert_eq!(required, ["ROLL", "SOLD", "LAND", "STATUS", "VALUE", "ADDRESS"]);
    assert_eq!(
        pack.fields(),
        [
            "City",
            "CloseDate",
            "LotSizeArea",
            "StandardStatus",
            "StateOrProvince",
            "TaxAssessedValue",
            "UnparsedAddress"
        ]
    );
    assert_eq!(lint(GOOD), []);
}

#[test]
fn every_fault_has_its_line() {
    for (from, to, line, says) in [
        ("[source]", "[sauce]", 4, "did you mean `source`?"),
        ("format = \"csv\"", "format = \"xls\"", 5, "\"csv\" or \"jsonl\""),
        ("key = \"{ROLL}\"", "", 4, "`source.key` is missing"),
        ("{ROLL}", "ROLL", 6, "columns in braces"),
        ("{ROLL}", "{UNIT}", 6, "a key must have one name"),
        ("City =", "Citty =", 12, "did you mean `City`?"),
        ("\"AB\"", "\"Albertania\"", 13, "no state or province"),
        ("\"AB\"", "5", 13, "wrong type"),
        ("TaxAssessedValue", "TaxAssesedValue", 16, "did you mean `TaxAssessedValue`?"),
        ("TaxAssessedValue", "City", 16, "given twice"),
        (
            "column = \"VALUE\"",
            "colum = \"VALUE\"",
            16,
            "`fields.TaxAssessedValue.column` is missing",
        ),
        ("null_at_most = 10", "null_at_most = \"ten\"", 16, "must be a number"),
        (
            "null_at_most = 10",
            "form = \"%Y\"",
            16,
            "`fields.TaxAssessedValue.form` is not a known key",
        ),
        ("lookup = \"status\"", "lookup = \"statis\"", 17, "did you mean `status`?"),
        ("\"reject\"", "\"pass\"", 17, "locked"),
        ("\"reject\"", "\"drop\"", 17, "`unknown` must be"),
        ("form = \"%m/%d/%Y\"", "null_at_most = 1", 18, "is for numbers"),
        ("%m/%d/%Y", "%m/%d/%y", 18, "does not say the century"),
        ("Square Meters", "Hektares", 19, "is no unit here"),
        ("line = \"ADDRESS\"", "line = \"{ADDRESS\"", 22, "columns in braces"),
        ("A = \"Active\"", "A = \"Actve\"", 25, "did you mean `Active`?"),
        ("A = \"Active\"", "A = \"Active\"\na = \"Closed\"", 26, "case does not matter"),
        ("name = \"rolls\"", "name = \"Rolls!\"", 1, "lower-case letters"),
        ("[address]", "[address", 21, "not TOML"),
    ] {
        let text = GOOD.replacen(from, to, 1);
        assert_ne!(text, GOOD, "{from}");
        let findings = Pack::parse(&text).map(|_| ()).unwrap_err().findings;
        let found = findings.iter().any(|f| f.line == line && f.message.contains(says));
        assert!(found, "{from} -> {to}: {findings:?}");
    }
}

#[test]
fn oddities_are_warned_of_and_the_pack_is_used() {
    for (from, to, line, says) in [
        (
            "lookup = \"status\", unknown = \"reject\"",
            "required = true",
            24,
            "no field uses the lookup `status`",
        ),
        ("City = \"Oldtown\"", "", 1, "gives no `City`"),
    ] {
        let text = GOOD.replacen(from, to, 1);
        assert!(Pack::parse(&text).is_ok(), "{to}");
        let findings = lint(&text);
        let found = findings.iter().any(|f| {
            f.line == line && f.message.contains(says) && f.severity == crate::Severity::Warning
        });
        assert!(found, "{to}: {findings:?}");
    }
}

#[test]
fn all_faults_are_found_at_once() {
    let text =
        GOOD.replace("City =", "Citty =").replace("VALUE", "").replace("Square Meters", "Yards");
    let lines: Vec<_> = Pack::parse(&text).unwrap_err().findings.iter().map(|f| f.line).collect();
    assert_eq!(lines, [12, 16, 19]);
}
