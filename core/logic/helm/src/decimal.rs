//! Decimal arithmetic as shopspring/decimal does it, for sprig's `addf` and
//! its relatives.
//!
//! A number is an integer of any length and a power of ten. What must stay
//! true: no operation makes more digits than `MAX_DIGITS`.

use std::cmp::Ordering;

/// Digits of one number; floats of every size have fewer than half of it.
const MAX_DIGITS: usize = 4_000;
/// Places that a quotient has, as in Go.
const DIVISION_PLACES: i32 = 16;

/// Little-endian decimal digits, nine to a limb, without leading zeros.
type Limbs = Vec<u32>;
const LIMB: u64 = 1_000_000_000;

#[derive(Clone, Default, Debug)]
pub struct Decimal {
    negative: bool,
    digits: Limbs,
    exponent: i32,
}

impl Decimal {
    /// The shortest decimal that reads back as `number`.
    pub fn from_float(number: f64) -> Result<Self, String> {
        if !number.is_finite() {
            let shown = catalyst_yaml::format_float(number);
            return Err(format!("Cannot create a Decimal from {shown}"));
        }
        let text = format!("{:e}", number.abs());
        let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let exponent: i32 = exponent.parse().unwrap_or(0);
        let places = i32::try_from(fraction.len()).unwrap_or(0);
        if number == 0.0 {
            return Ok(Self::default());
        }
        Ok(Self {
            negative: number < 0.0,
            digits: limbs(&format!("{whole}{fraction}")),
            exponent: exponent - places,
        })
    }

    /// What an operation on the two costs at most, in bytes of text gone through.
    pub fn cost(&self, other: &Self) -> usize {
        let apart = usize::try_from(self.exponent.abs_diff(other.exponent)).unwrap_or(0);
        let digits = (self.digits.len() + other.digits.len()) * 9 + apart;
        digits * 200
    }

    /// The nearest float.
    pub fn to_float(&self) -> f64 {
        if self.digits.is_empty() {
            return 0.0;
        }
        let text = format!("{}e{}", text(&self.digits), self.exponent);
        let number: f64 = text.parse().unwrap_or(0.0);
        if self.negative { -number } else { number }
    }

    fn scaled(&self, exponent: i32) -> Result<Limbs, String> {
        let shift = usize::try_from(self.exponent - exponent).unwrap_or(0);
        shifted(&self.digits, shift)
    }

    pub fn plus(&self, other: &Self) -> Result<Self, String> {
        let exponent = self.exponent.min(other.exponent);
        let (a, b) = (self.scaled(exponent)?, other.scaled(exponent)?);
        let (negative, digits) = if self.negative == other.negative {
            (self.negative, sum(&a, &b))
        } else if order(&a, &b).is_ge() {
            (self.negative, difference(&a, &b))
        } else {
            (other.negative, difference(&b, &a))
        };
        Ok(Self {
            negative: negative && !digits.is_empty(),
            digits,
            exponent,
        })
    }

    pub fn minus(&self, other: &Self) -> Result<Self, String> {
        let mut other = other.clone();
        other.negative = !other.negative && !other.digits.is_empty();
        self.plus(&other)
    }

    pub fn times(&self, other: &Self) -> Result<Self, String> {
        let digits = product(&self.digits, &other.digits);
        if digits.len() * 9 > MAX_DIGITS {
            return Err("the product has too many digits".to_owned());
        }
        Ok(Self {
            negative: self.negative != other.negative && !digits.is_empty(),
            digits,
            exponent: self.exponent + other.exponent,
        })
    }

    /// To `DIVISION_PLACES`, halves away from zero.
    pub fn by(&self, other: &Self) -> Result<Self, String> {
        if other.digits.is_empty() {
            return Err("decimal division by 0".to_owned());
        }
        let shift = self.exponent - other.exponent + DIVISION_PLACES;
        let up = usize::try_from(shift).unwrap_or(0);
        let down = usize::try_from(-shift).unwrap_or(0);
        let (a, b) = (shifted(&self.digits, up)?, shifted(&other.digits, down)?);
        let (mut quotient, remainder) = divided(&a, &b);
        if order(&sum(&remainder, &remainder), &b).is_ge() {
            quotient = sum(&quotient, &[1]);
        }
        Ok(Self {
            negative: self.negative != other.negative && !quotient.is_empty(),
            digits: quotient,
            exponent: -DIVISION_PLACES,
        })
    }
}

fn limbs(digits: &str) -> Limbs {
    let mut all: Limbs = digits
        .as_bytes()
        .rchunks(9)
        .map(|chunk| {
            chunk
                .iter()
                .fold(0, |number, byte| number * 10 + u32::from(byte - b'0'))
        })
        .collect();
    trim(&mut all);
    all
}

fn text(limbs: &[u32]) -> String {
    let mut parts = limbs.iter().rev();
    let mut out = parts.next().map_or_else(String::new, ToString::to_string);
    for part in parts {
        out.push_str(&format!("{part:09}"));
    }
    out
}

fn trim(limbs: &mut Limbs) {
    while limbs.last() == Some(&0) {
        limbs.pop();
    }
}

fn shifted(limbs_of: &[u32], places: usize) -> Result<Limbs, String> {
    if limbs_of.is_empty() {
        return Ok(Limbs::new());
    }
    if places + limbs_of.len() * 9 > MAX_DIGITS {
        return Err("the number has too many digits".to_owned());
    }
    let mut digits = text(limbs_of);
    digits.extend(std::iter::repeat_n('0', places));
    Ok(limbs(&digits))
}

fn order(a: &[u32], b: &[u32]) -> Ordering {
    a.len()
        .cmp(&b.len())
        .then_with(|| a.iter().rev().cmp(b.iter().rev()))
}

fn sum(a: &[u32], b: &[u32]) -> Limbs {
    let mut out = Limbs::new();
    let mut carry = 0_u64;
    for at in 0..a.len().max(b.len()) {
        let limb = |of: &[u32]| u64::from(of.get(at).copied().unwrap_or(0));
        let total = limb(a) + limb(b) + carry;
        out.push(u32::try_from(total % LIMB).unwrap_or(0));
        carry = total / LIMB;
    }
    out.push(u32::try_from(carry).unwrap_or(0));
    trim(&mut out);
    out
}

/// `a - b`, where `a` is not less.
fn difference(a: &[u32], b: &[u32]) -> Limbs {
    let mut out = Limbs::new();
    let mut borrow = 0_u64;
    for (at, limb) in a.iter().enumerate() {
        let less = u64::from(b.get(at).copied().unwrap_or(0)) + borrow;
        let limb = u64::from(*limb);
        borrow = u64::from(limb < less);
        out.push(u32::try_from(limb + borrow * LIMB - less).unwrap_or(0));
    }
    trim(&mut out);
    out
}

fn product(a: &[u32], b: &[u32]) -> Limbs {
    let mut out = vec![0_u64; a.len() + b.len() + 1];
    for (i, x) in a.iter().enumerate() {
        let mut carry = 0;
        for (j, y) in b.iter().enumerate() {
            if let Some(slot) = out.get_mut(i + j) {
                let total = *slot + u64::from(*x) * u64::from(*y) + carry;
                *slot = total % LIMB;
                carry = total / LIMB;
            }
        }
        if let Some(slot) = out.get_mut(i + b.len()) {
            *slot += carry;
        }
    }
    let mut out: Limbs = out
        .into_iter()
        .map(|limb| u32::try_from(limb).unwrap_or(0))
        .collect();
    trim(&mut out);
    out
}

/// Long division, digit by digit: numbers here are short.
fn divided(a: &[u32], b: &[u32]) -> (Limbs, Limbs) {
    let mut quotient = String::new();
    let mut remainder = Limbs::new();
    for digit in text(a).bytes() {
        let ten = product(&remainder, &[10]);
        remainder = sum(&ten, &[u32::from(digit - b'0')]);
        let mut count = 0_u8;
        while order(&remainder, b).is_ge() {
            remainder = difference(&remainder, b);
            count += 1;
        }
        quotient.push(char::from(b'0' + count));
    }
    (limbs(&quotient), remainder)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::Decimal;

    #[test]
    fn decimals_add_multiply_and_divide_exactly() {
        let d = |number: f64| Decimal::from_float(number).unwrap();
        assert_eq!(d(0.1).plus(&d(0.2)).unwrap().to_float(), 0.3);
        assert_eq!(d(1e21).minus(&d(1.0)).unwrap().to_float(), 1e21);
        assert_eq!(d(1.1).times(&d(1.1)).unwrap().to_float(), 1.21);
        assert_eq!(
            d(1.0).by(&d(3.0)).unwrap().to_float(),
            0.333_333_333_333_333_3
        );
        assert_eq!(
            d(-2.0).by(&d(3.0)).unwrap().to_float(),
            -0.666_666_666_666_666_7
        );
        assert!(d(1.0).by(&d(0.0)).is_err());
    }
}
