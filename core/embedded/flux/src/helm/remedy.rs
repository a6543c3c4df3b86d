//! What undoes a failed attempt: a rollback, or an uninstall where there was nothing before.
//!
//! Called by the steps of a reconciliation. What must stay true: the outcome is
//! told in the condition `Remediated`; a rollback that fails counts as one more
//! failed upgrade, so that it is not tried for ever.

use serde_json::Value;

use super::release::{self, Storage};
use super::{REMEDIATED, Run};
use crate::api::ApiError;
use crate::events;
use crate::json::{flag, integer};
use crate::status::Subject;

impl Run<'_> {
    pub(super) async fn rollback(
        &self,
        subject: &mut Subject,
        storage: &Storage,
        history: &[Value],
        number: i64,
    ) -> Result<(), ApiError> {
        let target = history.iter().find(|one| release::version(one) == number);
        let (Some(target), Some(current)) = (target, history.last()) else {
            return Ok(());
        };
        let spec = self.spec.get("rollback").cloned().unwrap_or_default();
        let never = || false;
        let action = self.action(storage, &spec, &never);
        let place = format!("{}/{}.v{number}", self.place.namespace, self.place.name);
        match action.rollback(target, current).await {
            Ok(new) => {
                self.observe(subject, &new);
                let message = format!("Helm rollback to previous release {place} succeeded");
                subject.condition(REMEDIATED, "True", "RollbackSucceeded", &message);
                events::emit(self.inner, subject, false, "RollbackSucceeded", &message).await;
            }
            Err((new, why)) => {
                self.observe(subject, &new);
                let message = format!("Helm rollback to previous release {place} failed: {why}");
                subject.condition(REMEDIATED, "False", "RollbackFailed", &message);
                events::emit(self.inner, subject, true, "RollbackFailed", &message).await;
                // A rollback that fails is not tried for ever.
                let count = integer(&subject.status, "/upgradeFailures") + 1;
                subject.set("upgradeFailures", count);
            }
        }
        Ok(())
    }

    pub(super) async fn undo_install(
        &self,
        subject: &mut Subject,
        storage: &Storage,
    ) -> Result<(), ApiError> {
        let spec = self.spec.get("uninstall").cloned().unwrap_or_default();
        let never = || false;
        let action = self.action(storage, &spec, &never);
        let place = format!("{}/{}", self.place.namespace, self.place.name);
        match action.uninstall(flag(&spec, "/keepHistory")).await {
            Ok(_) => {
                let message = format!("Helm uninstall succeeded for release {place}");
                subject.condition(REMEDIATED, "True", "UninstallSucceeded", &message);
                subject.unset("history");
                events::emit(self.inner, subject, false, "UninstallSucceeded", &message).await;
            }
            Err(why) => {
                let message = format!("Helm uninstall failed for release {place}: {why}");
                subject.condition(REMEDIATED, "False", "UninstallFailed", &message);
                events::emit(self.inner, subject, true, "UninstallFailed", &message).await;
            }
        }
        Ok(())
    }
}
