//! Any text is a `feeds.toml`, or refused; the files of one that is taken are dated or not.
#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| {
    let Ok(feeds) = mapping::feeds::Feeds::parse(text) else { return };
    for feed in &feeds.feeds {
        for name in ["assessment-2022.csv", "a-2022-02-30.csv", "", "é-20220101.csv"] {
            let _ = (feed.as_of(name), feed.has_file(name), feed.has_file("a/b"));
        }
    }
});
