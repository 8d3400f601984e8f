//! The file of tokens: who may command, who is the operator.

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use gateway::{Access, Right, Token};
use serde::Deserialize;

/// Largest file that is read, in bytes.
const BYTES_MAX: u64 = 1 << 20;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    token: Vec<Entry>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: String,
    secret: String,
    may: Vec<May>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum May {
    Command,
    Operator,
}

/// Without tokens only this machine may command, so only it is listened to.
///
/// # Errors
/// When the address is another one.
pub(crate) fn check_address(listen: SocketAddr, access: &Access) -> Result<()> {
    ensure!(
        listen.ip().is_loopback() || access.has_tokens(),
        "without tokens only this machine may command, so {listen} is refused: --tokens names a file of tokens, or listen on 127.0.0.1"
    );
    Ok(())
}

/// Reads the file; without one, who asks on this machine may do everything.
///
/// # Errors
/// What is wrong with it, with what to do.
pub(crate) fn access(path: Option<&Path>) -> Result<Access> {
    let Some(path) = path else { return Ok(Access::default()) };
    let shown = path.display();
    let metadata = std::fs::metadata(path)
        .with_context(|| format!("cannot read the tokens in {shown}: check the path"))?;
    ensure!(metadata.len() <= BYTES_MAX, "{shown} is larger than {BYTES_MAX} bytes");
    ensure!(
        metadata.permissions().mode() & 0o077 == 0,
        "others can read the tokens in {shown}: `chmod 600 {shown}` first"
    );
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {shown}"))?;
    let file: File = toml::from_str(&text).with_context(|| {
        format!(
            "{shown} must hold [[token]] with name, secret and may = [\"command\", \"operator\"]"
        )
    })?;
    let right = |may: &May| match may {
        May::Command => Right::Command,
        May::Operator => Right::Operate,
    };
    let tokens = file.token.into_iter().map(|entry| Token {
        name: entry.name,
        secret: entry.secret,
        rights: entry.may.iter().map(right).collect(),
    });
    Access::of(tokens.collect()).with_context(|| shown.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, mode: u32) -> Result<Access> {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("tokens.toml");
        std::fs::write(&path, text).expect("written");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).expect("set");
        access(Some(&path))
    }

    #[test]
    fn a_file_of_tokens_is_read_or_refused() {
        let secret = "0123456789abcdef01234567";
        let one =
            format!("[[token]]\nname = \"anna\"\nsecret = \"{secret}\"\nmay = [\"command\"]\n");
        assert!(read(&one, 0o600).expect("read").has_tokens());
        for (text, mode, part) in [
            (one.as_str(), 0o644, "chmod 600"),
            ("", 0o600, "[[token]]"),
            (&one.replace("command", "everything"), 0o600, "[[token]]"),
            (&one.replace(secret, "short"), 0o600, "openssl rand"),
            (&format!("{one}more = 1\n"), 0o600, "[[token]]"),
        ] {
            let error = format!("{:#}", read(text, mode).err().expect("refused"));
            assert!(error.contains(part), "{error}");
        }
        assert!(access(Some(Path::new("/nowhere/tokens"))).is_err());
        assert!(!access(None).expect("none").has_tokens());
    }
}
