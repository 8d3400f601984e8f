//! The word tables, each from a public standard, joined into one index by [`crate::words`].
//!
//! Every table is a list of `(standard form, words that mean it)`. Words are upper case without accents
//! and without full stops, at most sixteen letters: the form in which the tokenizer looks them up.

pub(crate) mod canada_types;
pub(crate) mod directions;
pub(crate) mod units;
pub(crate) mod usps_suffixes;
