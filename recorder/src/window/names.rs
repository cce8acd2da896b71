//! The names of what a rendition holds: `init-1.mp4`, `000001.m4s`, `000001.0.m4s`.

/// Names an object of a rendition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MediaName {
    /// An initialisation segment by its index.
    Init(u32),
    /// A segment by its media sequence number.
    Segment(u64),
    /// A part by the number of its segment and its index within.
    Part(u64, u32),
}

impl MediaName {
    /// Parses a name. There is one way of writing each: `1.m4s` is no name.
    pub fn parse(name: &str) -> Option<Self> {
        let parsed = match name.strip_prefix("init-") {
            Some(rest) => Self::Init(rest.strip_suffix(".mp4")?.parse().ok()?),
            None => {
                let stem = name.strip_suffix(".m4s")?;
                match stem.split_once('.') {
                    None => Self::Segment(stem.parse().ok()?),
                    Some((msn, part)) => Self::Part(msn.parse().ok()?, part.parse().ok()?),
                }
            }
        };
        (parsed.to_string() == name).then_some(parsed)
    }
}

impl std::fmt::Display for MediaName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Init(index) => write!(f, "init-{index}.mp4"),
            Self::Segment(msn) => write!(f, "{msn:06}.m4s"),
            Self::Part(msn, part) => write!(f, "{msn:06}.{part}.m4s"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_written() {
        for name in [MediaName::Init(1), MediaName::Segment(1), MediaName::Segment(12_345_678), MediaName::Part(12, 0)]
        {
            assert_eq!(MediaName::parse(&name.to_string()), Some(name));
        }
        assert_eq!(MediaName::parse("000012.3.m4s"), Some(MediaName::Part(12, 3)));
    }

    #[test]
    fn nothing_else_is_a_name() {
        for odd in ["", "1.m4s", "+00001.m4s", "000001", "000001.m4s.m4s", "000001.00.m4s", "000001.1.2.m4s", ".m4s"] {
            assert_eq!(MediaName::parse(odd), None, "{odd}");
        }
        for odd in
            ["init-01.mp4", "init-+1.mp4", "init-.mp4", "init-1.m4s", "../000010.m4s", "000001.-1.m4s", "000001..m4s"]
        {
            assert_eq!(MediaName::parse(odd), None, "{odd}");
        }
    }
}
