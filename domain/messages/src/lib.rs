//! Message types, topic names and the RESO fields that all services share.
