//! What templates may take from this machine: the time, random numbers, keys.
//!
//! Used by releases here, and by `catalyst chart template` and `catalyst blueprint render`.

use catalyst_helm::Host;
use serde_json::Value;

use super::keys;

/// Gives charts what helm would give them on this machine.
pub struct ChartHost;

impl Host for ChartHost {
    fn now(&self) -> Result<(i64, u32), String> {
        let now = jiff::Timestamp::now();
        Ok((
            now.as_second(),
            u32::try_from(now.subsec_nanosecond()).unwrap_or(0),
        ))
    }

    fn random(&self, bytes: &mut [u8]) -> Result<(), String> {
        aws_lc_rs::rand::fill(bytes).map_err(|_| "the system gives no random numbers".to_owned())
    }

    fn private_key(&self, kind: &str) -> Result<String, String> {
        keys::private_key(kind)
    }

    fn certificate(&self, function: &str, args: &[Value]) -> Result<(String, String), String> {
        keys::certificate(function, args)
    }
}
