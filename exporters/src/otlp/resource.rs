//! The resource: which service of which host speaks.

use opentelemetry::KeyValue;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::resource::TelemetryResourceDetector;

use super::settings::Settings;

const HOST_NAME: &str = "/proc/sys/kernel/hostname";
const MACHINE_ID: &str = "/etc/machine-id";

/// What this machine calls itself; `None` where it does not say.
#[derive(Clone, Debug, Default)]
pub(super) struct Host {
    pub(super) name: Option<String>,
    pub(super) id: Option<String>,
}

impl Host {
    pub(super) fn read() -> Self {
        let line = |path| std::fs::read_to_string(path).ok().map(|text| text.trim().to_owned());
        Self {
            name: line(HOST_NAME).filter(|name| !name.is_empty() && name != "(none)"),
            // `uninitialized` while an image is prepared
            id: line(MACHINE_ID).filter(|id| id.len() == 32 && id.bytes().all(|c| c.is_ascii_hexdigit())),
        }
    }
}

/// The attributes of the semantic conventions; what configuration or environment say of one beats it.
///
/// `service.instance.id` is the name of the host: there is one daemon on a host, and it stays the same over restarts, so that the
/// `instance` of translated series does too.
pub(super) fn build(settings: &Settings, version: &str, host: &Host) -> Resource {
    let mut attributes = vec![
        KeyValue::new("service.name", "treehouse"),
        KeyValue::new("service.version", version.to_owned()),
        KeyValue::new("os.type", std::env::consts::OS),
    ];
    if let Some(name) = &host.name {
        attributes.push(KeyValue::new("host.name", name.clone()));
    }
    if let Some(id) = &host.id {
        attributes.push(KeyValue::new("host.id", id.clone()));
    }
    if let Some(instance) = host.name.as_ref().or(host.id.as_ref()) {
        attributes.push(KeyValue::new("service.instance.id", instance.clone()));
    }
    let chosen = settings.resource.iter().map(|(key, value)| KeyValue::new(key.clone(), value.clone()));
    Resource::builder_empty()
        .with_detector(Box::new(TelemetryResourceDetector))
        .with_attributes(attributes)
        .with_attributes(chosen)
        .build()
}

#[cfg(test)]
mod tests {
    use opentelemetry::Key;

    use super::*;
    use crate::otlp::OtlpConfig;

    fn resource(config: &OtlpConfig) -> Resource {
        let settings = Settings::resolve(config, &|name| {
            (name == "OTEL_RESOURCE_ATTRIBUTES").then(|| "site=north%20hall,host.id=theirs".to_owned())
        });
        let host = Host { name: Some("node-7".into()), id: Some("0123".into()) };
        build(&settings.unwrap(), "1.2.3", &host)
    }

    #[test]
    fn the_resource_says_who_speaks_and_can_be_overruled() {
        let config = OtlpConfig {
            endpoint: Some("http://a:1".into()),
            resource: vec![("site".into(), "south".into())],
            ..OtlpConfig::default()
        };
        let resource = resource(&config);
        let get = |key: &'static str| resource.get(&Key::new(key)).map(|value| value.to_string());
        for (key, value) in [
            ("service.name", "treehouse"),
            ("service.version", "1.2.3"),
            ("service.instance.id", "node-7"),
            ("host.name", "node-7"),
            ("host.id", "theirs"),
            ("os.type", "linux"),
            ("site", "south"),
            ("telemetry.sdk.language", "rust"),
        ] {
            assert_eq!(get(key).as_deref(), Some(value), "{key}");
        }
    }
}
