//! Who may do what: tokens, or this machine where there are none; and whose pages may ask.

use std::sync::Arc;

use axum::extract::Request;
use axum::http::{HeaderMap, header};

use crate::operator::is_local;
use crate::query::Refusal;

/// Shortest secret that is taken, in bytes: about 100 random bits in hexadecimal.
pub const SECRET_MIN: usize = 24;
/// Longest secret.
pub(crate) const SECRET_MAX: usize = 256;
/// Most tokens.
pub(crate) const TOKENS_MAX: usize = 1_000;

/// What a token allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Right {
    /// Sending commands about listings.
    Command,
    /// Seeing where listings come from, and sending back what failed.
    Operate,
}

/// One token.
#[derive(Clone)]
pub struct Token {
    /// Whose it is; stands in the log beside what was commanded with it.
    pub name: String,
    /// What the client sends.
    pub secret: String,
    /// What it allows.
    pub rights: Vec<Right>,
}

/// Who may do what. Without tokens whoever asks on this machine may do everything, and nobody else anything.
#[derive(Clone, Default)]
pub struct Access(Arc<[Token]>);

/// What is wrong with a list of tokens.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum AccessError {
    /// There is nothing in it.
    #[error("there are no tokens: add a [[token]], or leave the setting out")]
    Empty,
    /// There are too many.
    #[error("there are more than {TOKENS_MAX} tokens")]
    TooMany,
    /// A name that cannot stand in the log.
    #[error("the name of token {0} must have 1 to 64 letters, digits, spaces, -, _, . and @")]
    Name(usize),
    /// A secret that can be guessed, or not be sent.
    #[error(
        "the secret of token `{0}` must have {SECRET_MIN} to {SECRET_MAX} printable characters: `openssl rand -hex 24` makes a good one"
    )]
    Secret(String),
    /// Two alike.
    #[error("the tokens `{0}` and `{1}` have the same secret")]
    Twice(String, String),
}

impl Access {
    /// Access by tokens.
    ///
    /// # Errors
    /// [`AccessError`] says what to correct.
    pub fn of(tokens: Vec<Token>) -> Result<Self, AccessError> {
        if tokens.is_empty() {
            return Err(AccessError::Empty);
        }
        if tokens.len() > TOKENS_MAX {
            return Err(AccessError::TooMany);
        }
        for (number, token) in tokens.iter().enumerate() {
            let plain = |c: char| c.is_alphanumeric() || " -_.@".contains(c);
            if !(1..=64).contains(&token.name.len()) || !token.name.chars().all(plain) {
                return Err(AccessError::Name(number + 1));
            }
            let sendable = token.secret.bytes().all(|b| b.is_ascii_graphic());
            if !(SECRET_MIN..=SECRET_MAX).contains(&token.secret.len()) || !sendable {
                return Err(AccessError::Secret(token.name.clone()));
            }
            if let Some(other) = tokens.iter().take(number).find(|o| o.secret == token.secret) {
                return Err(AccessError::Twice(other.name.clone(), token.name.clone()));
            }
        }
        Ok(Self(tokens.into()))
    }

    /// Whether tokens are asked for.
    #[must_use]
    pub fn has_tokens(&self) -> bool {
        !self.0.is_empty()
    }

    /// The name of who asks, if they may.
    pub(crate) fn check(&self, request: &Request, right: Right) -> Result<String, Refusal> {
        if self.0.is_empty() {
            return if is_local(request) {
                Ok("local".to_owned())
            } else {
                Err(Refusal::local(right))
            };
        }
        let Some(secret) = bearer(request.headers()) else { return Err(Refusal::token_required()) };
        // Each is compared, and each to its end, so that the time says nothing of how much was right.
        let mut found = None;
        for token in self.0.iter() {
            if same(token.secret.as_bytes(), secret.as_bytes()) {
                found = Some(token);
            }
        }
        match found {
            None => {
                Err(Refusal::new(401, "token_unknown", "this token is not known: ask the operator"))
            }
            Some(token) if token.rights.contains(&right) => Ok(token.name.clone()),
            Some(_) => Err(Refusal::new(
                403,
                "token_not_allowed",
                "this token does not allow that: ask the operator for one that does",
            )),
        }
    }
}

impl Refusal {
    fn token_required() -> Self {
        let message = "a token is needed: send it as `Authorization: Bearer TOKEN`";
        Self::new(401, "token_required", message)
    }

    fn local(right: Right) -> Self {
        match right {
            Right::Command => Self::new(
                403,
                "local_only",
                "commands are taken on the machine itself only, at http://localhost: the operator can configure tokens",
            ),
            Right::Operate => Self::new(
                403,
                "operator_only",
                "only the operator may see this: ask on the machine itself, at http://localhost",
            ),
        }
    }
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut all = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(value), None) = (all.next(), all.next()) else { return None };
    let (scheme, secret) = value.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| secret.trim())
}

/// Compares without stopping at the first difference.
fn same(a: &[u8], b: &[u8]) -> bool {
    let different = a.iter().zip(b).fold(0, |all, (a, b)| all | (a ^ b));
    std::hint::black_box(different) == 0 && a.len() == b.len()
}

/// Refuses what a page of another site sends in its visitor's name.
pub(crate) fn same_site(headers: &HeaderMap) -> Result<(), Refusal> {
    let foreign = || {
        Refusal::new(
            403,
            "cross_site",
            "commands are taken from this site's own pages and programs only",
        )
    };
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    if text("sec-fetch-site").is_some_and(|site| !matches!(site, "same-origin" | "none")) {
        return Err(foreign());
    }
    let Some(origin) = text("origin") else { return Ok(()) };
    let host = text("host").unwrap_or_default();
    let named = origin.split_once("://").map_or("", |(_, host)| host);
    if !named.is_empty() && named.eq_ignore_ascii_case(host) { Ok(()) } else { Err(foreign()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Body;

    const SECRET: &str = "0123456789abcdef01234567";

    fn token(name: &str, secret: &str, rights: &[Right]) -> Token {
        Token { name: name.to_owned(), secret: secret.to_owned(), rights: rights.to_vec() }
    }

    #[test]
    fn weak_or_doubled_tokens_are_refused() {
        let other = "x".repeat(SECRET_MIN);
        for (tokens, expect) in [
            (vec![], Some(AccessError::Empty)),
            (vec![token("anna", SECRET, &[])], None),
            (vec![token("", SECRET, &[])], Some(AccessError::Name(1))),
            (vec![token("a\"b", SECRET, &[])], Some(AccessError::Name(1))),
            (vec![token("anna", "short", &[])], Some(AccessError::Secret("anna".to_owned()))),
            (
                vec![token("anna", &format!("{SECRET} "), &[])],
                Some(AccessError::Secret("anna".to_owned())),
            ),
            (
                vec![token("a", &other, &[]), token("b", &other, &[])],
                Some(AccessError::Twice("a".to_owned(), "b".to_owned())),
            ),
        ] {
            assert_eq!(Access::of(tokens).err(), expect);
        }
    }

    #[test]
    fn a_token_allows_what_it_says_and_no_more() {
        let tokens = vec![
            token("anna", SECRET, &[Right::Command]),
            token("olga", &SECRET.replace('0', "9"), &[Right::Operate]),
        ];
        let access = Access::of(tokens).unwrap();
        let ask = |header: Option<&str>, right| {
            let mut request = Request::builder();
            if let Some(header) = header {
                request = request.header("authorization", header);
            }
            let request = request.body(Body::empty()).unwrap();
            access.check(&request, right).map_err(|refusal| (refusal.status, refusal.code))
        };
        let bearer = format!("Bearer {SECRET}");
        assert_eq!(ask(Some(&bearer), Right::Command), Ok("anna".to_owned()));
        assert_eq!(ask(Some(&bearer.to_lowercase()), Right::Command), Ok("anna".to_owned()));
        assert_eq!(ask(Some(&bearer), Right::Operate), Err((403, "token_not_allowed")));
        assert_eq!(ask(None, Right::Command), Err((401, "token_required")));
        assert_eq!(ask(Some(SECRET), Right::Command), Err((401, "token_required")));
        let cut = bearer.strip_suffix('7').unwrap();
        for wrong in [cut, &format!("{bearer}0"), "Bearer "] {
            assert_eq!(ask(Some(wrong), Right::Command), Err((401, "token_unknown")), "{wrong}");
        }
    }

    #[test]
    fn pages_of_other_sites_are_refused() {
        for (headers, expect) in [
            (vec![("host", "h:1")], true),
            (
                vec![("host", "h:1"), ("sec-fetch-site", "same-origin"), ("origin", "http://h:1")],
                true,
            ),
            (vec![("host", "h:1"), ("sec-fetch-site", "none")], true),
            (vec![("host", "h:1"), ("sec-fetch-site", "cross-site")], false),
            (vec![("host", "h:1"), ("sec-fetch-site", "same-site")], false),
            (vec![("host", "h:1"), ("origin", "http://evil.test")], false),
            (vec![("host", "h:1"), ("origin", "null")], false),
            (vec![("host", "h:1"), ("origin", "http://h:2")], false),
            (vec![("origin", "http://")], false),
        ] {
            let mut map = HeaderMap::new();
            for (name, value) in &headers {
                map.insert(*name, value.parse().unwrap());
            }
            assert_eq!(same_site(&map).is_ok(), expect, "{headers:?}");
        }
    }
}
