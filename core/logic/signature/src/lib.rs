//! Bytes in, verdict out: signing payloads, verification, trust policy.
