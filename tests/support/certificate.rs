//! A certificate for the loopback interface.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Not one of an authority: clients that trust it do so by name.
const REQUEST: &str = "[req]\nprompt = no\ndistinguished_name = name\nx509_extensions = extensions\n\
    [name]\nCN = onair test\n[extensions]\nsubjectAltName = IP:127.0.0.1\nbasicConstraints = critical, CA:FALSE\n";

/// Holds the files of a certificate that was made for one test.
#[derive(Debug)]
pub(crate) struct Certificate {
    /// The certificate, as PEM.
    pub(crate) cert: PathBuf,
    /// Its key, as PEM.
    pub(crate) key: PathBuf,
}

impl Certificate {
    /// Makes one in a directory.
    pub(crate) fn generate(dir: &Path) -> Self {
        let [request, cert, key] = ["request.cnf", "cert.pem", "key.pem"].map(|name| dir.join(name));
        fs::write(&request, REQUEST).expect("the directory is ours");
        let mut openssl = Command::new("openssl");
        openssl.args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
            "-days",
            "2",
        ]);
        openssl.arg("-config").arg(&request).arg("-out").arg(&cert).arg("-keyout").arg(&key);
        let output = openssl.output().expect("openssl is installed");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Self { cert, key }
    }

    /// Returns what a client of ours trusts.
    pub(crate) fn trusted(&self) -> reqwest::Certificate {
        let pem = fs::read(&self.cert).expect("it was made above");
        reqwest::Certificate::from_pem(&pem).expect("openssl writes PEM")
    }
}
