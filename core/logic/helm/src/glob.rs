//! The patterns of .helmignore. Those of `.Files.Glob` are others: see `pattern`.

/// True where `pattern` matches the whole of `path`: `*` and `?` stay within a
/// path segment, `**` does not, `[…]` works, `\` escapes.
pub fn glob_match(pattern: &str, path: &str) -> bool {
    let pattern: Vec<char> = pattern.chars().collect();
    let path: Vec<char> = path.chars().collect();
    simple(&pattern, &path)
}

/// Matches by the set of pattern places that are possible.
fn simple(pattern: &[char], path: &[char]) -> bool {
    let mut places = vec![0_usize];
    close_over(pattern, &mut places);
    for c in path {
        let mut next = Vec::new();
        for place in places {
            match pattern.get(place) {
                Some('*') => {
                    let double = pattern.get(place + 1) == Some(&'*');
                    if double || *c != '/' {
                        next.push(place);
                    }
                }
                Some('?') if *c != '/' => next.push(place + 1),
                Some('[') => {
                    if let Some((fits, after)) = class(pattern, place, *c)
                        && fits
                    {
                        next.push(after);
                    }
                }
                Some('\\') if pattern.get(place + 1) == Some(c) => next.push(place + 2),
                Some(p) if p == c && *p != '?' => next.push(place + 1),
                _ => {}
            }
        }
        close_over(pattern, &mut next);
        next.sort_unstable();
        next.dedup();
        places = next;
    }
    places.contains(&pattern.len())
}

/// A star may match nothing.
fn close_over(pattern: &[char], places: &mut Vec<usize>) {
    let mut at = 0;
    while let Some(&place) = places.get(at) {
        if pattern.get(place) == Some(&'*') {
            let width = if pattern.get(place + 1) == Some(&'*') {
                2
            } else {
                1
            };
            if !places.contains(&(place + width)) {
                places.push(place + width);
            }
        }
        at += 1;
    }
}

fn class(pattern: &[char], open: usize, c: char) -> Option<(bool, usize)> {
    let mut at = open + 1;
    let negated = matches!(pattern.get(at), Some('!' | '^'));
    if negated {
        at += 1;
    }
    let mut found = false;
    loop {
        let first = *pattern.get(at)?;
        if first == ']' {
            return Some((found != negated, at + 1));
        }
        if pattern.get(at + 1) == Some(&'-') && pattern.get(at + 2).is_some_and(|c| *c != ']') {
            let last = *pattern.get(at + 2)?;
            found |= (first..=last).contains(&c);
            at += 3;
        } else {
            found |= first == c;
            at += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::glob_match;

    #[test]
    fn patterns_match_paths() {
        for (pattern, path, expected) in [
            ("conf/*", "conf/a.ini", true),
            ("conf/*", "conf/d/a.ini", false),
            ("conf/**", "conf/d/a.ini", true),
            ("**.yaml", "a/b.yaml", true),
            ("*.{yaml,yml}", "x.yml", false),
            ("[a-c]?.txt", "b1.txt", true),
            ("[!a-c]?.txt", "b1.txt", false),
            ("a**b", "ab", true),
            ("{a", "{a", true),
        ] {
            assert_eq!(glob_match(pattern, path), expected, "{pattern} {path}");
        }
    }
}
