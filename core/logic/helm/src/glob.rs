//! File patterns as gobwas/glob reads them with `/` as separator.
//!
//! Called by `.Files.Glob` and by .helmignore.

/// True where `pattern` matches the whole of `path`: `*` and `?` stay within a
/// path segment, `**` does not, `[…]` and `{a,b}` work, `\` escapes.
pub fn glob_match(pattern: &str, path: &str) -> bool {
    let pattern: Vec<char> = pattern.chars().collect();
    let path: Vec<char> = path.chars().collect();
    expand(&pattern, 0)
        .iter()
        .any(|pattern| simple(pattern, &path))
}

/// Replaces `{a,b}` by its alternatives; a bounded number of them.
fn expand(pattern: &[char], depth: usize) -> Vec<Vec<char>> {
    const MOST: usize = 1024;
    let Some(open) = pattern.iter().position(|c| *c == '{') else {
        return vec![pattern.to_vec()];
    };
    let mut level = 0_usize;
    let mut parts: Vec<Vec<char>> = vec![Vec::new()];
    let mut close = None;
    for (at, c) in pattern.iter().enumerate().skip(open) {
        match c {
            '{' => level += 1,
            '}' => level -= 1,
            _ => {}
        }
        if level == 0 {
            close = Some(at);
            break;
        }
        if *c == ',' && level == 1 {
            parts.push(Vec::new());
        } else if at > open
            && let Some(last) = parts.last_mut()
        {
            last.push(*c);
        }
    }
    let (Some(close), true) = (close, depth < 6) else {
        return vec![pattern.to_vec()];
    };
    let mut all = Vec::new();
    for part in parts {
        let mut whole: Vec<char> = pattern.iter().take(open).copied().collect();
        whole.extend(part);
        whole.extend(pattern.iter().skip(close + 1));
        all.extend(expand(&whole, depth + 1));
        if all.len() > MOST {
            break;
        }
    }
    all
}

/// Matches without braces by the set of pattern places that are possible.
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
    fn patterns_match_as_helm_matches_files() {
        for (pattern, path, expected) in [
            ("conf/*", "conf/a.ini", true),
            ("conf/*", "conf/d/a.ini", false),
            ("conf/**", "conf/d/a.ini", true),
            ("**.yaml", "a/b.yaml", true),
            ("*.{yaml,yml}", "x.yml", true),
            ("*.{yaml,yml}", "x.json", false),
            ("[a-c]?.txt", "b1.txt", true),
            ("[!a-c]?.txt", "b1.txt", false),
            ("a**b", "ab", true),
            ("{a", "a", false),
        ] {
            assert_eq!(glob_match(pattern, path), expected, "{pattern} {path}");
        }
    }
}
