//! The node's tests, with real containers, as root and as an ordinary user.

#[cfg(test)]
mod layers;
#[cfg(test)]
mod pods;
#[cfg(test)]
mod support;
