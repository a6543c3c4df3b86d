//! Shapes of the parts, until they land.
#![allow(
    dead_code,
    unused_variables,
    clippy::unused_async,
    clippy::large_enum_variant
)]
use catalyst_api::*;
use serde_json::Value;

#[derive(Clone)]
pub struct Projector;
impl Projector {
    pub fn organizations(&self) -> Vec<OrganizationView> {
        vec![]
    }
    pub fn organization(&self, n: &str) -> Option<OrganizationView> {
        None
    }
    pub fn environments(&self) -> Vec<EnvironmentView> {
        vec![]
    }
    pub fn environment(&self, n: &str) -> Option<EnvironmentView> {
        None
    }
    pub fn applications(&self, e: &str) -> Vec<ApplicationSummary> {
        vec![]
    }
    pub fn application(&self, e: &str, n: &str) -> Option<ApplicationView> {
        None
    }
    pub fn blueprints(&self) -> Vec<BlueprintCard> {
        vec![]
    }
    pub fn blueprint(&self, s: &str, n: &str, v: Option<&str>) -> Option<BlueprintDetail> {
        None
    }
    pub fn blueprint_icon(&self, s: &str, n: &str, v: &str) -> Option<String> {
        None
    }
    pub fn policies(&self) -> Vec<PolicyView> {
        vec![]
    }
    pub fn deletions(&self) -> Vec<DeletionView> {
        vec![]
    }
}

pub enum Update {
    Change(Changed),
    Reset { id: u64 },
}
pub struct Changed {
    pub id: u64,
    pub item: StreamItem,
    pub organization: Option<String>,
}
impl Projector {
    pub fn subscribe(&self, after: Option<u64>) -> futures::stream::BoxStream<'static, Update> {
        Box::pin(futures::stream::pending())
    }
    pub async fn git_event(&self, event: &Value) -> Result<(), catalyst_ports::PortError> {
        Ok(())
    }
}
