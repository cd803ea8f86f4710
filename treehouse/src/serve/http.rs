//! The routes: every answer is a look at the latest snapshot; nothing here drives a measurement.

use std::collections::BTreeMap;
use std::future::{Future, IntoFuture};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, Query, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{get, post};
use carbon_api::grid::IntensityProvider;
use carbon_api::grid::table::StaticGrid;
use carbon_api::meter::Status;
use exporters::scrape::Scrape;
use exporters::{CollectorRow, Context, DecisionRow};
use jiff::Timestamp;
use serde::Serialize;

use super::Daemon;
use super::access::socket::PeerListener;
use super::access::{Caller, Reader};
use super::api::{Cut, Energy, Policies, PolicyRow, Power, PowerPoint, Workloads};
use super::problem::Problem;
use crate::decide;
use crate::failure::Failure;
use crate::intensity::IntensityNow;

const PAGE: &str = include_str!("../../page/index.html");
/// Nothing from elsewhere: the page is one file, and asks only this daemon.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
/// Longest body that is read.
const BODY: usize = 1024 * 1024;

type Shared = State<Arc<Daemon>>;
type Answer = Result<Response, Problem>;

/// The writers of `/metrics`, and how long the last scrape took.
#[derive(Default)]
pub(super) struct ScrapeState {
    scrape: Scrape,
    last_s: Mutex<Option<f64>>,
}

/// Answers until `stop` ends; open requests are answered first.
pub(super) async fn serve(
    listener: tokio::net::TcpListener,
    socket: Option<PeerListener>,
    daemon: Arc<Daemon>,
    stop: impl Future<Output = ()> + Send + 'static,
) -> Result<(), Failure> {
    let app = router(daemon).into_make_service_with_connect_info::<Caller>();
    let (tell, told) = tokio::sync::watch::channel(false);
    let stopped = || {
        let mut told = told.clone();
        async move {
            let _ = told.wait_for(|stops| *stops).await;
        }
    };
    let tcp = axum::serve(listener, app.clone()).with_graceful_shutdown(stopped()).into_future();
    let unix = async {
        match socket {
            Some(socket) => axum::serve(socket, app).with_graceful_shutdown(stopped()).await,
            None => Ok(()),
        }
    };
    let server = async { tokio::try_join!(tcp, unix) };
    // a client that keeps its connection open must not keep the daemon alive
    let impatient = async {
        stop.await;
        let _ = tell.send(true);
        tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    };
    tokio::select! {
        served = server => served.map(drop).map_err(|e| Failure::system("the HTTP server", e)),
        () = impatient => Ok(()),
    }
}

/// Every route of the daemon.
pub(super) fn router(daemon: Arc<Daemon>) -> Router {
    Router::new()
        .route("/", get(page))
        .route("/metrics", get(metrics))
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .route("/openapi.json", get(openapi))
        .route("/v1/energy", get(energy))
        .route("/v1/workloads", get(workloads))
        .route("/v1/intensity", get(intensity))
        .route("/v1/power", get(power))
        .route("/v1/sources", get(sources))
        .route("/v1/policies", get(policies))
        .route("/v1/policies/{policy}/decide", post(decide_one))
        .fallback(|uri: Uri| async move { Problem::unknown(format!("{} is not here; see /openapi.json", uri.path()), "path") })
        .method_not_allowed_fallback(|uri: Uri| async move {
            Problem::method(format!("{} does not answer this method; see /openapi.json", uri.path()))
        })
        .layer(DefaultBodyLimit::max(BODY))
        .with_state(daemon)
}

async fn page() -> impl IntoResponse {
    let headers = [
        (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY)),
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
    ];
    (headers, Html(PAGE))
}

async fn metrics(State(daemon): Shared, reader: Reader, headers: HeaderMap) -> Answer {
    let started = Instant::now();
    let accept: Vec<&str> = headers.get_all(header::ACCEPT).iter().filter_map(|v| v.to_str().ok()).collect();
    let accept = (!accept.is_empty()).then(|| accept.join(","));
    let reading = daemon.access.look(reader, None, &daemon.cell)?;
    let decisions = daemon.decisions.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let decisions: Vec<DecisionRow<'_>> =
        decisions.iter().map(|((policy, outcome), count)| DecisionRow { policy, outcome, count: *count }).collect();
    let latest = daemon.cell.load();
    let failing = |source: &str| latest.gaps.iter().any(|g| g.until.is_none() && g.source.name() == source);
    let found = daemon.sources();
    let collectors: Vec<CollectorRow<'_>> = found
        .sources
        .iter()
        .map(|s| CollectorRow { collector: &s.source, success: s.status == Status::Ok && !failing(&s.source) })
        .collect();
    let last = daemon.scrape.last_s.lock().unwrap_or_else(PoisonError::into_inner).unwrap_or(0.0);
    let context = Context {
        scrape_duration_s: (last > 0.0).then_some(last),
        collectors: &collectors,
        decisions: &decisions,
        ..Context::new(env!("CARGO_PKG_VERSION"), Timestamp::now())
    };
    let mut body = Vec::with_capacity(16 * 1024);
    let kind = daemon.scrape.scrape.answer(accept.as_deref(), &reading.snapshot, reading.view, &context, &mut body);
    *daemon.scrape.last_s.lock().unwrap_or_else(PoisonError::into_inner) = Some(started.elapsed().as_secs_f64());
    Ok(([(header::CONTENT_TYPE, kind)], body).into_response())
}

async fn healthz(State(daemon): Shared) -> Answer {
    // the snapshot is renewed at every tick: an old one says that the measuring thread is gone or stuck
    let snapshot = daemon.cell.load();
    let age = Timestamp::now().duration_since(snapshot.until).as_secs_f64();
    if snapshot.ready && age > 10.0 * snapshot.period_s + 10.0 {
        return Err(Problem::unavailable(format!("the last reading is {age:.0} s old")));
    }
    Ok("ok\n".into_response())
}

async fn readyz(State(daemon): Shared) -> Answer {
    if daemon.cell.load().ready { Ok("ready\n".into_response()) } else { Err(Problem::unavailable("no interval is closed yet")) }
}

async fn openapi() -> Response {
    json(&super::openapi::document())
}

async fn energy(State(daemon): Shared, reader: Reader, query: Query<BTreeMap<String, String>>) -> Answer {
    only(&query, &["uid"])?;
    Ok(json(&Energy::of(&daemon.access.look(reader, uid(&query)?, &daemon.cell)?)))
}

async fn workloads(State(daemon): Shared, reader: Reader, query: Query<BTreeMap<String, String>>) -> Answer {
    only(&query, &["by", "uid"])?;
    let by = query.get("by").map(String::as_str);
    let cut = Cut::parse(by)
        .ok_or_else(|| Problem::impossible(format!("by={} is no cut of this version: {}", by.unwrap_or(""), Cut::NAMES), "by"))?;
    Ok(json(&Workloads::of(&daemon.access.look(reader, uid(&query)?, &daemon.cell)?, cut)))
}

async fn intensity(State(daemon): Shared, query: Query<BTreeMap<String, String>>) -> Answer {
    only(&query, &["zone"])?;
    let now = Timestamp::now();
    let told = match query.get("zone").filter(|z| !z.is_empty()) {
        // another zone than the daemon's own: the built-in table knows it or nobody does
        Some(zone) => StaticGrid::new(Some(zone)).map_err(|e| Problem::unknown(e.to_string(), "zone"))?.at(now),
        None => daemon.grid.at(now),
    };
    let told = told.ok_or_else(|| Problem::unavailable("no intensity is known for now"))?;
    Ok(json(&IntensityNow::of(told, now)))
}

async fn power(State(daemon): Shared, reader: Reader) -> Answer {
    if let Reader::Own(uid) = reader {
        return Err(Problem::closed(format!(
            "the power of the host is not shown to user {uid} over the socket: ask as root, as a member of serve.trusted_group or with the token of serve.raw_token_file"
        )));
    }
    let points = daemon.history.points().into_iter().map(PowerPoint::new).collect();
    Ok(json(&Power { period_s: super::history::PERIOD_S as f64, points }))
}

async fn sources(State(daemon): Shared) -> Response {
    let mut sources = crate::sources::Sources::clone(&daemon.sources());
    let snapshot = daemon.cell.load();
    for gap in snapshot.gaps.iter().filter(|g| g.until.is_none()) {
        for source in sources.sources.iter_mut().filter(|s| s.source == gap.source.name()) {
            source.status = Status::Broken;
            source.detail = format!("{} has not been readable since {}", gap.domain, gap.from);
        }
    }
    json(&sources)
}

async fn policies() -> Response {
    let row = |p: &integrations::Listed| PolicyRow { name: p.name, description: p.about };
    json(&Policies { policies: integrations::policies().iter().map(row).collect() })
}

async fn decide_one(State(daemon): Shared, Path(policy): Path<String>, body: Bytes) -> Answer {
    // an unknown name is told before the body is looked at
    integrations::schema_json(&policy).map_err(|e| Problem::policy(&e))?;
    let input: serde_json::Value =
        serde_json::from_slice(&body).map_err(|e| Problem::unreadable(format!("the body is no JSON: {e}"), "body"))?;
    let now = Timestamp::now();
    let config = daemon.config.read().unwrap_or_else(PoisonError::into_inner).clone();
    let signal = decide::signal(&config, &input, now).map_err(|e| Problem::impossible(e.to_string(), "view.zones"))?;
    let answer = integrations::decide_json(&policy, &input, signal, now).map_err(|e| Problem::policy(&e))?;
    let verdict = answer.pointer("/action/verdict").and_then(serde_json::Value::as_str).unwrap_or("decided").to_owned();
    *daemon.decisions.lock().unwrap_or_else(PoisonError::into_inner).entry((policy, verdict)).or_insert(0) += 1;
    Ok(json(&answer))
}

/// The user whose energy is asked for, where one is named.
fn uid(query: &BTreeMap<String, String>) -> Result<Option<u32>, Problem> {
    let wrong = |text: &String| Problem::impossible(format!("uid={text} is no user id; give a number such as 1000"), "uid");
    query.get("uid").map(|text| text.parse().map_err(|_| wrong(text))).transpose()
}

fn only(query: &BTreeMap<String, String>, known: &[&str]) -> Result<(), Problem> {
    match query.keys().find(|k| !known.contains(&k.as_str())) {
        Some(other) => Err(Problem::unreadable(format!("unknown parameter {other:?}; known: {}", known.join(", ")), other)),
        None => Ok(()),
    }
}

fn json(value: &impl Serialize) -> Response {
    match serde_json::to_vec(value) {
        Ok(body) => ([(header::CONTENT_TYPE, "application/json")], body).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}
