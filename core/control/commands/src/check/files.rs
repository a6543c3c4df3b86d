//! The files of a push: what stands there after it, and what each must be to be read.

use std::collections::BTreeMap;

use crate::push::{PushCheck, PushFile};

/// Text files after the push, on one ref.
pub(super) fn apply(
    before: &BTreeMap<String, String>,
    push: &PushCheck,
    reference: &str,
) -> BTreeMap<String, String> {
    let mut files = before.clone();
    for file in push.files.iter().filter(|file| file.reference == reference) {
        match (&file.content, file.status.as_str()) {
            (_, "removed") => {
                files.remove(&file.path);
            }
            (Some(content), _) => {
                files.insert(file.path.clone(), content.clone());
            }
            (None, _) => {}
        }
    }
    files
}

/// What is wrong with a file that must be text: links, submodules, binaries, size.
pub(super) fn form_problem(file: &PushFile) -> Option<String> {
    let is_binary = file.status != "removed" && file.encoding.as_deref() == Some("base64");
    plain_problem(file).or_else(|| {
        is_binary.then(|| format!("{}: it is not UTF-8 text; save it as such", file.path))
    })
}

/// What is wrong with a file whatever it holds: links, submodules, size.
pub(super) fn plain_problem(file: &PushFile) -> Option<String> {
    if file.status == "removed" {
        return None;
    }
    let path = &file.path;
    if !matches!(file.mode.as_str(), "100644" | "100755" | "") {
        return Some(format!(
            "{path}: links and submodules are not followed; push a plain file"
        ));
    }
    (file.truncated || file.content.is_none()).then(|| {
        format!(
            "{path}: with {} bytes it is too large to be checked; make it smaller",
            file.size
        )
    })
}
