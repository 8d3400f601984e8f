//! The flow table: topics and services as data. The program's own table lives in `apps/conveyance`.

/// How long records stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retention {
    /// Records older than this many days go, once every reader has passed them.
    Days(u32),
    /// At least the last record of each key stays for ever; older ones go after this many days.
    LastOfEachKey {
        /// Age after which superseded records may go.
        days: u32,
    },
    /// Only the last record of each key stays; tombstones stay this many days.
    Compacted {
        /// Age after which a tombstone may go.
        tombstone_days: u32,
    },
}

/// One topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicSpec {
    /// Name, `noun.state`.
    pub name: String,
    /// What its key is, in words: `ListingKey`.
    pub key: String,
    /// Number of partitions; fixed when the topic is made, since changing it would break order.
    pub partitions: u16,
    /// What stays how long.
    pub retention: Retention,
}

impl TopicSpec {
    /// Whether only the last record of each key stays.
    #[must_use]
    pub fn compacted(&self) -> bool {
        matches!(self.retention, Retention::Compacted { .. })
    }
}

/// How a service reads a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Partitions are shared out over the instances; the key is the service's own.
    Keyed,
    /// As `Keyed`, but keyed by something other than the service's other inputs.
    Rekey,
    /// Every instance reads the whole topic (it is small).
    Broadcast,
}

/// The four kinds of service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Brings records in from the outside.
    Source,
    /// Synchronous and pure.
    Transform,
    /// Asynchronous, touches the world.
    Effect,
    /// Keeps a read model outside the log.
    View,
}

/// Where a service keeps what it must remember for each key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// Nothing.
    None,
    /// A table of its own.
    Own,
    /// Its own compacted output topic, so that the same fact is not stored twice.
    BackedBy(String),
}

/// One service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceSpec {
    /// Name, a verb of the stage.
    pub name: String,
    /// Kind.
    pub kind: Kind,
    /// Topics it reads, and how.
    pub reads: Vec<(String, Form)>,
    /// Topics it writes (its dead letters are implied).
    pub writes: Vec<String>,
    /// What it remembers.
    pub state: State,
    /// What it does, in one line.
    pub does: String,
}

impl ServiceSpec {
    /// The topic that takes this service's dead letters.
    #[must_use]
    pub fn dead_letters(&self) -> String {
        format!("{}.dead-letters", self.name)
    }

    /// The topic through which dead letters and replays come back to this service only.
    #[must_use]
    pub fn redrive(&self) -> String {
        format!("{}.redrive", self.name)
    }
}

/// The whole wiring.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flow {
    /// All topics, dead-letter and redrive topics included.
    pub topics: Vec<TopicSpec>,
    /// All services, in the order of the flow.
    pub services: Vec<ServiceSpec>,
}

/// What is wrong with a flow table.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum FlowError {
    /// A service names a topic that the table does not have.
    #[error(
        "service `{service}` names topic `{topic}`, which the flow table does not have: add it"
    )]
    UnknownTopic {
        /// The service.
        service: String,
        /// The topic.
        topic: String,
    },
    /// Two inputs of one service have different partition counts.
    #[error(
        "service `{service}` reads topics with different partition counts: a key would live in two partitions"
    )]
    Partitions {
        /// The service.
        service: String,
    },
    /// A backing topic is not compacted or not written by the service.
    #[error(
        "state of `{service}` is backed by `{topic}`, which must be a compacted topic that it writes"
    )]
    Backing {
        /// The service.
        service: String,
        /// The topic.
        topic: String,
    },
}

impl Flow {
    /// A flow of these topics and services, with the dead-letter and redrive topics that services imply.
    ///
    /// # Errors
    /// [`FlowError`] when the table contradicts itself.
    pub fn new(
        mut topics: Vec<TopicSpec>,
        mut services: Vec<ServiceSpec>,
    ) -> Result<Self, FlowError> {
        for service in &mut services {
            let partitions = service
                .reads
                .first()
                .or(None)
                .and_then(|(name, _)| topics.iter().find(|t| t.name == *name))
                .map_or(1, |t| t.partitions);
            if matches!(service.kind, Kind::Transform | Kind::Effect) {
                service.reads.push((service.redrive(), Form::Keyed));
            }
            for (name, days) in [(service.dead_letters(), 3650), (service.redrive(), 30)] {
                if service.kind != Kind::View
                    && !(service.kind == Kind::Source && name == service.redrive())
                {
                    topics.push(TopicSpec {
                        name,
                        key: "as in the origin".to_owned(),
                        partitions,
                        retention: Retention::Days(days),
                    });
                }
            }
        }
        let flow = Self { topics, services };
        flow.services.iter().try_for_each(|service| flow.check(service))?;
        Ok(flow)
    }

    fn check(&self, service: &ServiceSpec) -> Result<(), FlowError> {
        let unknown = |topic: &str| FlowError::UnknownTopic {
            service: service.name.clone(),
            topic: topic.to_owned(),
        };
        for topic in service.reads.iter().map(|(t, _)| t).chain(&service.writes) {
            self.topic(topic).ok_or_else(|| unknown(topic))?;
        }
        let mut counts = service
            .reads
            .iter()
            .filter(|(_, form)| *form == Form::Keyed)
            .filter_map(|(t, _)| self.topic(t))
            .map(|t| t.partitions);
        let first = counts.next();
        if service.kind != Kind::View && counts.any(|n| Some(n) != first) {
            return Err(FlowError::Partitions { service: service.name.clone() });
        }
        if let State::BackedBy(topic) = &service.state
            && !(service.writes.contains(topic)
                && self.topic(topic).is_some_and(TopicSpec::compacted))
        {
            return Err(FlowError::Backing { service: service.name.clone(), topic: topic.clone() });
        }
        Ok(())
    }

    /// The topic of that name.
    #[must_use]
    pub fn topic(&self, name: &str) -> Option<&TopicSpec> {
        self.topics.iter().find(|t| t.name == name)
    }

    /// The service of that name.
    #[must_use]
    pub fn service(&self, name: &str) -> Option<&ServiceSpec> {
        self.services.iter().find(|s| s.name == name)
    }
}

/// The partition of a key: murmur2 as Kafka's default partitioner has it, so that Java programs agree.
#[must_use]
pub fn partition_of(key: &[u8], partitions: u16) -> u16 {
    let positive = murmur2(key) & 0x7fff_ffff;
    u16::try_from(positive % u32::from(partitions.max(1))).unwrap_or(0)
}

fn murmur2(data: &[u8]) -> u32 {
    const M: u32 = 0x5bd1_e995;
    let mut h: u32 = 0x9747_b28c ^ u32::try_from(data.len()).unwrap_or(u32::MAX);
    let (words, tail) = data.as_chunks::<4>();
    for word in words {
        let mut k = u32::from_le_bytes(*word).wrapping_mul(M);
        k ^= k >> 24;
        h = h.wrapping_mul(M) ^ k.wrapping_mul(M);
    }
    if !tail.is_empty() {
        for (i, byte) in tail.iter().enumerate() {
            h ^= u32::from(*byte) << (8 * i);
        }
        h = h.wrapping_mul(M);
    }
    h ^= h >> 13;
    h = h.wrapping_mul(M);
    h ^ (h >> 15)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn murmur2_agrees_with_kafka() {
        // From Kafka's own UtilsTest.
        for (text, hash) in [
            ("21", -973_932_308),
            ("foobar", -790_332_482),
            ("a-little-bit-long-string", -985_981_536),
        ] {
            assert_eq!(murmur2(text.as_bytes()).cast_signed(), hash, "{text}");
        }
    }

    #[test]
    fn a_contradictory_table_is_refused() {
        let topic = |name: &str, partitions, retention| TopicSpec {
            name: name.into(),
            key: "k".into(),
            partitions,
            retention,
        };
        let service = |reads: &[&str], writes: &[&str], state| ServiceSpec {
            name: "s".into(),
            kind: Kind::Transform,
            reads: reads.iter().map(|r| ((*r).to_owned(), Form::Keyed)).collect(),
            writes: writes.iter().map(|w| (*w).to_owned()).collect(),
            state,
            does: String::new(),
        };
        let topics = vec![
            topic("a", 4, Retention::Days(7)),
            topic("b", 2, Retention::Days(7)),
            topic("c", 4, Retention::Compacted { tombstone_days: 7 }),
        ];
        let check = |service| Flow::new(topics.clone(), vec![service]).map(|_| ());
        assert_eq!(check(service(&["a"], &["c"], State::BackedBy("c".into()))), Ok(()));
        assert!(matches!(
            check(service(&["a"], &["x"], State::None)),
            Err(FlowError::UnknownTopic { .. })
        ));
        assert!(matches!(
            check(service(&["a", "b"], &[], State::None)),
            Err(FlowError::Partitions { .. })
        ));
        assert!(matches!(
            check(service(&["a"], &["a"], State::BackedBy("a".into()))),
            Err(FlowError::Backing { .. })
        ));
    }
}
