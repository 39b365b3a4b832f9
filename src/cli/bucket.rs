//! Where a workspace is: in a folder of this machine, or in a bucket.

use std::{path::Path, sync::Arc};

use sisa::engine::Disk;

/// Whether a workspace is named as one in a bucket.
pub(super) fn is_bucket(workspace: &Path) -> bool {
    let text = workspace.to_string_lossy();
    ["s3://", "gs://", "az://"].iter().any(|scheme| text.starts_with(scheme))
}

/// The bucket of a workspace that is named as one; its keys and its `sisa.toml` are in the folder `local`.
#[cfg(feature = "object-store")]
pub(super) fn disk(workspace: &Path, local: &Path) -> anyhow::Result<Arc<dyn Disk>> {
    let settings = std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    let bucket = sisa::engine::CloudBucket::open(&workspace.to_string_lossy(), settings)?;
    Ok(Arc::new(sisa::engine::BucketDisk::new(Arc::new(bucket), workspace, local)))
}

#[cfg(not(feature = "object-store"))]
pub(super) fn disk(workspace: &Path, _local: &Path) -> anyhow::Result<Arc<dyn Disk>> {
    anyhow::bail!(
        "{} is in a bucket, and this program was built without them: cargo install --path . --features object-store",
        workspace.display()
    )
}
