//! Which Kafka to speak to: from a TOML file, flags and the environment to the settings of the bus. Flags win.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use bus_kafka::config::{BATCH_BYTES_DEFAULT, ClientCertificate};
use bus_kafka::{KafkaConfig, Mechanism, Sasl, Security};
use clap::Args;
use serde::Deserialize;

use crate::wiring::read_text;

/// Where state is kept when nobody says where.
const STATE: &str = "conveyance-state";

/// Which Kafka. A command that is given any of this works on Kafka instead of a data folder.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Kafka")]
pub(crate) struct KafkaArgs {
    /// Settings of the cluster: a TOML file (brokers, prefix, replication, state, slot, [tls], [sasl]).
    #[arg(long, env = "CONVEYANCE_KAFKA", value_name = "FILE")]
    pub(crate) kafka: Option<PathBuf>,
    /// Bootstrap servers, HOST:PORT,HOST:PORT.
    #[arg(long, env = "CONVEYANCE_KAFKA_BROKERS")]
    pub(crate) brokers: Option<String>,
    /// Put before the name of every topic and group, so that several flows share a cluster.
    #[arg(long, env = "CONVEYANCE_KAFKA_PREFIX")]
    pub(crate) prefix: Option<String>,
    /// PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL.
    #[arg(long, env = "CONVEYANCE_KAFKA_SECURITY")]
    pub(crate) security: Option<String>,
    /// Certificates to check the brokers' against, PEM; else what the system trusts.
    #[arg(long, env = "CONVEYANCE_KAFKA_CA_FILE", value_name = "FILE")]
    pub(crate) ca_file: Option<PathBuf>,
    /// PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512.
    #[arg(long, env = "CONVEYANCE_KAFKA_SASL_MECHANISM")]
    pub(crate) sasl_mechanism: Option<String>,
    /// Name to log in with.
    #[arg(long, env = "CONVEYANCE_KAFKA_SASL_USER")]
    pub(crate) sasl_user: Option<String>,
    /// File that holds the password (its first line).
    #[arg(long, env = "CONVEYANCE_KAFKA_SASL_PASSWORD_FILE", value_name = "FILE")]
    pub(crate) sasl_password_file: Option<PathBuf>,
    /// Folder for local copies of state; a lost one is restored from Kafka.
    #[arg(long, env = "CONVEYANCE_STATE", value_name = "FOLDER")]
    pub(crate) state: Option<PathBuf>,
    /// Number of this instance among those of its service, from 0; else the lowest one that is free.
    #[arg(long, env = "CONVEYANCE_SLOT")]
    pub(crate) slot: Option<u16>,
}

/// `kafka.toml`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    brokers: Option<String>,
    prefix: Option<String>,
    state: Option<PathBuf>,
    slot: Option<u16>,
    replication: Option<u16>,
    session_timeout_ms: Option<u32>,
    transaction_timeout_ms: Option<u32>,
    commit_interval_min_ms: Option<u64>,
    commit_interval_max_ms: Option<u64>,
    batch_bytes_max: Option<usize>,
    tls: Option<Tls>,
    sasl: Option<SaslFile>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Tls {
    ca_file: Option<PathBuf>,
    certificate_file: Option<PathBuf>,
    key_file: Option<PathBuf>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct SaslFile {
    mechanism: Option<String>,
    user: Option<String>,
    password_file: Option<PathBuf>,
}

impl KafkaArgs {
    /// Whether a cluster is named.
    #[must_use]
    pub(crate) fn named(&self) -> bool {
        self.kafka.is_some() || self.brokers.is_some()
    }

    /// The settings of the bus.
    ///
    /// # Errors
    /// What is missing or cannot be, with what to write.
    pub(crate) fn config(&self) -> Result<KafkaConfig> {
        let mut file = match &self.kafka {
            Some(path) => read(path)?,
            None => File::default(),
        };
        let brokers = self.brokers.clone().or(file.brokers.take()).context(
            "no Kafka is named: write `brokers = \"HOST:PORT\"` into the file of --kafka, or say --brokers HOST:PORT",
        )?;
        let state = self.state.clone().or(file.state.take()).unwrap_or_else(|| STATE.into());
        let mut config = KafkaConfig::new(&brokers, state);
        config.slot = self.slot.or(file.slot);
        if let Some(prefix) = self.prefix.clone().or(file.prefix.take()) {
            check_prefix(&prefix)?;
            config.prefix = prefix;
        }
        config.security = self.security(&mut file)?;
        file.put_figures(&mut config);
        anyhow::ensure!(
            config.batch_bytes_max >= BATCH_BYTES_DEFAULT,
            "batch_bytes_max = {}: at least {BATCH_BYTES_DEFAULT}, or the largest record does not fit",
            config.batch_bytes_max
        );
        Ok(config)
    }

    fn security(&self, file: &mut File) -> Result<Security> {
        let sasl = file.sasl.take().unwrap_or_default();
        let mechanism = self.sasl_mechanism.clone().or(sasl.mechanism);
        let user = self.sasl_user.clone().or(sasl.user);
        let password_file = self.sasl_password_file.clone().or(sasl.password_file);
        let (tls, named) = match self.security.as_deref() {
            None => (file.tls.is_some() || self.ca_file.is_some(), user.is_some()),
            Some("PLAINTEXT") => (false, false),
            Some("SSL") => (true, false),
            Some("SASL_PLAINTEXT") => (false, true),
            Some("SASL_SSL") => (true, true),
            Some(other) => {
                bail!("--security {other} is not known: PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL")
            }
        };
        let tls_file = file.tls.take().unwrap_or_default();
        let client = match (tls_file.certificate_file, tls_file.key_file) {
            (Some(certificate_file), Some(key_file)) => {
                Some(ClientCertificate { certificate_file, key_file })
            }
            (None, None) => None,
            _ => bail!("[tls] needs certificate_file and key_file together, or neither"),
        };
        let sasl = if named { Some(log_in(mechanism, user, password_file)?) } else { None };
        Ok(Security { tls, ca_file: self.ca_file.clone().or(tls_file.ca_file), client, sasl })
    }
}

impl File {
    fn put_figures(&self, config: &mut KafkaConfig) {
        fn put<T: Copy>(to: &mut T, from: Option<T>) {
            *to = from.unwrap_or(*to);
        }
        put(&mut config.replication, self.replication);
        put(&mut config.session_timeout_ms, self.session_timeout_ms);
        put(&mut config.transaction_timeout_ms, self.transaction_timeout_ms);
        put(&mut config.commit_interval_min_ms, self.commit_interval_min_ms);
        put(&mut config.commit_interval_max_ms, self.commit_interval_max_ms);
        put(&mut config.batch_bytes_max, self.batch_bytes_max);
    }
}

fn log_in(
    mechanism: Option<String>,
    user: Option<String>,
    password_file: Option<PathBuf>,
) -> Result<Sasl> {
    let name = mechanism.unwrap_or_else(|| Mechanism::ScramSha512.name().to_owned());
    let mechanism = Mechanism::parse(&name).with_context(|| {
        format!("SASL mechanism {name} is not known: PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512")
    })?;
    let user = user.context("SASL needs a name: --sasl-user, or `user` in [sasl]")?;
    let file = password_file.context(
        "SASL needs a password: --sasl-password-file, or `password_file` in [sasl], names a file that holds it",
    )?;
    let text = read_text(&file)?;
    let password = text.lines().next().unwrap_or_default().to_owned();
    anyhow::ensure!(!password.is_empty(), "{}: the first line is empty", file.display());
    Ok(Sasl { mechanism, user, password })
}

/// Files that it names are relative to it.
fn read(path: &Path) -> Result<File> {
    let text = read_text(path)?;
    let mut file: File =
        toml::from_str(&text).map_err(|error| anyhow::anyhow!("{}:\n{error}", path.display()))?;
    let base = path.parent().unwrap_or(Path::new("."));
    let tls = file.tls.iter_mut();
    let tls = tls.flat_map(|t| [&mut t.ca_file, &mut t.certificate_file, &mut t.key_file]);
    let sasl = file.sasl.iter_mut().map(|s| &mut s.password_file);
    for named in tls.chain(sasl).flatten() {
        *named = base.join(&named);
    }
    Ok(file)
}

/// Kafka takes no other characters in the name of a topic.
fn check_prefix(prefix: &str) -> Result<()> {
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    anyhow::ensure!(
        prefix.len() <= 100 && prefix.chars().all(good),
        "prefix `{prefix}`: at most 100 letters, digits, `.`, `_`, `-`"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(toml: &str, args: KafkaArgs, expect: Result<&str, &str>) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("kafka.toml");
        std::fs::write(folder.path().join("password"), "secret\nnot this").unwrap();
        std::fs::write(&file, toml).unwrap();
        let args = KafkaArgs { kafka: Some(file), ..args };
        let read = args.config().map(|c| {
            let sasl = c.security.sasl.as_ref();
            let sasl = sasl.map(|s| format!("{} {} {}", s.mechanism.name(), s.user, s.password));
            format!(
                "{} {:?} {} {} {} {:?}",
                c.brokers,
                c.prefix,
                c.replication,
                c.security.protocol(),
                sasl.unwrap_or_default(),
                c.slot
            )
        });
        match (read, expect) {
            (Ok(read), Ok(expect)) => assert_eq!(read, expect, "{toml}"),
            (Err(error), Err(words)) => {
                assert!(format!("{error:#}").contains(words), "{toml}: {error:#}");
            }
            (read, _) => panic!("{toml}: {read:?}"),
        }
    }

    #[test]
    fn settings_come_from_the_file_and_flags_win() {
        let none = KafkaArgs::default;
        check("brokers = \"a:1\"", none(), Ok("a:1 \"\" 1 PLAINTEXT  None"));
        check(
            "brokers = \"a:1\"\nprefix = \"eu.\"\nreplication = 3\nslot = 2",
            KafkaArgs { brokers: Some("b:2".into()), slot: Some(4), ..none() },
            Ok("b:2 \"eu.\" 3 PLAINTEXT  Some(4)"),
        );
        let sasl = "brokers = \"a:1\"\n[tls]\n[sasl]\nmechanism = \"SCRAM-SHA-256\"\nuser = \"u\"\npassword_file = \"password\"";
        check(sasl, none(), Ok("a:1 \"\" 1 SASL_SSL SCRAM-SHA-256 u secret None"));
        check(
            sasl,
            KafkaArgs { security: Some("SASL_PLAINTEXT".into()), ..none() },
            Ok("a:1 \"\" 1 SASL_PLAINTEXT SCRAM-SHA-256 u secret None"),
        );
        check(
            sasl,
            KafkaArgs { security: Some("SSL".into()), ..none() },
            Ok("a:1 \"\" 1 SSL  None"),
        );
    }

    #[test]
    fn what_cannot_be_is_refused_with_what_to_write() {
        let none = KafkaArgs::default;
        check("", none(), Err("--brokers HOST:PORT"));
        check("broker = \"a:1\"", none(), Err("unknown field `broker`"));
        check("brokers = \"a:1\"\nprefix = \"a/b\"", none(), Err("at most 100 letters"));
        check("brokers = \"a:1\"\nbatch_bytes_max = 1000", none(), Err("at least 1048588"));
        let sasl = |more: &str| format!("brokers = \"a:1\"\n[sasl]\nuser = \"u\"\n{more}");
        check(&sasl(""), none(), Err("SASL needs a password"));
        check(&sasl("mechanism = \"GSSAPI\""), none(), Err("GSSAPI is not known"));
        check(&sasl("password_file = \"none\""), none(), Err("check the path"));
        check(
            "brokers = \"a:1\"",
            KafkaArgs { security: Some("TLS".into()), ..none() },
            Err("--security TLS is not known"),
        );
        check(
            "brokers = \"a:1\"",
            KafkaArgs { security: Some("SASL_SSL".into()), ..none() },
            Err("SASL needs a name"),
        );
        check("brokers = \"a:1\"\n[tls]\nkey_file = \"k\"", none(), Err("together, or neither"));
    }
}
