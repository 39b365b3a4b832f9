//! Buckets of S3, GCS, Azure, and of memory for tests.

use std::{
    error::Error as _,
    io,
    sync::{Arc, mpsc},
};

use futures_util::{StreamExt, TryStreamExt, stream};
use object_store::{
    Error, GetOptions, GetRange, ObjectStore, PutMode, PutPayload, UpdateVersion, aws::AmazonS3Builder,
    azure::MicrosoftAzureBuilder, gcp::GoogleCloudStorageBuilder, memory::InMemory, path::Path,
};
use tokio::runtime::{Builder, Runtime};

use super::{Listed, Objects, Tag};

/// A folder of a bucket.
#[derive(Debug)]
pub struct CloudBucket {
    store: Arc<dyn ObjectStore>,
    folder: Path,
    /// Whether the versions that the bucket names are those that it keeps.
    versions: bool,
    runtime: Runtime,
}

impl CloudBucket {
    /// The folder that a URL names: `s3://BUCKET/FOLDER`, `gs://BUCKET/FOLDER` or `az://CONTAINER/FOLDER`. `settings` are names and values as
    /// the environment has them (`AWS_REGION`, `AWS_ENDPOINT`, ..); what is none of a bucket's is passed over.
    ///
    /// # Errors
    /// The URL is none of these, or a setting that the bucket needs is missing.
    pub fn open(url: &str, settings: impl IntoIterator<Item = (String, String)>) -> io::Result<CloudBucket> {
        let unknown = || {
            io::Error::new(io::ErrorKind::InvalidInput, format!("{url} names no bucket: s3://BUCKET/FOLDER, gs://.. or az://.."))
        };
        let (scheme, rest) = url.split_once("://").ok_or_else(unknown)?;
        let (bucket, folder) = rest.split_once('/').unwrap_or((rest, ""));
        if bucket.is_empty() {
            return Err(unknown());
        }
        let settings = settings.into_iter().map(|(name, value)| (name.to_ascii_lowercase(), value));
        let store: Arc<dyn ObjectStore> = match scheme {
            "s3" => {
                let builder = settings.fold(AmazonS3Builder::new(), |builder, (name, value)| match name.parse() {
                    Ok(key) => builder.with_config(key, value),
                    Err(_) => builder,
                });
                Arc::new(builder.with_bucket_name(bucket).build().map_err(refused)?)
            }
            "gs" => {
                let builder = settings.fold(GoogleCloudStorageBuilder::new(), |builder, (name, value)| match name.parse() {
                    Ok(key) => builder.with_config(key, value),
                    Err(_) => builder,
                });
                Arc::new(builder.with_bucket_name(bucket).build().map_err(refused)?)
            }
            "az" => {
                let builder = settings.fold(MicrosoftAzureBuilder::new(), |builder, (name, value)| match name.parse() {
                    Ok(key) => builder.with_config(key, value),
                    Err(_) => builder,
                });
                Arc::new(builder.with_container_name(bucket).build().map_err(refused)?)
            }
            _ => return Err(unknown()),
        };
        let folder = Path::parse(folder).map_err(|e| io::Error::new(io::ErrorKind::InvalidInput, e))?;
        CloudBucket::new(store, folder, scheme == "s3")
    }

    /// A bucket in memory, for tests; clones of the `Arc` that it is put into share it.
    ///
    /// # Errors
    /// No thread can be started.
    pub fn in_memory() -> io::Result<CloudBucket> {
        CloudBucket::new(Arc::new(InMemory::new()), Path::default(), false)
    }

    fn new(store: Arc<dyn ObjectStore>, folder: Path, versions: bool) -> io::Result<CloudBucket> {
        let runtime = Builder::new_multi_thread().worker_threads(1).thread_name("sisa-bucket").enable_all().build()?;
        Ok(CloudBucket { store, folder, versions, runtime })
    }

    fn path(&self, name: &str) -> Path {
        self.folder.parts().chain(Path::from(name).parts()).collect()
    }

    /// Waits for a request on this thread, which may be one of a runtime of its own.
    fn wait<T: Send + 'static>(&self, request: impl Future<Output = T> + Send + 'static) -> io::Result<T> {
        let (answer, asked) = mpsc::sync_channel(1);
        self.runtime.spawn(async move {
            // Nobody waits any more when this fails.
            let _ = answer.send(request.await);
        });
        asked.recv().map_err(|_| io::Error::other("the request to the bucket was dropped"))
    }

    fn write(&self, name: &str, bytes: &[u8], mode: PutMode) -> io::Result<Option<Tag>> {
        let (store, path, bytes) = (self.store.clone(), self.path(name), PutPayload::from(bytes.to_vec()));
        match self.wait(async move { store.put_opts(&path, bytes, mode.into()).await })? {
            Ok(put) => Ok(Some(Tag { e_tag: put.e_tag, version: put.version })),
            Err(Error::AlreadyExists { .. } | Error::Precondition { .. } | Error::NotFound { .. }) => Ok(None),
            Err(e) => Err(refused(e)),
        }
    }
}

impl Objects for CloudBucket {
    fn get(&self, name: &str, first: Option<usize>) -> io::Result<Option<Vec<u8>>> {
        let (store, path) = (self.store.clone(), self.path(name));
        let options = GetOptions { range: first.map(|n| GetRange::Bounded(0..n as u64)), ..GetOptions::default() };
        let got = self.wait(async move { store.get_opts(&path, options).await?.bytes().await })?;
        match got {
            Ok(bytes) => Ok(Some(bytes.to_vec())),
            Err(Error::NotFound { .. }) => Ok(None),
            Err(e) => Err(refused(e)),
        }
    }

    fn create(&self, name: &str, bytes: &[u8]) -> io::Result<Option<Tag>> {
        self.write(name, bytes, PutMode::Create)
    }

    fn replace(&self, name: &str, tag: &Tag, bytes: &[u8]) -> io::Result<bool> {
        let version = UpdateVersion { e_tag: tag.e_tag.clone(), version: tag.version.clone() };
        Ok(self.write(name, bytes, PutMode::Update(version))?.is_some())
    }

    fn put(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.write(name, bytes, PutMode::Overwrite).map(|_| ())
    }

    fn list(&self, prefix: &str, after: Option<&str>) -> io::Result<Vec<Listed>> {
        let (store, prefix, after) = (self.store.clone(), self.path(prefix), after.map(|after| self.path(after)));
        let found = self.wait(async move {
            let found = match after {
                Some(after) => store.list_with_offset(Some(&prefix), &after),
                None => store.list(Some(&prefix)),
            };
            found.try_collect::<Vec<_>>().await
        })?;
        let before = self.folder.as_ref().len();
        let mut listed: Vec<Listed> = (found.map_err(refused)?.into_iter())
            .map(|object| Listed {
                name: object.location.as_ref().get(before..).unwrap_or_default().trim_start_matches('/').to_owned(),
                len: object.size,
            })
            .collect();
        listed.sort();
        Ok(listed)
    }

    fn delete(&self, names: &[String]) -> io::Result<()> {
        let store = self.store.clone();
        let paths: Vec<_> = names.iter().map(|name| Ok(self.path(name))).collect();
        let removed = self.wait(async move {
            let mut removed = store.delete_stream(stream::iter(paths).boxed());
            while let Some(one) = removed.next().await {
                match one {
                    Ok(_) | Err(Error::NotFound { .. }) => {}
                    Err(e) => return Err(e),
                }
            }
            Ok(())
        })?;
        removed.map_err(refused)
    }

    fn keeps_versions(&self, written: &Tag) -> bool {
        self.versions && written.version.as_ref().is_some_and(|version| version != "null")
    }
}

/// What the bucket said, with everything below it.
fn refused(e: Error) -> io::Error {
    let kind = match &e {
        Error::PermissionDenied { .. } | Error::Unauthenticated { .. } => io::ErrorKind::PermissionDenied,
        _ => io::ErrorKind::Other,
    };
    let mut text = e.to_string();
    let mut below = e.source();
    while let Some(cause) = below {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        below = cause.source();
    }
    io::Error::new(kind, text)
}
