//! The seam to str0m: sees the SRTP keys that a session's DTLS handshake agrees on.
//!
//! str0m keeps its keys to itself, but lets us choose who does DTLS. [`tapped`] puts a wrapper around that provider;
//! each of its instances does what the wrapped one does, and leaves the keying material in a [`KeySlot`]. str0m makes the
//! instance while it builds an `Rtc`, on the thread that builds it, so that [`capture`] can tell whose it is.

use std::cell::RefCell;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use str0m::crypto::dtls::{
    DtlsCert, DtlsImplError, DtlsInstance, DtlsOutput, DtlsProvider, DtlsVersion, ProtocolVersion, SrtpProfile,
};
use str0m::crypto::{CryptoError, CryptoProvider};

use crate::core::srtp::{DtlsRole, Profile, SrtpKeys};

thread_local! {
    /// The slot of the session that is being built on this thread.
    static CAPTURING: RefCell<Option<KeySlot>> = const { RefCell::new(None) };
}

/// Where the keys of one session appear, once its handshake is through.
#[derive(Debug, Clone, Default)]
pub struct KeySlot(Arc<Mutex<Option<SrtpKeys>>>);

impl KeySlot {
    /// Takes the keys, when they are there.
    pub fn take(&self) -> Option<SrtpKeys> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn put(&self, keys: SrtpKeys) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(keys);
    }
}

/// Wraps the DTLS provider of `provider`. Call it once a process: str0m wants providers that live for ever.
pub fn tapped(provider: CryptoProvider) -> CryptoProvider {
    let tap: &'static Tap = Box::leak(Box::new(Tap { inner: provider.dtls_provider }));
    CryptoProvider { dtls_provider: tap, ..provider }
}

/// Runs `build`, which builds one `Rtc` with a [`tapped`] provider, and returns what it returns with the slot for its
/// keys.
pub fn capture<T>(build: impl FnOnce() -> T) -> (T, KeySlot) {
    let slot = KeySlot::default();
    CAPTURING.set(Some(slot.clone()));
    let built = build();
    CAPTURING.set(None);
    (built, slot)
}

#[derive(Debug)]
struct Tap {
    inner: &'static dyn DtlsProvider,
}

impl DtlsProvider for Tap {
    fn generate_certificate(&self) -> Option<DtlsCert> {
        self.inner.generate_certificate()
    }

    fn new_dtls(
        &self,
        cert: &DtlsCert,
        now: Instant,
        dtls_version: DtlsVersion,
        mtu: Option<usize>,
    ) -> Result<Box<dyn DtlsInstance>, CryptoError> {
        let inner = self.inner.new_dtls(cert, now, dtls_version, mtu)?;
        Ok(match CAPTURING.take() {
            Some(slot) => Box::new(TappedInstance { inner, slot }),
            None => inner,
        })
    }
}

#[derive(Debug)]
struct TappedInstance {
    inner: Box<dyn DtlsInstance>,
    slot: KeySlot,
}

impl DtlsInstance for TappedInstance {
    fn set_active(&mut self, active: bool) {
        self.inner.set_active(active);
    }

    fn handle_packet(&mut self, packet: &[u8]) -> Result<(), DtlsImplError> {
        self.inner.handle_packet(packet)
    }

    fn poll_output<'a>(&mut self, buf: &'a mut [u8]) -> DtlsOutput<'a> {
        let output = self.inner.poll_output(buf);
        if let DtlsOutput::KeyingMaterial(material, profile) = &output {
            let role = if self.inner.is_active() { DtlsRole::Client } else { DtlsRole::Server };
            let keys = known(*profile).and_then(|profile| SrtpKeys::from_dtls(profile, material, role).ok());
            if let Some(keys) = keys {
                self.slot.put(keys);
            }
        }
        output
    }

    fn handle_timeout(&mut self, now: Instant) -> Result<(), DtlsImplError> {
        self.inner.handle_timeout(now)
    }

    fn send_application_data(&mut self, data: &[u8]) -> Result<usize, DtlsImplError> {
        self.inner.send_application_data(data)
    }

    fn is_active(&self) -> bool {
        self.inner.is_active()
    }

    fn protocol_version(&self) -> Option<ProtocolVersion> {
        self.inner.protocol_version()
    }

    fn is_closing(&self) -> bool {
        self.inner.is_closing()
    }

    fn is_closed(&self) -> bool {
        self.inner.is_closed()
    }

    fn close(&mut self) -> Result<(), DtlsImplError> {
        self.inner.close()
    }
}

/// Translates a profile; `None` for one that a later str0m may bring.
const fn known(profile: SrtpProfile) -> Option<Profile> {
    match profile {
        SrtpProfile::AES128_CM_SHA1_80 => Some(Profile::Aes128CmSha1_80),
        SrtpProfile::AEAD_AES_128_GCM => Some(Profile::AeadAes128Gcm),
        SrtpProfile::AEAD_AES_256_GCM => Some(Profile::AeadAes256Gcm),
        _ => None,
    }
}
