//! What an upload into a directory leaves there, and what becomes of it when somebody tampers with that.

use std::fs;
use std::path::PathBuf;

use bytes::Bytes;
use onair_recorder::{ObjectPath, PART_BYTES, Store, StoreError};

use crate::backend::Backend;
use crate::objects::{ID, object, read};

fn files(backend: &Backend) -> Vec<PathBuf> {
    let folder = backend.path("staged/a").join(ID);
    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect()
}

async fn upload(store: &Store, file: &ObjectPath) -> Result<(), StoreError> {
    let upload = store.begin_upload(file).await.unwrap();
    let part = store.put_part(file, &upload, 0, vec![Bytes::from("media")]).await.unwrap();
    store.complete_upload(file, &upload, vec![part]).await
}

pub(crate) async fn a_staged_file_takes_the_name_of_its_object(backend: &Backend) {
    let store = backend.open("staged");
    let file = object("a", ID, "recording.mp4");
    let started = store.begin_upload(&file).await.unwrap();
    let part = store.put_part(&file, &started, 1, vec![Bytes::from("end")]).await.unwrap();
    let [staged] = &files(backend)[..] else { panic!("{:?}", files(backend)) };
    let name = staged.file_name().unwrap().to_str().unwrap();
    let digits = name.strip_prefix("recording.mp4#").unwrap();
    assert!(digits.len() == 20 && digits.bytes().all(|byte| byte.is_ascii_digit()), "{name}");
    // It is beside an object of the same name, and neither is in the other's way.
    store.put(&file, Bytes::from("former")).await.unwrap();
    upload(&store, &file).await.unwrap();
    assert_eq!(read(&store, &file, None).await.unwrap(), b"media");
    assert_eq!(files(backend).len(), 2);

    let first = store.put_part(&file, &started, 0, vec![vec![7; PART_BYTES as usize].into()]).await.unwrap();
    store.complete_upload(&file, &started, vec![first, part]).await.unwrap();
    store.confirm(&file, PART_BYTES + 3).await.unwrap();
    assert_eq!(files(backend).len(), 1);
}

pub(crate) async fn a_staged_file_that_lost_something_is_gone(backend: &Backend) {
    let store = backend.open("staged");
    let file = object("a", "20261122T063000Z-000000", "recording.mp4");
    let upload = store.begin_upload(&file).await.unwrap();
    let part = store.put_part(&file, &upload, 0, vec![Bytes::from("media")]).await.unwrap();
    let folder = backend.path("staged/a/20261122T063000Z-000000");
    let staged = fs::read_dir(&folder).unwrap().next().unwrap().unwrap().path();
    fs::write(&staged, "medi").unwrap();
    let gone = store.complete_upload(&file, &upload, vec![part]).await.unwrap_err();
    assert!(matches!(gone, StoreError::UploadGone { .. }), "{gone:?}");

    fs::remove_dir_all(&folder).unwrap();
    let gone = store.put_part(&file, &upload, 0, vec![Bytes::from("media")]).await.unwrap_err();
    assert!(matches!(gone, StoreError::UploadGone { .. }), "{gone:?}");
    store.abort_upload(&file, &upload).await.unwrap();
}
