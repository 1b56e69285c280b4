//! Tests in network namespaces, with real interfaces.
