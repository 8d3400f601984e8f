//! A synthetic MLS: a seeded market whose listings live and change.
