//! What configuration and environment come to, by OpenTelemetry's rules: the configuration first, then the variable of metrics,
//! then the general one.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, Uri};

use crate::View;

use super::{ExportError, OtlpConfig};

const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
const METRICS_ENDPOINT: &str = "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT";
const METRICS_PATH: &str = "/v1/metrics";
const TEMPORALITY: &str = "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE";

/// How a variable is read; a function, so that tests need no process environment.
pub(super) type Environment<'a> = dyn Fn(&str) -> Option<String> + 'a;

/// How the protobuf messages travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    Grpc,
    HttpProtobuf,
}

/// Everything, decided.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) endpoint: String,
    pub(super) protocol: Protocol,
    /// Values are marked as sensitive.
    pub(super) headers: HeaderMap,
    pub(super) timeout: Duration,
    pub(super) interval: Duration,
    /// Attributes that beat the defaults, the weakest first.
    pub(super) resource: Vec<(String, String)>,
    pub(super) view: View,
    pub(super) warnings: Vec<String>,
}

/// True where somebody asked for an export, and nobody switched it off.
pub(super) fn is_wanted(config: &OtlpConfig, environment: &Environment<'_>) -> bool {
    let says = |name: &str, word: &str| environment(name).is_some_and(|v| v.trim().eq_ignore_ascii_case(word));
    let named = config.endpoint.is_some() || environment(METRICS_ENDPOINT).or_else(|| environment(ENDPOINT)).is_some();
    named && !says("OTEL_SDK_DISABLED", "true") && !says("OTEL_METRICS_EXPORTER", "none")
}

impl Settings {
    pub(super) fn resolve(config: &OtlpConfig, environment: &Environment<'_>) -> Result<Self, ExportError> {
        let protocol = protocol(config, environment)?;
        let mut warnings = Vec::new();
        if let Some(wish) = environment(TEMPORALITY).filter(|w| !w.trim().eq_ignore_ascii_case("cumulative")) {
            warnings.push(format!("{TEMPORALITY} is {wish:?}: sums are sent cumulatively all the same"));
        }
        Ok(Self {
            endpoint: endpoint(config, environment, protocol)?,
            protocol,
            headers: headers(config, environment)?,
            timeout: duration(config.timeout, "otlp.timeout", environment, &of_metrics("TIMEOUT"), 10_000)?,
            interval: duration(config.interval, "otlp.interval", environment, &["OTEL_METRIC_EXPORT_INTERVAL".into()], 60_000)?,
            resource: resource(config, environment)?,
            view: config.view,
            warnings,
        })
    }
}

/// The two variables of a setting, the stronger first.
fn of_metrics(setting: &str) -> [String; 2] {
    [format!("OTEL_EXPORTER_OTLP_METRICS_{setting}"), format!("OTEL_EXPORTER_OTLP_{setting}")]
}

/// The first of several variables that is set, with its name.
fn first(environment: &Environment<'_>, names: &[String]) -> Option<(String, String)> {
    names.iter().find_map(|name| environment(name).map(|value| (name.clone(), value)))
}

fn malformed(name: &str, problem: impl Into<String>) -> ExportError {
    ExportError::Malformed { name: name.to_owned(), problem: problem.into() }
}

fn protocol(config: &OtlpConfig, environment: &Environment<'_>) -> Result<Protocol, ExportError> {
    let configured = config.protocol.clone().map(|value| ("otlp.protocol".to_owned(), value));
    let Some((name, value)) = configured.or_else(|| first(environment, &of_metrics("PROTOCOL"))) else {
        return Ok(Protocol::HttpProtobuf);
    };
    match value.trim() {
        "grpc" => Ok(Protocol::Grpc),
        "http/protobuf" => Ok(Protocol::HttpProtobuf),
        other => Err(ExportError::Protocol { name, protocol: other.to_owned() }),
    }
}

fn endpoint(config: &OtlpConfig, environment: &Environment<'_>, protocol: Protocol) -> Result<String, ExportError> {
    let configured = config.endpoint.clone().map(|value| ("otlp.endpoint".to_owned(), value));
    let names = [METRICS_ENDPOINT.to_owned(), ENDPOINT.to_owned()];
    let (name, value) = configured.or_else(|| first(environment, &names)).ok_or(ExportError::NoEndpoint)?;
    let mut url = value.trim().trim_end_matches('/').to_owned();
    if !value.contains("://") {
        url = format!("http://{url}");
    }
    let uri: Uri = url.parse().map_err(|_| malformed(&name, "not an address: give one such as http://localhost:4318"))?;
    let authority = uri.authority().map_or("", http::uri::Authority::as_str);
    if authority.contains('@') {
        return Err(malformed(&name, "holds a user or password: put it into otlp.headers"));
    }
    match uri.scheme_str() {
        Some("http") if !uri.host().unwrap_or_default().is_empty() => {}
        Some("https") => {
            return Err(ExportError::Tls { name, endpoint: format!("https://{authority}") });
        }
        _ => {
            return Err(malformed(&name, "not an address by http: give one such as http://localhost:4318"));
        }
    }
    // the variable of metrics is taken as it is
    if protocol == Protocol::HttpProtobuf && name != METRICS_ENDPOINT && !url.ends_with(METRICS_PATH) {
        url.push_str(METRICS_PATH);
    }
    Ok(url)
}

fn headers(config: &OtlpConfig, environment: &Environment<'_>) -> Result<HeaderMap, ExportError> {
    let mut headers = HeaderMap::new();
    let mut add = |origin: &str, name: &str, value: &str| -> Result<(), ExportError> {
        let wrong = |what| malformed(origin, format!("{what} of header {name:?} is not allowed in a request"));
        let key = HeaderName::try_from(name).map_err(|_| wrong("the name"))?;
        // the value may be a token: it is not repeated
        let mut value = HeaderValue::try_from(value).map_err(|_| wrong("the value"))?;
        value.set_sensitive(true);
        headers.insert(key, value);
        Ok(())
    };
    if let Some((origin, text)) = first(environment, &of_metrics("HEADERS")) {
        for (name, value) in pairs(&origin, &text)? {
            add(&origin, &name, &value)?;
        }
    }
    for (name, value) in &config.headers {
        add("otlp.headers", name, value)?;
    }
    Ok(headers)
}

fn duration(
    configured: Option<Duration>,
    key: &str,
    environment: &Environment<'_>,
    names: &[String],
    default_ms: u64,
) -> Result<Duration, ExportError> {
    if let Some(duration) = configured {
        return if duration.is_zero() { Err(malformed(key, "is 0: give a time above it")) } else { Ok(duration) };
    }
    let Some((name, text)) = first(environment, names) else {
        return Ok(Duration::from_millis(default_ms));
    };
    match text.trim().parse() {
        Ok(milliseconds @ 1..) => Ok(Duration::from_millis(milliseconds)),
        _ => Err(malformed(&name, format!("{text:?} is no time: give milliseconds, such as {default_ms}"))),
    }
}

fn resource(config: &OtlpConfig, environment: &Environment<'_>) -> Result<Vec<(String, String)>, ExportError> {
    const ATTRIBUTES: &str = "OTEL_RESOURCE_ATTRIBUTES";
    let mut attributes = Vec::new();
    if let Some(text) = environment(ATTRIBUTES) {
        attributes = pairs(ATTRIBUTES, &text)?;
    }
    if let Some(name) = environment("OTEL_SERVICE_NAME") {
        attributes.push(("service.name".to_owned(), name));
    }
    attributes.extend(config.resource.iter().cloned());
    if let Some(name) = &config.service_name {
        attributes.push(("service.name".to_owned(), name.clone()));
    }
    Ok(attributes)
}

/// `key=value,key=value` with percent-encoded values, as in the baggage header of the W3C.
fn pairs(origin: &str, text: &str) -> Result<Vec<(String, String)>, ExportError> {
    let entries = text.split(',').map(str::trim).filter(|entry| !entry.is_empty());
    let parsed = entries.enumerate().map(|(at, entry)| {
        let wrong = || malformed(origin, format!("entry {} is not key=value with a percent-encoded value", at + 1));
        let (key, value) = entry.split_once('=').ok_or_else(wrong)?;
        let value = percent_decoded(value.trim()).ok_or_else(wrong)?;
        if key.trim().is_empty() { Err(wrong()) } else { Ok((key.trim().to_owned(), value)) }
    });
    parsed.collect()
}

fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte == b'%' {
            let digits = std::str::from_utf8(after.get(..2)?).ok()?;
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
            rest = &after[2..];
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(config: &OtlpConfig, variables: &[(&str, &str)]) -> Result<Settings, ExportError> {
        Settings::resolve(config, &|name| variables.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned()))
    }

    fn to(endpoint: &str) -> OtlpConfig {
        OtlpConfig { endpoint: Some(endpoint.into()), ..OtlpConfig::default() }
    }

    #[test]
    fn the_base_endpoint_gets_the_path_and_the_one_of_metrics_does_not() {
        let none = OtlpConfig::default();
        let base = [("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318/otel/")];
        assert_eq!(resolve(&none, &base).unwrap().endpoint, "http://collector:4318/otel/v1/metrics");
        let exact = [base[0], ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "http://collector:4318/in")];
        assert_eq!(resolve(&none, &exact).unwrap().endpoint, "http://collector:4318/in");
        assert_eq!(resolve(&to("http://a:1/v1/metrics"), &exact).unwrap().endpoint, "http://a:1/v1/metrics");
        assert_eq!(resolve(&to("localhost:4318"), &[]).unwrap().endpoint, "http://localhost:4318/v1/metrics");
        let grpc = [("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")];
        assert_eq!(resolve(&to("http://a:4317"), &grpc).unwrap().endpoint, "http://a:4317");
    }

    #[test]
    fn the_configuration_beats_the_environment_and_the_variable_of_metrics_the_general_one() {
        let variables = [
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json"),
            ("OTEL_EXPORTER_OTLP_METRICS_PROTOCOL", "grpc"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "1000"),
            ("OTEL_EXPORTER_OTLP_METRICS_TIMEOUT", "2000"),
            ("OTEL_METRIC_EXPORT_INTERVAL", "500"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20weak,x-tenant=a"),
            ("OTEL_RESOURCE_ATTRIBUTES", "service.name=by-attributes,site=north"),
            ("OTEL_SERVICE_NAME", "by-variable"),
        ];
        let weak = resolve(&to("http://a:1"), &variables).unwrap();
        assert_eq!((weak.protocol, weak.timeout.as_millis(), weak.interval.as_millis()), (Protocol::Grpc, 2000, 500));
        assert_eq!(weak.headers["authorization"], "Bearer weak");
        assert_eq!(weak.resource.last().unwrap().1, "by-variable");
        let strong = resolve(
            &OtlpConfig {
                protocol: Some("http/protobuf".into()),
                headers: vec![("Authorization".into(), "Bearer strong".into())],
                timeout: Some(Duration::from_secs(3)),
                interval: Some(Duration::from_secs(4)),
                service_name: Some("by-config".into()),
                ..to("http://a:1")
            },
            &variables,
        )
        .unwrap();
        assert_eq!((strong.protocol, strong.timeout.as_secs(), strong.interval.as_secs()), (Protocol::HttpProtobuf, 3, 4));
        assert_eq!(strong.headers["authorization"], "Bearer strong");
        assert_eq!(strong.headers["x-tenant"], "a");
        assert_eq!(strong.resource.last().unwrap().1, "by-config");
    }

    #[test]
    fn what_cannot_be_followed_is_refused_by_name_with_the_mend() {
        for (config, variables, expected) in [
            (OtlpConfig::default(), vec![], "no OTLP endpoint: set otlp.endpoint or OTEL_EXPORTER_OTLP_ENDPOINT"),
            (
                to("http://a:1"),
                vec![("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json")],
                "OTEL_EXPORTER_OTLP_PROTOCOL: protocol \"http/json\" is not spoken: use \"grpc\" or \"http/protobuf\"",
            ),
            (
                to("https://collector.example:4318/path"),
                vec![],
                "otlp.endpoint: https://collector.example:4318 needs TLS, which is not built in: send to a collector on this machine by http://",
            ),
            (
                OtlpConfig::default(),
                vec![("OTEL_EXPORTER_OTLP_ENDPOINT", "grpc://a:1")],
                "OTEL_EXPORTER_OTLP_ENDPOINT: not an address by http: give one such as http://localhost:4318",
            ),
            (to("http://me:secret@a:1"), vec![], "otlp.endpoint: holds a user or password: put it into otlp.headers"),
            (
                to("http://a:1"),
                vec![("OTEL_EXPORTER_OTLP_TIMEOUT", "10s")],
                "OTEL_EXPORTER_OTLP_TIMEOUT: \"10s\" is no time: give milliseconds, such as 10000",
            ),
            (
                to("http://a:1"),
                vec![("OTEL_EXPORTER_OTLP_HEADERS", "a=b,secret")],
                "OTEL_EXPORTER_OTLP_HEADERS: entry 2 is not key=value with a percent-encoded value",
            ),
            (
                to("http://a:1"),
                vec![("OTEL_EXPORTER_OTLP_HEADERS", "a=b%0Asecret")],
                "OTEL_EXPORTER_OTLP_HEADERS: the value of header \"a\" is not allowed in a request",
            ),
            (
                OtlpConfig { interval: Some(Duration::ZERO), ..to("http://a:1") },
                vec![],
                "otlp.interval: is 0: give a time above it",
            ),
        ] {
            assert_eq!(resolve(&config, &variables).unwrap_err().to_string(), expected);
        }
    }

    #[test]
    fn a_wish_for_deltas_is_warned_of() {
        let settings = resolve(&to("http://a:1"), &[(TEMPORALITY, "delta")]).unwrap();
        assert_eq!(settings.warnings.len(), 1, "{:?}", settings.warnings);
        assert!(resolve(&to("http://a:1"), &[(TEMPORALITY, "cumulative")]).unwrap().warnings.is_empty());
    }

    #[test]
    fn an_exporter_is_wanted_only_with_an_endpoint_and_unless_switched_off() {
        let wanted = |config: &OtlpConfig, variable: (&str, &str)| {
            is_wanted(config, &|name| (name == variable.0).then(|| variable.1.to_owned()))
        };
        let none = OtlpConfig::default();
        assert!(!wanted(&none, ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")));
        assert!(wanted(&none, ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "http://a:1")));
        assert!(wanted(&to("http://a:1"), ("OTEL_SDK_DISABLED", "false")));
        assert!(!wanted(&to("http://a:1"), ("OTEL_SDK_DISABLED", "TRUE")));
        assert!(!wanted(&to("http://a:1"), ("OTEL_METRICS_EXPORTER", "none")));
    }

    #[test]
    fn a_token_is_in_no_debug_text() {
        let config = OtlpConfig { headers: vec![("authorization".into(), "Bearer secret".into())], ..to("http://a:1") };
        let settings = resolve(&config, &[]).unwrap();
        for text in [format!("{config:?}"), format!("{settings:?}")] {
            assert!(text.contains("authorization") && !text.contains("secret"), "{text}");
        }
    }
}
