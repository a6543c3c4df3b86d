//! The push check: the same judgement for `git push` as for commands.
//!
//! Asked by the forge before refs move. Here it is found out who pushes where, and
//! whether they may. What they bring is judged by what it is: its [`story`] wherever it
//! goes, then an [`environment`]'s Applications, the Sovereign's [`configuration`] or a
//! [`source`] of Blueprints, each over its [`files`]. What must stay true: what cannot be
//! judged is refused, and no message quotes the value of a secret.

mod configuration;
mod environment;
mod files;
mod source;
mod story;

use catalyst_blueprint::is_shared_source;
use catalyst_names::EnvironmentName;
use catalyst_ports::RepositoryId;

use crate::access::Access;
use crate::push::{PushCheck, PushVerdict};
use crate::state::{BRANCH, CONFIG};
use crate::{CommandError, Commands, source_of_repository};

use configuration::configuration_faults;
use story::story_faults;

/// More lines help nobody.
const MOST_MESSAGES: usize = 30;

fn main_reference() -> String {
    format!("refs/heads/{BRANCH}")
}

fn is_zero(id: &str) -> bool {
    id.bytes().all(|byte| byte == b'0')
}

impl Commands {
    /// The verdict on a push, before refs move. Never an error: what cannot be
    /// judged is refused.
    pub async fn check_push(&self, push: PushCheck) -> PushVerdict {
        // Commands were judged before they wrote.
        if push.pusher == self.config().service_user {
            return PushVerdict {
                allowed: true,
                messages: Vec::new(),
            };
        }
        let repository = push.repository.clone();
        let mut messages = match self.judge(&push).await {
            Ok(messages) => messages,
            Err(error) => {
                let why = error.told();
                tracing::warn!(why, repository, "push could not be judged");
                vec![format!("{why}; try again in a moment")]
            }
        };
        if messages.is_empty() {
            return PushVerdict {
                allowed: true,
                messages,
            };
        }
        let more = messages.len().saturating_sub(MOST_MESSAGES);
        if more > 0 {
            messages.truncate(MOST_MESSAGES);
            messages.push(format!("and {more} more"));
        }
        messages.insert(0, format!("Catalyst refuses this change of {repository}:"));
        PushVerdict {
            allowed: false,
            messages,
        }
    }

    async fn judge(&self, push: &PushCheck) -> Result<Vec<String>, CommandError> {
        let action = format!("check the push to {}", push.repository);
        let refuse = |reason: String| Ok(vec![reason]);
        let Some((owner, name)) = push.repository.split_once('/') else {
            return refuse("the repository's name cannot be read".to_owned());
        };
        if push.files_truncated || push.commits_truncated {
            return refuse(
                "it brings more than can be checked at once; push in smaller steps".to_owned(),
            );
        }
        let mut faults = story_faults(push);
        faults.extend(self.authorship_faults(push, &action).await?);
        if !faults.is_empty() {
            return Ok(faults);
        }
        let actor = self
            .store()
            .actor(self.config(), &push.pusher, &action)
            .await?;
        let state = self.store().configuration(self.config(), &action).await?;
        let access = Access::of(&actor, state.content.organizations.values());
        if (owner, name) == CONFIG {
            if !access.is_sovereign_admin() {
                return refuse(
                    "only a sovereign-admin may change the Sovereign's configuration".to_owned(),
                );
            }
            return Ok(configuration_faults(&state.content, push));
        }
        let repository = RepositoryId::new(owner, name);
        let source = source_of_repository(&repository);
        if owner == "system" || is_shared_source(owner) {
            return if access.is_sovereign_admin() {
                self.judge_source(push, source, &action).await
            } else {
                refuse(format!("only a sovereign-admin may push to {owner}"))
            };
        }
        if !access.can_see(owner) {
            return refuse(format!("you have no role in the Organization {owner}"));
        }
        let environment = EnvironmentName::new(name).ok().filter(|environment| {
            environment
                .parts()
                .is_ok_and(|(organization, _)| organization.as_str() == owner)
        });
        let Some(environment) = environment else {
            return if access.can_admin(owner) {
                self.judge_source(push, source, &action).await
            } else {
                refuse(format!(
                    "pushing to {owner}/{name} takes an org-admin of {owner}"
                ))
            };
        };
        if !access.can_change(&environment) {
            return refuse(format!(
                "changing {environment} takes the role org-admin, or org-developer for it"
            ));
        }
        self.judge_environment(push, &environment, &state.content, &access, &action)
            .await
    }
}

#[cfg(test)]
mod tests;
