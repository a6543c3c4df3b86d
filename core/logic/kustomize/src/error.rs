//! Why a build failed, and where.

/// A build that could not be made. Every variant names the kustomization file
/// (or folder) and, where one is at fault, the field in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The folder holds none, or more than one, of the accepted file names.
    #[error("cannot find the kustomization in {folder:?}: {message}")]
    FindKustomization { folder: String, message: String },
    /// The file is not a kustomization.
    #[error("cannot read {file}: {message}")]
    ReadKustomization { file: String, message: String },
    /// A file or folder that the kustomization names is missing, lies outside
    /// what it may read, or is not what the field needs.
    #[error("cannot load what field {field:?} of {file} names: {message}")]
    Load {
        file: String,
        field: String,
        message: String,
    },
    /// A base is at a remote address that nobody provided.
    #[error(
        "cannot load {address:?}, named by field {field:?} of {file}: remote bases are not fetched; \
         copy the base into the repository and name its folder"
    )]
    LoadRemote {
        file: String,
        field: String,
        address: String,
    },
    /// A ConfigMap or Secret could not be made.
    #[error("cannot generate what field {field:?} of {file} asks for: {message}")]
    Generate {
        file: String,
        field: String,
        message: String,
    },
    /// A field could not be applied to the objects.
    #[error("cannot apply field {field:?} of {file}: {message}")]
    Transform {
        file: String,
        field: String,
        message: String,
    },
    /// The field is part of kustomize but not of this builder.
    #[error("cannot apply field {field:?} of {file}: {message}")]
    Unsupported {
        file: String,
        field: String,
        message: String,
    },
}

impl Error {
    /// Never: the same files give the same error.
    #[must_use]
    pub fn retryable(&self) -> bool {
        false
    }
}

/// A reason without its place; the kustomization that met it adds that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault(pub String);

impl Fault {
    pub fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }
}
