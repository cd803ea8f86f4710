//! Files that make Grafana load the boards at its start.

use super::yaml::GENERATED;

/// `provisioning/dashboards/*.yml` of Grafana.
pub(super) fn dashboards() -> String {
    format!(
        "{GENERATED}# Copy the boards to the path below, or mount them there.
apiVersion: 1
providers:
  - name: treehouse
    orgId: 1
    folder: Treehouse
    type: file
    disableDeletion: true
    allowUiUpdates: false
    options:
      path: /var/lib/grafana/dashboards/treehouse
      foldersFromFilesStructure: false
"
    )
}

/// `provisioning/datasources/*.yml` of Grafana.
pub(super) fn datasources() -> String {
    format!(
        "{GENERATED}# timeInterval is the scrape interval: $__rate_interval, and so every rate of the boards, depends on it.
apiVersion: 1
datasources:
  - name: Prometheus
    type: prometheus
    access: proxy
    url: http://localhost:9090
    uid: treehouse-prometheus
    isDefault: true
    editable: false
    jsonData:
      timeInterval: 15s
"
    )
}
