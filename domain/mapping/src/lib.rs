//! Mapping packs: what each column of a feed becomes.
