//! US and Canadian postal addresses, standardised to RESO address fields.
