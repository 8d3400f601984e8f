//! `deploy/compose.yaml` and the Dockerfile: what stands in them is what the program and the repository have.

use std::process::{Command, Stdio};

use yaml_rust2::{Yaml, YamlLoader};

use crate::repository;

fn text(name: &str) -> String {
    std::fs::read_to_string(repository().join(name)).expect("it is there")
}

fn compose() -> Yaml {
    let documents = YamlLoader::load_from_str(&text("deploy/compose.yaml")).expect("YAML");
    documents.into_iter().next().expect("one document")
}

fn words(list: &Yaml) -> Vec<String> {
    let all = list.as_vec().expect("a list of words").iter();
    all.map(|w| w.as_str().expect("a word").to_owned()).collect()
}

/// Service, command and environment.
type Started = (String, Vec<String>, Vec<(String, String)>);

/// The entries of a mapping, with those that `<<: *shared` brings in, as compose merges them.
fn entries(mapping: &Yaml) -> Vec<(String, &Yaml)> {
    let all = mapping.as_hash().expect("a mapping").iter();
    let mut entries = Vec::new();
    for (name, value) in all {
        match name.as_str().expect("a name") {
            "<<" => entries.splice(0..0, self::entries(value)).for_each(drop),
            name => entries.push((name.to_owned(), value)),
        }
    }
    entries
}

/// The last entry of that name counts.
fn entry<'a>(mapping: &'a Yaml, name: &str) -> Option<&'a Yaml> {
    entries(mapping).into_iter().rev().find(|(known, _)| known == name).map(|(_, value)| value)
}

/// Everything that runs the program.
fn commands() -> Vec<Started> {
    let compose = compose();
    let ours = entries(&compose["services"]).into_iter();
    let ours = ours.filter(|(_, s)| entry(s, "image").and_then(Yaml::as_str) == Some("conveyance"));
    let text =
        |y: &Yaml| y.as_str().map(str::to_owned).or_else(|| y.as_i64().map(|n| n.to_string()));
    ours.map(|(name, service)| {
        let environment = entry(service, "environment").expect("an environment");
        let environment = entries(environment).into_iter().filter_map(|(k, v)| Some((k, text(v)?)));
        (name, words(entry(service, "command").expect("a command")), environment.collect())
    })
    .collect()
}

#[test]
fn every_command_is_one_of_the_program() {
    let commands = commands();
    assert!(commands.len() >= 7, "{commands:?}");
    for (name, command, environment) in &commands {
        let help = |with: &[&str]| {
            let mut program = Command::new(env!("CARGO_BIN_EXE_conveyance"));
            program.args(command).args(with).stdin(Stdio::null());
            program.output().expect("the program starts")
        };
        let output = help(&["--help"]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{name}: {command:?}: {said}");
        let help = String::from_utf8_lossy(&output.stdout).into_owned();
        for (variable, _) in environment {
            let known = help.contains(&format!("[env: {variable}="));
            // `topics` takes the same environment as the services, and needs less of it.
            assert!(known || name == "topics", "{name}: {command:?} does not read {variable}");
        }
    }
}

#[test]
fn everything_that_scales_runs_twice_each_in_a_slot_of_its_own() {
    let commands = commands();
    for service in ["normalize", "track", "gateway"] {
        let slots: Vec<_> = commands
            .iter()
            .filter(|(_, command, _)| command.first().is_some_and(|c| c == "run"))
            .filter(|(_, command, _)| command.get(1).is_some_and(|c| c == service))
            .filter_map(|(_, _, environment)| {
                environment.iter().find(|(k, _)| k == "CONVEYANCE_SLOT").map(|(_, v)| v.as_str())
            })
            .collect();
        assert_eq!(slots, ["0", "1"], "{service}");
    }
}

#[test]
fn the_image_copies_what_there_is() {
    let dockerfile = text("deploy/Dockerfile");
    let copies = dockerfile.lines().filter_map(|line| line.strip_prefix("COPY "));
    let mut seen = 0;
    for copy in copies.filter(|copy| !copy.starts_with("--from")) {
        let paths: Vec<_> = copy.split_whitespace().collect();
        for path in paths.split_last().map(|(_target, sources)| sources).unwrap_or_default() {
            assert!(repository().join(path).exists(), "COPY {path}");
            seen += 1;
        }
    }
    assert!(seen > 5, "{dockerfile}");
}
