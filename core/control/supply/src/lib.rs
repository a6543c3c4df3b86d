//! Pack, describe, sign, verify, push and pull Blueprint artifacts.
