//! What a pod needs before its first container: volumes, images, namespaces, network.
//!
//! Called by the pod's task, once for each time that it starts or is adopted.
//! What must stay true: what is there already is kept, so that a pod which
//! lives through a restart of the node is not disturbed; a persistent volume is
//! one pod's at a time.

use std::net::Ipv4Addr;

use super::{BACKOFF_LIMIT, Input, Life, guard};
use crate::NodeError;
use crate::network::PodRef;
use crate::pod::{Container, files};
use crate::sandbox::Sandbox;
use crate::shim::spec::{Ids, SandboxSpec};
use crate::status::PULLING;

impl Life {
    /// Volumes, images, namespaces, network: everything before a container.
    pub(super) async fn prepare(&self) -> Result<Sandbox, NodeError> {
        self.take_volumes().await;
        let input = self.input();
        let goes_on = self.goes_on(&input);
        for container in input.document.containers() {
            // What runs goes on, whatever a registry would say of its image now.
            let held = || self.shared.store.get(&container.image);
            match goes_on.then(held).flatten() {
                Some(image) => {
                    guard(&self.images).insert(container.image.clone(), image);
                }
                None => self.pull(container).await,
            }
        }
        files::make_folder(&self.folder, 0o700, None)?;
        let ids = match self.ids() {
            Some(ids) => ids,
            None => {
                // Says which container has no usable user, and why.
                for container in &input.document.spec.containers {
                    if let Some(image) = guard(&self.images).get(&container.image).cloned() {
                        self.plan(&input, container, &image, Ids::Single { uid: 0, gid: 0 })
                            .user()?;
                    }
                }
                return Err(NodeError::Specification {
                    reason: "it has no containers".to_owned(),
                });
            }
        };
        self.write_etc(&input)?;
        let sandbox = match Sandbox::adopt(&self.folder, self.address) {
            Some(sandbox) => sandbox,
            None => {
                files::force_remove(&self.folder.join("containers"))?;
                let (state, socket) = Sandbox::files(&self.folder);
                let hostname: String = input.document.hostname().chars().take(63).collect();
                let spec = SandboxSpec {
                    ids,
                    hostname,
                    address: self.address,
                    addresses: vec![
                        // Any address of the range that no pod is given.
                        (
                            last_of(self.address, self.shared.pod_prefix),
                            self.shared.pod_prefix,
                        ),
                        (self.shared.name_server, self.shared.service_prefix),
                        (Ipv4Addr::new(198, 18, 0, 0), 15),
                    ],
                    socket,
                    state,
                };
                Sandbox::start(&self.shared.shim, &self.folder, &spec, self.address).await?
            }
        };
        let pod = PodRef {
            uid: self.uid.clone(),
            namespace: input.policy_namespace.clone(),
            name: input.document.metadata.name.clone(),
            labels: input.document.metadata.labels.clone(),
            address: self.address,
        };
        self.shared
            .switch
            .attach(
                pod,
                input.scope.clone(),
                input.document.metadata.namespace.clone(),
                sandbox.clone(),
                self.shared.name_server,
            )
            .await?;
        Ok(sandbox)
    }

    /// Waits until every persistent volume is this pod's alone.
    async fn take_volumes(&self) {
        let wanted = self.input().resolved.persistent();
        loop {
            let freed = self.shared.volume_freed.notified();
            tokio::pin!(freed);
            freed.as_mut().enable();
            let taken_by = {
                let mut volumes = guard(&self.shared.volumes);
                let other = wanted.iter().find_map(|path| {
                    let owner = volumes.get(path).filter(|o| **o != self.uid)?;
                    Some((path.clone(), owner.clone()))
                });
                if other.is_none() {
                    for path in &wanted {
                        volumes.insert(path.clone(), self.uid.clone());
                    }
                }
                other
            };
            let Some((path, owner)) = taken_by else {
                return;
            };
            let message = format!(
                "the volume at {} is still used by pod {owner}; this pod starts when that one has ended",
                path.display()
            );
            self.change(|r| r.trouble = Some(("VolumeInUse".to_owned(), message)));
            freed.await;
        }
    }

    /// Pulls a container's image, as often as it takes.
    async fn pull(&self, container: &Container) {
        let always = match container.image_pull_policy.as_deref() {
            Some(policy) => policy == "Always",
            None => container.image.ends_with(":latest") || !container.image.contains([':', '@']),
        };
        let mut delay = self.shared.backoff;
        loop {
            let never = container.image_pull_policy.as_deref() == Some("Never");
            let held = match never {
                true => self.shared.store.get(&container.image),
                false => self.shared.puller.held(&container.image, always),
            };
            let message = match &held {
                None if !never => format!("{PULLING}{}", container.image),
                _ => String::new(),
            };
            self.wait_state(&container.name, "ContainerCreating", message);
            let pulled = match held {
                Some(image) => Ok(image),
                None if never => Err(NodeError::Pull {
                    reference: container.image.clone(),
                    reason: "it is not on this node and imagePullPolicy is Never".to_owned(),
                }),
                None => self.shared.puller.pull(&container.image, always).await,
            };
            match pulled {
                Ok(image) => {
                    let id = image.id(&container.image);
                    guard(&self.images).insert(container.image.clone(), image);
                    self.change_container(&container.name, |c| c.image_id = id);
                    return;
                }
                Err(e) => {
                    let reason = if delay == self.shared.backoff {
                        "ErrImagePull"
                    } else {
                        "ImagePullBackOff"
                    };
                    self.wait_state(&container.name, reason, e.of_image());
                    tokio::time::sleep(delay).await;
                    delay = (delay * 2).min(BACKOFF_LIMIT);
                }
            }
        }
    }

    fn write_etc(&self, input: &Input) -> Result<(), NodeError> {
        let folder = self.folder.join("etc");
        files::make_folder(&folder, 0o755, None)?;
        let document = &input.document;
        let namespace = &document.metadata.namespace;
        let hostname = document.hostname();
        let mut hosts = format!("127.0.0.1 localhost\n{} ", self.address);
        if let Some(subdomain) = &document.spec.subdomain {
            hosts.push_str(&format!(
                "{hostname}.{subdomain}.{namespace}.svc.cluster.local "
            ));
        }
        hosts.push_str(&format!("{hostname}\n"));
        for alias in &document.spec.host_aliases {
            hosts.push_str(&format!("{} {}\n", alias.ip, alias.hostnames.join(" ")));
        }
        let resolver = format!(
            "nameserver {}\nsearch {namespace}.svc.cluster.local svc.cluster.local cluster.local\noptions ndots:5\n",
            self.shared.name_server
        );
        for (name, text) in [
            ("hosts", hosts),
            ("resolv.conf", resolver),
            ("hostname", format!("{hostname}\n")),
        ] {
            files::write_file(&folder.join(name), text.as_bytes(), 0o644, None)?;
        }
        Ok(())
    }
}

/// The last address of a range before its broadcast address.
fn last_of(address: Ipv4Addr, prefix: u8) -> Ipv4Addr {
    let hosts = u32::MAX.checked_shr(u32::from(prefix)).unwrap_or(0);
    Ipv4Addr::from((u32::from(address) | hosts).saturating_sub(1))
}
