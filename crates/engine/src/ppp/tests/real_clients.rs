//! Links against what real clients send.
