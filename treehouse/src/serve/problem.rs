//! Errors as RFC 9457 problem objects: `type`, `title`, `status`, `detail`, and the field at fault.

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use carbon_api::policy::PolicyError;
use schemars::JsonSchema;
use serde::Serialize;

/// One problem.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(super) struct Problem {
    #[serde(rename = "type")]
    kind: &'static str,
    title: &'static str,
    status: u16,
    detail: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<String>,
}

impl Problem {
    fn new(status: StatusCode, detail: impl Into<String>, field: Option<&str>) -> Self {
        let title = status.canonical_reason().unwrap_or("Error");
        Self { kind: "about:blank", title, status: status.as_u16(), detail: detail.into(), field: field.map(str::to_owned) }
    }

    /// 400: a body or query that cannot be read.
    pub(super) fn unreadable(detail: impl Into<String>, field: &str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail, Some(field))
    }

    /// 404: an unknown policy, zone or path.
    pub(super) fn unknown(detail: impl Into<String>, field: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, detail, Some(field))
    }

    /// 422: a value that cannot be.
    pub(super) fn impossible(detail: impl Into<String>, field: &str) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, detail, Some(field))
    }

    /// 405: a method that this path does not have.
    pub(super) fn method(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, detail, None)
    }

    /// 401: a token that is not known. What was sent is not repeated.
    pub(super) fn unauthorized(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, detail, Some("Authorization"))
    }

    /// 403: another user's energy.
    pub(super) fn foreign(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, detail, Some("uid"))
    }

    /// 403: what the operator closed.
    pub(super) fn closed(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, detail, None)
    }

    /// 503: nothing to answer with, for now.
    pub(super) fn unavailable(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, detail, None)
    }

    /// A policy's error: unknown names are 404, unreadable input 400, impossible values 422.
    pub(super) fn policy(error: &PolicyError) -> Self {
        let (key, detail) = (error.key().to_owned(), error.to_string());
        match error {
            PolicyError::UnknownPolicy { .. } => Self::unknown(detail, "policy"),
            PolicyError::Malformed { .. } => Self::unreadable(detail, &key),
            PolicyError::Refused { .. } => Self::impossible(detail, &key),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let body = serde_json::to_vec(&self).unwrap_or_default();
        let mut response = (status, [(header::CONTENT_TYPE, "application/problem+json")], body).into_response();
        if status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(header::RETRY_AFTER, header::HeaderValue::from_static("1"));
        }
        if status == StatusCode::UNAUTHORIZED {
            let challenge = header::HeaderValue::from_static("Bearer realm=\"treehouse\", error=\"invalid_token\"");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
        }
        response
    }
}
