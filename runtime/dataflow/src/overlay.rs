//! State that is written but not yet known to be committed: read-your-writes between a message and the
//! outcome of its unit. An abort drops it; a commit hands over to the member's committed state.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

type Value = Option<Arc<[u8]>>;

/// Values by key, each with the unit that wrote it last.
#[derive(Debug, Default)]
pub(crate) struct Overlay {
    values: HashMap<Arc<[u8]>, (u64, Value)>,
    units: VecDeque<(u64, Vec<Arc<[u8]>>)>,
}

impl Overlay {
    pub(crate) fn get(&self, key: &[u8]) -> Option<Value> {
        self.values.get(key).map(|(_, value)| value.clone())
    }

    /// Notes a value written in the unit that is being built now, number `unit`.
    pub(crate) fn put(&mut self, unit: u64, key: &[u8], value: Value) {
        let key: Arc<[u8]> = key.into();
        if self.units.back().is_none_or(|(last, _)| *last != unit) {
            self.units.push_back((unit, Vec::new()));
        }
        if let Some((_, keys)) = self.units.back_mut() {
            keys.push(Arc::clone(&key));
        }
        self.values.insert(key, (unit, value));
    }

    /// Every unit up to `unit` is committed: what they wrote last is read from the store from now on.
    pub(crate) fn committed(&mut self, unit: u64) {
        while self.units.front().is_some_and(|(first, _)| *first <= unit) {
            let Some((id, keys)) = self.units.pop_front() else { return };
            for key in keys {
                if self.values.get(&key).is_some_and(|(last, _)| *last == id) {
                    self.values.remove(&key);
                }
            }
        }
    }

    pub(crate) fn clear(&mut self) {
        self.values.clear();
        self.units.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_younger_unit_keeps_its_value_when_an_older_one_commits() {
        let mut overlay = Overlay::default();
        let value = |text: &str| Some(Arc::from(text.as_bytes()));
        overlay.put(1, b"a", value("1"));
        overlay.put(1, b"b", value("1"));
        overlay.put(2, b"a", value("2"));
        overlay.committed(1);
        assert_eq!(overlay.get(b"a"), Some(value("2")));
        assert_eq!(overlay.get(b"b"), None);
        overlay.put(3, b"c", None);
        assert_eq!(overlay.get(b"c"), Some(None), "a removal is a value too");
        overlay.committed(3);
        assert_eq!((overlay.get(b"a"), overlay.get(b"c")), (None, None));
        assert!(overlay.values.is_empty() && overlay.units.is_empty());
    }
}
