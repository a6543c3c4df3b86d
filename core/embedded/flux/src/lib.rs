//! The stand-in for Flux.
