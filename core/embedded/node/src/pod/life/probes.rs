//! The probes of a running container.
//!
//! Called while a container is attended. What must stay true: only a startup or
//! liveness probe ends a container; readiness changes nothing but the record.

use std::time::Duration;

use super::Life;
use crate::pod::{Container, Probe};
use crate::sandbox::Sandbox;

impl Life {
    /// Runs the probes; returns only when the container must be ended.
    pub(super) async fn watch_probes(&self, container: &Container, sandbox: &Sandbox) -> String {
        if let Some(probe) = &container.startup_probe {
            if let Err(e) = self.probe_until(container, sandbox, probe, true).await {
                return format!("startup probe failed: {e}");
            }
            let is_ready = container.readiness_probe.is_none();
            self.change_container(&container.name, |c| {
                c.is_started = true;
                c.is_ready |= is_ready;
            });
        }
        let readiness = async {
            let Some(probe) = &container.readiness_probe else {
                return std::future::pending::<()>().await;
            };
            tokio::time::sleep(Duration::from_secs(probe.initial_delay_seconds)).await;
            let (mut good, mut bad) = (0u32, 0u32);
            loop {
                let result = self.probe(container, sandbox, probe).await;
                (good, bad) = if result.is_ok() {
                    (good + 1, 0)
                } else {
                    (0, bad + 1)
                };
                if good >= probe.success_threshold.unwrap_or(1) {
                    self.change_container(&container.name, |c| c.is_ready = true);
                } else if bad >= probe.failure_threshold.unwrap_or(3) {
                    self.change_container(&container.name, |c| c.is_ready = false);
                }
                tokio::time::sleep(period(probe)).await;
            }
        };
        let liveness = async {
            let Some(probe) = &container.liveness_probe else {
                return std::future::pending::<String>().await;
            };
            match self.probe_until(container, sandbox, probe, false).await {
                Err(e) => format!("liveness probe failed: {e}"),
                Ok(()) => std::future::pending().await,
            }
        };
        tokio::select! {
            () = readiness => String::new(),
            why = liveness => why,
        }
    }

    async fn probe(
        &self,
        container: &Container,
        sandbox: &Sandbox,
        probe: &Probe,
    ) -> Result<(), String> {
        crate::probe::check(self, &container.name, probe, sandbox, |p| container.port(p)).await
    }

    /// Probes until it has failed too often, or, with `once`, succeeded.
    async fn probe_until(
        &self,
        container: &Container,
        sandbox: &Sandbox,
        probe: &Probe,
        once: bool,
    ) -> Result<(), String> {
        tokio::time::sleep(Duration::from_secs(probe.initial_delay_seconds)).await;
        let mut bad = 0u32;
        loop {
            match self.probe(container, sandbox, probe).await {
                Ok(()) if once => return Ok(()),
                Ok(()) => bad = 0,
                Err(e) => {
                    bad += 1;
                    if bad >= probe.failure_threshold.unwrap_or(3) {
                        return Err(e);
                    }
                }
            }
            tokio::time::sleep(period(probe)).await;
        }
    }
}

fn period(probe: &Probe) -> Duration {
    Duration::from_secs(probe.period_seconds.unwrap_or(10).max(1))
}
