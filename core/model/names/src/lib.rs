//! Validated names, location codes, DNS names and labels of a Sovereign.
