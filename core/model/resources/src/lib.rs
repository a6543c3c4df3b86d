//! The catalyst.openova.io kinds.
