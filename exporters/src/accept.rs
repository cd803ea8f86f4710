//! Which format a scrape asks for: the `Accept` header with its weights.
//!
//! The highest weight of `application/openmetrics-text` (1.0.0 or no version) and `text/plain` (0.0.4 or no version) wins;
//! OpenMetrics wins a tie only because it was named. Everything else, and nothing at all, is text: a scrape is never refused with 406.
//! Prometheus 3 refuses an answer without a known type, so there always is one.

/// A format of the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Prometheus text 0.0.4.
    Text,
    /// OpenMetrics 1.0.0.
    OpenMetrics,
}

/// What was agreed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Choice {
    /// The format.
    pub format: Format,
    /// The request spoke of escaping, so the answer says how it escapes.
    pub escaping: bool,
}

impl Choice {
    /// The content type of the answer.
    pub const fn content_type(self) -> &'static str {
        match (self.format, self.escaping) {
            (Format::Text, false) => "text/plain; version=0.0.4; charset=utf-8",
            (Format::Text, true) => "text/plain; version=0.0.4; charset=utf-8; escaping=underscores",
            (Format::OpenMetrics, false) => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            (Format::OpenMetrics, true) => "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=underscores",
        }
    }
}

/// Chooses the format for an `Accept` header.
pub fn negotiate(accept: Option<&str>) -> Choice {
    let mut best = Weights::default();
    let mut escaping = false;
    for part in split_outside_quotes(accept.unwrap_or_default(), ',') {
        let range = Range::parse(part);
        escaping |= range.escaping;
        best.take(&range);
    }
    let text = best.text.or(best.wildcard).unwrap_or(0.0);
    let format = match best.openmetrics {
        Some(weight) if weight > 0.0 && weight >= text => Format::OpenMetrics,
        _ => Format::Text,
    };
    Choice { format, escaping }
}

/// The highest weight that was given to each format.
#[derive(Default)]
struct Weights {
    openmetrics: Option<f64>,
    text: Option<f64>,
    wildcard: Option<f64>,
}

impl Weights {
    fn take(&mut self, range: &Range<'_>) {
        let is = |name: &str| range.media.eq_ignore_ascii_case(name);
        let place = if is("application/openmetrics-text") && range.version_is("1.0.0") {
            &mut self.openmetrics
        } else if is("text/plain") && range.version_is("0.0.4") {
            &mut self.text
        } else if is("*/*") || is("text/*") {
            &mut self.wildcard
        } else {
            return;
        };
        *place = Some(place.map_or(range.weight, |old| old.max(range.weight)));
    }
}

/// One media range of the header.
struct Range<'a> {
    media: &'a str,
    version: Option<&'a str>,
    weight: f64,
    escaping: bool,
}

impl<'a> Range<'a> {
    fn parse(text: &'a str) -> Self {
        let mut parts = split_outside_quotes(text, ';');
        let media = parts.next().unwrap_or_default().trim();
        let mut range = Self { media, version: None, weight: 1.0, escaping: false };
        for part in parts {
            let (key, value) = part.split_once('=').unwrap_or((part, ""));
            let (key, value) = (key.trim(), value.trim().trim_matches('"'));
            if key.eq_ignore_ascii_case("q") {
                // a weight that cannot be read weighs nothing, but never takes the whole header down
                range.weight = value.parse().map_or(0.0, |q: f64| if q.is_nan() { 0.0 } else { q.clamp(0.0, 1.0) });
            } else if key.eq_ignore_ascii_case("version") {
                range.version = Some(value);
            } else if key.eq_ignore_ascii_case("escaping") {
                range.escaping = true;
            }
        }
        range
    }

    fn version_is(&self, wanted: &str) -> bool {
        self.version.is_none_or(|v| v == wanted)
    }
}

/// Splits at a separator, but not inside a quoted string.
fn split_outside_quotes(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let mut quoted = false;
    text.split(move |c| {
        quoted ^= c == '"';
        c == separator && !quoted
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PROMETHEUS_2: &str = "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,\
                                text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
    const PROMETHEUS_3: &str = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,\
                                application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,\
                                text/plain;version=0.0.4;q=0.2,*/*;q=0.1";
    const PROTOBUF_FIRST: &str = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited,\
                                  application/openmetrics-text;version=1.0.0;q=0.8,text/plain;version=0.0.4;q=0.3,*/*;q=0.2";

    #[test]
    fn accept_table() {
        use Format::{OpenMetrics, Text};
        for (accept, format, escaping) in [
            (None, Text, false),
            (Some(""), Text, false),
            (Some("*/*"), Text, false),
            (Some("text/plain"), Text, false),
            (Some("text/html,application/xhtml+xml,*/*;q=0.8"), Text, false),
            (Some(PROMETHEUS_2), OpenMetrics, false),
            (Some(PROMETHEUS_3), OpenMetrics, true),
            (Some(PROTOBUF_FIRST), OpenMetrics, false),
            (Some("application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily"), Text, false),
            (Some("application/openmetrics-text"), OpenMetrics, false),
            (Some("application/openmetrics-text; version=\"1.0.0\""), OpenMetrics, false),
            (Some("Application/OpenMetrics-Text; Version=1.0.0"), OpenMetrics, false),
            (Some("application/openmetrics-text; version=0.0.1"), Text, false),
            (Some("application/openmetrics-text; version=2.0.0"), Text, false),
            (Some("application/openmetrics-text;q=0"), Text, false),
            (Some("application/openmetrics-text;q=0, */*"), Text, false),
            (Some("application/openmetrics-text;q=0.5, text/plain;q=0.5"), OpenMetrics, false),
            (Some("application/openmetrics-text;q=0.4, text/plain;q=0.5"), Text, false),
            (Some("application/openmetrics-text;q=0.4, text/plain;version=1.0.0;q=0.5"), OpenMetrics, false),
            (Some("application/openmetrics-text;q=0.5, text/plain;q=0"), OpenMetrics, false),
            (Some("application/openmetrics-text;q=0.1, */*;q=0.9"), Text, false),
            (Some("text/plain;q=0"), Text, false),
            (Some("application/*"), Text, false),
            (Some("application/openmetrics-text;q=often"), Text, false),
            (Some("text/plain;version=0.0.4;escaping=values"), Text, true),
            (Some("application/openmetrics-text;note=\"a,b;q=0\";q=0.9,text/plain;q=0.5"), OpenMetrics, false),
        ] {
            assert_eq!(negotiate(accept), Choice { format, escaping }, "{accept:?}");
        }
    }

    #[test]
    fn the_content_type_says_how_names_are_escaped_only_where_asked() {
        assert_eq!(negotiate(None).content_type(), "text/plain; version=0.0.4; charset=utf-8");
        assert_eq!(
            negotiate(Some(PROMETHEUS_3)).content_type(),
            "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=underscores"
        );
    }

    proptest! {
        #[test]
        fn any_header_gets_an_answer(accept in "[ -~]{0,200}") {
            prop_assert!(negotiate(Some(&accept)).content_type().contains("charset=utf-8"));
        }
    }
}
