//! The files of a Sovereign in its Git repository, from its description alone: what
//! `catalyst provision render` writes. Who asks for them learns what is wrong with the
//! description, by all rules, before a credential is given.

use catalyst_api::{RenderSovereign, RenderedFile, RenderedSovereign};
use catalyst_provisioner::render;
use catalyst_provisioner::service::without;

use super::{described, of_faults};
use crate::problem::Refusal;

/// The folder of the Sovereign that is described; refused with every fault at once.
pub fn rendered(body: RenderSovereign) -> Result<RenderedSovereign, Refusal> {
    let title = "Render a Sovereign's folder";
    let config = match described(body.config) {
        (Some(config), faults) if faults.is_empty() => config,
        (_, faults) => return Err(of_faults(title, faults)),
    };
    let files = render::render(&config).into_iter();
    Ok(RenderedSovereign {
        folder: format!("clusters/{}", config.sovereign_fqdn),
        files: files
            .map(|file| RenderedFile {
                path: file.path,
                text: file.text,
            })
            .collect(),
        without: without(),
    })
}
