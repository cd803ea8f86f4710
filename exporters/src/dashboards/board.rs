//! A Grafana dashboard as data, and its JSON (schema 42).

use serde_json::{Value, json};

/// Units by their Grafana ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    Watts,
    Joules,
    Grams,
    GramsPerSecond,
    GramsPerKilowattHour,
    Share,
    Seconds,
    Count,
    YesNo,
}

impl Unit {
    const fn id(self) -> &'static str {
        match self {
            Self::Watts => "watt",
            Self::Joules => "joule",
            Self::Grams => "massg",
            Self::GramsPerSecond => "si:g/s",
            Self::GramsPerKilowattHour => "suffix: gCO2e/kWh",
            Self::Share => "percentunit",
            Self::Seconds => "s",
            Self::Count => "short",
            Self::YesNo => "bool_yes_no",
        }
    }
}

/// How a panel looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Look {
    /// Single figures.
    Stat,
    /// Lines.
    Lines,
    /// Areas on top of each other: for parts of a whole.
    Stacked,
    /// A table of the present.
    Table,
}

/// One query.
#[derive(Clone, Debug)]
pub(super) struct Target {
    pub(super) expression: String,
    pub(super) legend: &'static str,
}

/// One panel.
#[derive(Clone, Debug)]
pub(super) struct Panel {
    pub(super) title: &'static str,
    pub(super) description: &'static str,
    pub(super) look: Look,
    pub(super) unit: Unit,
    /// In twenty-fourths of the page.
    pub(super) width: u32,
    pub(super) targets: Vec<Target>,
}

/// A dashboard.
#[derive(Clone, Debug)]
pub(super) struct Board {
    pub(super) uid: &'static str,
    pub(super) title: &'static str,
    pub(super) description: &'static str,
    /// The metric whose labels fill the variables.
    pub(super) labels_of: String,
    pub(super) panels: Vec<Panel>,
}

impl Board {
    /// The file: pretty, with a newline at the end.
    pub(super) fn json(&self) -> String {
        format!("{:#}\n", self.value())
    }

    fn value(&self) -> Value {
        json!({
            "annotations": { "list": [] },
            "description": self.description,
            "editable": false,
            "graphTooltip": 1,
            "id": null,
            "links": [],
            "panels": self.placed(),
            "refresh": "30s",
            "schemaVersion": 42,
            "tags": ["treehouse", "energy", "carbon"],
            "templating": { "list": self.variables() },
            "time": { "from": "now-6h", "to": "now" },
            "timepicker": {},
            "timezone": "browser",
            "title": self.title,
            "uid": self.uid,
            "version": 1,
        })
    }

    /// Panels from left to right, a new line where one no longer fits.
    fn placed(&self) -> Vec<Value> {
        let (mut x, mut y, mut line) = (0, 0, 0);
        let mut placed = Vec::new();
        for (at, panel) in self.panels.iter().enumerate() {
            if x + panel.width > 24 {
                (x, y, line) = (0, y + line, 0);
            }
            let height = panel.look.height();
            let position = json!({ "x": x, "y": y, "w": panel.width, "h": height });
            placed.push(panel.value(at + 1, &position));
            x += panel.width;
            line = line.max(height);
        }
        placed
    }

    fn variables(&self) -> Vec<Value> {
        let metric = &self.labels_of;
        vec![
            json!({
                "current": {},
                "hide": 0,
                "includeAll": false,
                "label": "Data Source",
                "multi": false,
                "name": "datasource",
                "options": [],
                "query": "prometheus",
                "refresh": 1,
                "regex": "",
                "type": "datasource",
            }),
            variable("job", &format!("label_values({metric}, job)")),
            variable("instance", &format!("label_values({metric}{{job=~\"$job\"}}, instance)")),
        ]
    }
}

/// A variable filled by a query, all of it chosen at first.
fn variable(name: &str, query: &str) -> Value {
    json!({
        "allValue": ".+",
        "current": { "selected": true, "text": ["All"], "value": ["$__all"] },
        "datasource": datasource(),
        "definition": query,
        "hide": 0,
        "includeAll": true,
        "label": name,
        "multi": true,
        "name": name,
        "options": [],
        "query": { "query": query, "refId": "PrometheusVariableQueryEditor-VariableQuery" },
        "refresh": 2,
        "regex": "",
        "sort": 1,
        "type": "query",
    })
}

fn datasource() -> Value {
    json!({ "type": "prometheus", "uid": "${datasource}" })
}

impl Look {
    const fn height(self) -> u32 {
        match self {
            Self::Stat => 4,
            Self::Lines | Self::Stacked => 8,
            Self::Table => 10,
        }
    }

    const fn plugin(self) -> &'static str {
        match self {
            Self::Stat => "stat",
            Self::Lines | Self::Stacked => "timeseries",
            Self::Table => "table",
        }
    }

    fn options(self) -> Value {
        match self {
            Self::Stat => json!({
                "colorMode": "value",
                "graphMode": "area",
                "justifyMode": "auto",
                "orientation": "auto",
                "reduceOptions": { "calcs": ["lastNotNull"], "fields": "", "values": false },
                "textMode": "auto",
                "wideLayout": true,
            }),
            Self::Lines | Self::Stacked => json!({
                "legend": { "calcs": ["mean", "lastNotNull"], "displayMode": "table", "placement": "bottom", "showLegend": true },
                "tooltip": { "mode": "multi", "sort": "desc" },
            }),
            Self::Table => json!({ "cellHeight": "sm", "showHeader": true, "footer": { "show": false } }),
        }
    }

    fn custom(self) -> Value {
        match self {
            Self::Stat => json!({}),
            Self::Lines => json!({ "drawStyle": "line", "fillOpacity": 5, "lineWidth": 1, "showPoints": "never" }),
            Self::Stacked => json!({
                "drawStyle": "line",
                "fillOpacity": 40,
                "lineWidth": 1,
                "showPoints": "never",
                "stacking": { "group": "A", "mode": "normal" },
            }),
            Self::Table => json!({ "align": "auto", "cellOptions": { "type": "auto" }, "inspect": false }),
        }
    }
}

impl Panel {
    fn value(&self, id: usize, position: &Value) -> Value {
        let mut value = json!({
            "datasource": datasource(),
            "description": self.description,
            "fieldConfig": {
                "defaults": {
                    "color": { "mode": "palette-classic" },
                    "custom": self.look.custom(),
                    "mappings": [],
                    "min": 0,
                    "noValue": "no data",
                    "thresholds": { "mode": "absolute", "steps": [{ "color": "green", "value": null }] },
                    "unit": self.unit.id(),
                },
                "overrides": [],
            },
            "gridPos": position,
            "id": id,
            "options": self.look.options(),
            "targets": self.target_values(),
            "title": self.title,
            "type": self.look.plugin(),
        });
        if self.look == Look::Table {
            value["fieldConfig"]["overrides"] = self.columns();
            value["transformations"] = json!([
                { "id": "merge", "options": {} },
                { "id": "organize", "options": { "excludeByName": { "Time": true }, "indexByName": {}, "renameByName": self.renamed() } },
            ]);
        }
        value
    }

    fn target_values(&self) -> Vec<Value> {
        let table = self.look == Look::Table;
        let targets = self.targets.iter().zip('A'..='Z').map(|(target, letter)| {
            json!({
                "datasource": datasource(),
                "editorMode": "code",
                "expr": target.expression,
                "format": if table { "table" } else { "time_series" },
                "instant": table,
                "legendFormat": target.legend,
                "range": !table,
                "refId": letter.to_string(),
            })
        });
        targets.collect()
    }

    /// A table's column of figures is called by its query; people read the legend.
    fn renamed(&self) -> Value {
        let names = self.targets.iter().zip('A'..='Z');
        names.map(|(target, letter)| (format!("Value #{letter}"), Value::from(target.legend))).collect()
    }

    /// Beside power a table shows energy: each column has the unit of its query.
    fn columns(&self) -> Value {
        let columns = self.targets.iter().map(|target| {
            let unit = if target.expression.contains("increase(") { Unit::Joules } else { self.unit };
            json!({
                "matcher": { "id": "byName", "options": target.legend },
                "properties": [{ "id": "unit", "value": unit.id() }],
            })
        });
        columns.collect()
    }
}
