//! Dates and times: the forms that callers give, and the forms that servers read.

use std::fmt;

/// A day or a moment that a caller gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Moment {
    /// Microseconds since 1970 in UTC.
    micros: i64,
    pub(crate) precision: Precision,
}

/// How exactly a caller named it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Precision {
    /// A day; it begins at midnight in UTC.
    Day,
    /// A time without an offset from UTC; taken as UTC.
    Local,
    /// A time with an offset from UTC.
    Exact,
}

const SECOND: i64 = 1_000_000;
const DAY: i64 = 86_400 * SECOND;

impl Moment {
    /// Reads RFC 3339, also with a space in place of `T`, with ` UTC`, with a `[zone]` behind the
    /// offset, without an offset, or a day alone. Parts of a microsecond are rounded up.
    pub(crate) fn parse(text: &str) -> Option<Moment> {
        let text = text.trim();
        let (text, zone) = match text.strip_suffix(']') {
            Some(inner) => inner.split_once('[').map(|(text, zone)| (text, Some(zone)))?,
            None => (text, None),
        };
        let parts = text.split_once(['T', 't', ' ']);
        let (date, time) = parts.map_or((text, None), |(date, time)| (date, Some(time)));
        let day = day(date)? * DAY;
        let Some(time) = time else {
            // With a zone it would be midnight there.
            return zone.is_none().then_some(Moment { micros: day, precision: Precision::Day });
        };
        let is_clock = |c: char| c.is_ascii_digit() || matches!(c, ':' | '.');
        let offset = time.trim_start_matches(is_clock);
        let clock = time.strip_suffix(offset)?;
        let micros = day + clock_micros(clock)?;
        let (precision, seconds) = offset_seconds(offset.trim())?;
        let moment = Moment { micros: micros - seconds * SECOND, precision };
        // An offset can move it out of the years that have four digits.
        let (year, ..) = civil(moment.micros.div_euclid(DAY));
        (0..=9999).contains(&year).then_some(moment)
    }

    pub(crate) fn from_micros(micros: i64) -> Moment {
        Moment { micros, precision: Precision::Exact }
    }

    pub(crate) fn micros(self) -> i64 {
        self.micros
    }

    /// `YYYY-MM-DD` for a day, else `YYYY-MM-DD hh:mm:ss` in UTC: what every server reads in a
    /// filter.
    pub(crate) fn for_filter(self) -> String {
        let text = self.to_string();
        match self.precision {
            Precision::Day => text.get(..10).unwrap_or_default().to_owned(),
            _ => text.get(..19).unwrap_or_default().replace('T', " "),
        }
    }
}

impl fmt::Display for Moment {
    /// `YYYY-MM-DDThh:mm:ss.ffffffZ`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = civil(self.micros.div_euclid(DAY));
        let of_day = self.micros.rem_euclid(DAY);
        let (seconds, micros) = (of_day / SECOND, of_day % SECOND);
        let (h, m, s) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
        write!(f, "{year:04}-{month:02}-{day:02}T{h:02}:{m:02}:{s:02}.{micros:06}Z")
    }
}

/// Days since 1970 of a day in the Gregorian calendar, if there is such a day.
fn days_since_1970(year: i64, month: i64, day: i64) -> Option<i64> {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let last = match month {
        4 | 6 | 9 | 11 => 30,
        2 => 28 + i64::from(leap),
        1..=12 => 31,
        _ => return None,
    };
    if !(0..=9999).contains(&year) || !(1..=last).contains(&day) {
        return None;
    }
    // Years begin in March here, so that the leap day is their last; 400 years have 146,097 days.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * month + 2) / 5 + day - 1;
    Some(era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468)
}

/// The year, month and day of a number of days since 1970.
fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let (month, next) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    (era * 400 + year + next, month, day)
}

/// A number of `least` to `most` digits.
fn digits(text: &str, least: usize, most: usize) -> Option<i64> {
    let right = (least..=most).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    text.parse().ok().filter(|_| right)
}

/// The three parts that this sign separates.
fn three(text: &str, sign: char) -> Option<[&str; 3]> {
    text.split(sign).collect::<Vec<_>>().try_into().ok()
}

/// Days since 1970 of `YYYY-MM-DD`.
fn day(text: &str) -> Option<i64> {
    let [year, month, day] = three(text, '-')?;
    days_since_1970(digits(year, 4, 4)?, digits(month, 2, 2)?, digits(day, 2, 2)?)
}

/// Microseconds of `hh:mm:ss`, with or without a fraction. A leap second is the one after it.
fn clock_micros(text: &str) -> Option<i64> {
    let (clock, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let [h, m, s] = three(clock, ':')?;
    let (h, m, s) = (digits(h, 1, 2)?, digits(m, 2, 2)?, digits(s, 2, 2)?);
    let is_number = !fraction.is_empty() && fraction.bytes().all(|b| b.is_ascii_digit());
    if h > 23 || m > 59 || s > 60 || !is_number {
        return None;
    }
    let (kept, rest) = fraction.split_at(fraction.len().min(6));
    let up = i64::from(rest.bytes().any(|b| b != b'0'));
    let micros = kept.bytes().chain([b'0'; 6]).take(6).fold(0, |n, b| n * 10 + i64::from(b - b'0'));
    Some((h * 3_600 + m * 60 + s) * SECOND + micros + up)
}

/// The seconds of an offset: `Z`, `UTC`, `+02:00`, `+0200`, `+02` or `+02:00:00`.
fn offset_seconds(text: &str) -> Option<(Precision, i64)> {
    if text.is_empty() {
        return Some((Precision::Local, 0));
    }
    if text.eq_ignore_ascii_case("z") || text.eq_ignore_ascii_case("utc") {
        return Some((Precision::Exact, 0));
    }
    let sign = if text.starts_with('-') { -1 } else { 1 };
    let digits = text.strip_prefix(['+', '-'])?;
    let form = digits.replace(|c: char| c.is_ascii_digit(), "0");
    if !["00", "0000", "000000", "00:00", "00:00:00"].contains(&form.as_str()) {
        return None;
    }
    let number: i64 = format!("{:0<6}", digits.replace(':', "")).parse().ok()?;
    let (h, m, s) = (number / 10_000, number / 100 % 100, number % 100);
    (h < 24 && m < 60 && s < 60).then_some((Precision::Exact, sign * (h * 3_600 + m * 60 + s)))
}

#[cfg(test)]
mod tests;
