//! The slot of a key: CRC16 of its hash tag, or of the whole key where it has none.

/// How many slots a cluster has.
pub(crate) const SLOTS: u16 = 16_384;

/// The slot that a key is in.
pub(crate) fn of_key(key: &[u8]) -> u16 {
    crc16(hash_tag(key)) % SLOTS
}

/// What is between the first opening brace and the next closing one, if anything is.
fn hash_tag(key: &[u8]) -> &[u8] {
    let tag = key.iter().position(|byte| *byte == b'{').and_then(|open| {
        let rest = &key[open + 1..];
        let close = rest.iter().position(|byte| *byte == b'}')?;
        Some(&rest[..close])
    });
    tag.filter(|tag| !tag.is_empty()).unwrap_or(key)
}

/// CRC-16/XMODEM: the polynomial 0x1021, beginning with 0.
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc, byte| TABLE[usize::from((crc >> 8) ^ u16::from(*byte))] ^ (crc << 8))
}

/// What one byte does to the checksum.
const TABLE: [u16; 256] = {
    let mut table = [0; 256];
    let mut byte = 0_u16;
    while byte < 256 {
        let (mut crc, mut bit) = (byte << 8, 0);
        while bit < 8 {
            crc = if crc & 0x8000 == 0 { crc << 1 } else { (crc << 1) ^ 0x1021 };
            bit += 1;
        }
        table[byte as usize] = crc;
        byte += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use transom_core::{Identity, IdentityError, PolicyName};

    use super::*;
    use crate::keyspace::Keyspace;

    #[test]
    fn the_checksum_is_that_of_the_specification() {
        assert_eq!(crc16(b"123456789"), 0x31C3);
        assert_eq!(crc16(b""), 0);
    }

    /// As `CLUSTER KEYSLOT` of Redis 7.0 says.
    #[test]
    fn slots_are_those_that_redis_tells() {
        for (key, slot) in [
            ("foo", 12_182),
            ("foo{}{bar}", 8_363),
            ("foo{{bar}}zap", 4_015),
            ("foo{bar}{zap}", 5_061),
            ("bar", 5_061),
            ("{user1000}.following", 3_443),
            ("", 0),
        ] {
            assert_eq!(of_key(key.as_bytes()), slot, "{key}");
        }
    }

    /// The same, bit by bit and as the specification puts it into words.
    fn reference(key: &str) -> u16 {
        let hashed = match key.split_once('{') {
            Some((_, rest)) => match rest.split_once('}') {
                Some((tag, _)) if !tag.is_empty() => tag,
                _ => key,
            },
            None => key,
        };
        let mut crc = 0_u16;
        for byte in hashed.bytes() {
            for bit in (0..8).rev() {
                let carry = (crc >> 15 == 1) != (byte >> bit & 1 == 1);
                crc = (crc << 1) ^ if carry { 0x1021 } else { 0 };
            }
        }
        crc % SLOTS
    }

    proptest! {
        #[test]
        fn any_key_has_the_slot_of_the_reference(key in "[{}a-c\u{e4}]{0,12}") {
            prop_assert_eq!(of_key(key.as_bytes()), reference(&key));
        }

        #[test]
        fn all_keys_of_any_identity_share_a_slot(
            id in prop_oneof!["[{}%a\u{e4}]{1,8}", ".{1,250}", "[{}a\u{1F980}]{200,256}"],
        ) {
            let keys = keys_of(&id).unwrap();
            let slots = keys.each_ref().map(|key| of_key(key.as_bytes()));
            prop_assert_eq!(slots, keys.each_ref().map(|key| reference(key)));
            prop_assert!(slots.iter().all(|slot| *slot == slots[0]), "{:?}", keys);
        }
    }

    /// Those of a decision, and what they begin with, by which the node is found.
    fn keys_of(id: &str) -> Result<[String; 5], IdentityError> {
        let (keyspace, user) = (Keyspace::new("transom:1"), Identity::user(id)?);
        let [minute, second] = keyspace.windows(&user, &PolicyName::default());
        Ok([
            minute,
            second,
            keyspace.overrides(&user),
            keyspace.penalty(&user),
            keyspace.tag(&user),
        ])
    }

    #[test]
    fn an_identity_of_ten_kibibytes_does_not_get_as_far_as_a_key() {
        assert_eq!(keys_of(&"}".repeat(10 << 10)), Err(IdentityError::LongUser(10 << 10)));
        let longest = keys_of(&"}".repeat(1 << 10)).unwrap();
        assert!(longest.iter().all(|key| of_key(key.as_bytes()) == reference(&longest[0])));
    }
}
