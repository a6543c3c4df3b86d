//! JSON pointers (RFC 6901): where a value is in a document. `/` divides the names on the
//! way, so that in a name it is written `~1`, and `~` itself `~0`.

/// A name as a part of a JSON pointer (RFC 6901, section 3).
pub fn escape(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

/// The name that a part of a JSON pointer stands for; `~1` before `~0`, so that `~01` is
/// the name `~1` (RFC 6901, section 4).
pub fn unescape(part: &str) -> String {
    part.replace("~1", "/").replace("~0", "~")
}

/// The names on the way of a JSON pointer; of the whole document's, which is empty, none.
/// What stands before the first `/` is not looked at.
pub fn parts(pointer: &str) -> Vec<String> {
    pointer.split('/').skip(1).map(unescape).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pointer_has_the_names_on_its_way() {
        // Most of them from section 5 of the RFC.
        for (pointer, expected) in [
            ("/foo/0", vec!["foo", "0"]),
            ("", vec![]),
            ("/", vec![""]),
            ("/a~1b", vec!["a/b"]),
            ("/c%d", vec!["c%d"]),
            ("/ ", vec![" "]),
            ("/m~0n", vec!["m~n"]),
            ("/~01", vec!["~1"]),
            ("/~10/~00", vec!["/0", "~0"]),
        ] {
            assert_eq!(parts(pointer), expected, "{pointer}");
            let written: String = expected
                .iter()
                .map(|name| format!("/{}", escape(name)))
                .collect();
            assert_eq!(written, pointer);
        }
    }
}
