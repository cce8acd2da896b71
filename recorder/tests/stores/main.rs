//! One suite for every store: memory, a directory, and servers that speak S3, Azure and GCS.

mod backend;
mod uploads;

use backend::Backend;

fn run(backend: &Backend) {
    let cases = async {
        uploads::parts_come_in_any_order(backend).await;
        uploads::what_no_store_should_get_is_refused(backend).await;
        uploads::an_upload_that_is_gone_says_so(backend).await;
        uploads::another_process_goes_on(backend).await;
        uploads::nothing_shows_before_it_completes(backend).await;
    };
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(cases);
}

#[test]
fn memory() {
    run(&Backend::memory());
}

#[test]
fn directory() {
    run(&Backend::directory());
}
