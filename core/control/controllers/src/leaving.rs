//! What is being deleted, as the watches see it, so that whoever still makes it
//! stops at once: nothing that is waited for may hold up its end.

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio::sync::watch;

/// Names of what is being deleted; clones share them.
#[derive(Clone)]
pub struct Leaving {
    names: Arc<watch::Sender<BTreeSet<String>>>,
}

impl Default for Leaving {
    fn default() -> Self {
        Self {
            names: Arc::new(watch::Sender::new(BTreeSet::new())),
        }
    }
}

impl Leaving {
    /// Notes what a watch saw of an object: that it is being deleted, or that it is
    /// not, because it is gone or another one.
    pub fn saw(&self, name: &str, is_leaving: bool) {
        self.names.send_if_modified(|names| {
            if is_leaving {
                names.insert(name.to_owned())
            } else {
                names.remove(name)
            }
        });
    }

    /// Waits until an object is being deleted.
    pub async fn of(&self, name: &str) {
        let mut names = self.names.subscribe();
        // The sender lives as long as this.
        let _ = names.wait_for(|names| names.contains(name)).await;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn whoever_waits_hears_of_the_deletion_of_that_object_only() {
        let leaving = Leaving::default();
        leaving.saw("acme-prod", true);
        leaving.saw("acme-dev", true);
        leaving.saw("acme-dev", false);
        let (other, dev) = (leaving.clone(), "acme-dev");
        let waiting = tokio::spawn(async move { other.of(dev).await });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        leaving.saw("acme-dev", true);
        let heard = tokio::time::timeout(Duration::from_secs(10), waiting).await;
        heard.unwrap().unwrap();
    }
}
