//! The local addresses of viewers: each has its own, so that a server sees as many hosts.

use std::net::Ipv4Addr;
use std::str::FromStr;

/// The most addresses of a range that are used: as many as the table of viewers has entries.
const ADDRESSES_MAX: u32 = 1 << 16;

/// A range of IPv4 addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Range {
    first: u32,
    count: u32,
}

impl Range {
    /// The range that every Linux machine answers on without any set-up, apart from the usual 127.0.0.1.
    pub(crate) const LOOPBACK: Self = Self { first: 0x7f01_0000, count: ADDRESSES_MAX };

    /// Returns how many addresses it has.
    pub(crate) fn count(self) -> u32 {
        self.count
    }

    /// Returns an address by its place.
    pub(crate) fn nth(self, index: u32) -> Ipv4Addr {
        Ipv4Addr::from(self.first + index % self.count)
    }

    /// Returns the place of an address.
    pub(crate) fn index_of(self, address: Ipv4Addr) -> Option<usize> {
        u32::from(address).checked_sub(self.first).filter(|index| *index < self.count).map(|index| index as usize)
    }
}

impl FromStr for Range {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (address, bits) = text.split_once('/').unwrap_or((text, "32"));
        let address: Ipv4Addr = address.parse().map_err(|_| format!("{address} is no IPv4 address"))?;
        let bits = bits.parse::<u32>().ok().filter(|bits| (8..=32).contains(bits));
        let bits = bits.ok_or("a prefix has 8 to 32 bits")?;
        let count = (1_u64 << (32 - bits)).min(u64::from(ADDRESSES_MAX)) as u32;
        let mask = u32::MAX << (32 - bits);
        Ok(Self { first: u32::from(address) & mask, count })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_counts_its_addresses() {
        let range: Range = "10.9.3.7/24".parse().unwrap();
        assert_eq!((range.count(), range.nth(0)), (256, Ipv4Addr::new(10, 9, 3, 0)));
        assert_eq!(range.index_of(Ipv4Addr::new(10, 9, 3, 7)), Some(7));
        assert_eq!(range.index_of(Ipv4Addr::new(10, 9, 4, 0)), None);
        let one: Range = "10.9.3.7".parse().unwrap();
        assert_eq!((one.count(), one.nth(5)), (1, Ipv4Addr::new(10, 9, 3, 7)));
        assert_eq!("127.1.0.0/16".parse(), Ok(Range::LOOPBACK));
        assert_eq!("127.0.0.0/8".parse::<Range>().unwrap().count(), ADDRESSES_MAX);
    }

    #[test]
    fn what_is_no_range_is_an_error() {
        for text in ["", "x", "10.0.0.0/7", "10.0.0.0/33", "::1/128"] {
            assert!(text.parse::<Range>().is_err(), "{text}");
        }
    }
}
