//! One suite for every store: memory, a directory, and servers that speak S3, Azure and GCS.

mod attributes;
mod backend;
mod clouds;
mod objects;
mod proxy;
mod server;
mod staged;
mod uploads;

use std::sync::Arc;

use object_store::ObjectStore;
use object_store::memory::InMemory;
use onair_recorder::{PART_BYTES, Store, StoreError};

use backend::Backend;

fn wait_for(test: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(test);
}

fn suite(backend: &Backend) {
    wait_for(async {
        objects::what_is_put_is_there(backend).await;
        objects::a_stream_is_visible_when_it_is_complete(backend).await;
        objects::recordings_are_listed_newest_first_and_paged(backend).await;
        objects::a_deleted_recording_leaves_nothing(backend).await;
        attributes::media_may_be_kept_and_what_names_it_not(backend).await;
        attributes::an_upload_in_parts_has_them_too(backend).await;
        uploads::parts_come_in_any_order(backend).await;
        uploads::what_no_store_should_get_is_refused(backend).await;
        uploads::an_upload_that_is_gone_says_so(backend).await;
        uploads::another_process_goes_on(backend).await;
        uploads::nothing_shows_before_it_completes(backend).await;
    });
}

#[test]
fn memory() {
    suite(&Backend::memory());
}

#[test]
fn directory() {
    let backend = Backend::directory();
    suite(&backend);
    wait_for(async {
        staged::a_staged_file_takes_the_name_of_its_object(&backend).await;
        staged::a_staged_file_that_lost_something_is_gone(&backend).await;
    });
}

#[test]
fn s3() {
    let backend = Backend::s3(&[]);
    suite(&backend);
    wait_for(async {
        clouds::media_has_its_storage_class(&backend).await;
        clouds::objects_are_encrypted_as_asked(&backend).await;
        clouds::a_missing_bucket_is_no_reason_to_begin_again(&backend).await;
        clouds::a_recording_is_deleted_at_once(&backend).await;
        clouds::what_arrives_is_checked(&backend).await;
        clouds::a_store_that_asks_for_a_pause_gets_it(&backend).await;
    });
}

#[test]
fn s3_with_checksums() {
    suite(&Backend::s3(&[("checksum_algorithm", "sha256")]));
}

#[test]
fn azure() {
    let backend = Backend::azure();
    suite(&backend);
    wait_for(async {
        clouds::media_has_its_access_tier(&backend).await;
        clouds::a_key_that_is_refused_is_an_error(&backend).await;
    });
}

#[test]
fn gcs() {
    let backend = Backend::gcs();
    suite(&backend);
    wait_for(clouds::media_is_sent_with_its_storage_class(&backend));
}

/// Stores that a program or a test brings along.
#[test]
fn a_store_that_is_open_already() {
    let object = objects::object("a", objects::ID, "recording.mp4");
    wait_for(async {
        let memory = Arc::new(InMemory::new());
        let store = Store::with_parts(Arc::clone(&memory));
        attributes::upload(&store).await;
        store.confirm(&object, PART_BYTES + 1).await.unwrap();
        let without: Arc<dyn ObjectStore> = memory;
        let refused = Store::from(without).begin_upload(&object).await.unwrap_err();
        assert!(matches!(refused, StoreError::Backend { .. }), "{refused:?}");
    });
}
