//! A bad network, played: what a viewer pretends not to have got.

/// Loses packets at random, but the same ones in each run.
#[derive(Debug)]
pub(crate) struct Loss {
    /// Out of 2^32.
    share: u64,
    state: u64,
}

impl Loss {
    /// Loses so many percent.
    pub(crate) fn percent(percent: f64) -> Self {
        Self { share: (percent / 100.0 * 4_294_967_296.0) as u64, state: 0x9e37_79b9_7f4a_7c15 }
    }

    /// Decides about a datagram. RTCP is spared.
    pub(crate) fn takes(&mut self, datagram: &[u8]) -> bool {
        if self.share == 0 || matches!(datagram.get(1), Some(192..=223)) {
            return false;
        }
        // xorshift64 (Marsaglia 2003).
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        self.state >> 32 < self.share
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_much_is_lost_as_was_asked_for() {
        let mut loss = Loss::percent(5.0);
        let taken = (0..100_000).filter(|_| loss.takes(&[0x80, 108])).count();
        assert!((4800..5200).contains(&taken), "{taken}");
        assert!(!Loss::percent(100.0).takes(&[0x80, 200]), "RTCP is spared");
        assert!(Loss::percent(100.0).takes(&[0x80, 108]) && !Loss::percent(0.0).takes(&[0x80, 108]));
    }
}
