//! `/api/...`: what operators do, as JSON over HTTP. The commands of `transom` speak it too, and
//! the OpenAPI document is made of the handlers below.
//!
//! A mistake is answered with a body of `message` and `status_code`: 400 for what cannot be, 404
//! for what is not there, 409 for what needs a store that this worker lacks, 503 where the store
//! does not answer.

use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Response};
use axum::{Json, Router};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{IntoParams, OpenApi, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Admin;
use super::status::StatusDoc;
use crate::check::problem;
use crate::operator::*;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Transom admin API",
        description = "See, explain and change what a fleet of Transom workers limits. An \
                       identity is `user:ID` or `ip:ADDRESS`."
    ),
    components(schemas(Problem))
)]
struct Document;

/// What every mistake is answered with.
#[derive(Debug, Serialize, ToSchema)]
struct Problem {
    /// What is wrong, in words.
    message: String,
    /// The status of the response.
    status_code: u16,
}

/// The routes, and the document that describes them.
pub fn router(admin: Admin) -> (Router, utoipa::openapi::OpenApi) {
    let (router, mut document) = OpenApiRouter::with_openapi(Document::openapi())
        .routes(routes!(status))
        .routes(routes!(policies))
        .routes(routes!(matching))
        .routes(routes!(inspect))
        .routes(routes!(explain))
        .routes(routes!(reset))
        .routes(routes!(overrides))
        .routes(routes!(set_override, delete_override))
        .routes(routes!(blocks))
        .routes(routes!(block, unblock))
        .routes(routes!(keys, create_key))
        .routes(routes!(revoke_key))
        .routes(routes!(top))
        .routes(routes!(traffic))
        .routes(routes!(mode, set_mode))
        .routes(routes!(audit))
        .routes(routes!(doctor))
        .split_for_parts();
    document.info.version = env!("CARGO_PKG_VERSION").to_owned();
    if let Some(components) = &mut document.components {
        let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
        components.add_security_scheme("token", SecurityScheme::Http(bearer));
    }
    let token = utoipa::openapi::SecurityRequirement::new("token", [] as [&str; 0]);
    document.security = Some(vec![token]);
    (router.with_state(admin), document)
}

/// A mistake, or a store that does not answer.
pub(super) struct ApiError(StatusCode, String);

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        problem(self.0, &self.1)
    }
}

impl From<OperatorError> for ApiError {
    fn from(error: OperatorError) -> Self {
        Self(error.status(), error.to_string())
    }
}

impl From<JsonRejection> for ApiError {
    fn from(rejection: JsonRejection) -> Self {
        match rejection {
            // What the library says first is not about the mistake.
            JsonRejection::JsonDataError(error) => {
                let text = error.body_text();
                let reason = text.split_once("target type: ").map_or(&*text, |(_, reason)| reason);
                Self(StatusCode::BAD_REQUEST, reason.to_owned())
            }
            other => Self(other.status(), other.body_text()),
        }
    }
}

impl From<QueryRejection> for ApiError {
    fn from(rejection: QueryRejection) -> Self {
        Self(rejection.status(), rejection.body_text())
    }
}

impl From<PathRejection> for ApiError {
    fn from(rejection: PathRejection) -> Self {
        Self(rejection.status(), rejection.body_text())
    }
}

type Answer<T> = Result<Json<T>, ApiError>;
type InPath = Result<Path<String>, PathRejection>;
type InQuery<T> = Result<Query<T>, QueryRejection>;
type InBody<T> = Result<Json<T>, JsonRejection>;

/// How many entries are wanted.
#[derive(Clone, Copy, Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct Max {
    /// At most so many; 1 to 1,000.
    #[serde(default = "twenty")]
    max: usize,
}

fn twenty() -> usize {
    20
}

/// Whose keys are wanted.
#[derive(Clone, Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct Of {
    /// Of this user; absent: all.
    user: Option<String>,
}

/// What this worker is, and which configuration is in force.
#[utoipa::path(get, path = "/api/status", responses((status = 200, body = StatusDoc)))]
async fn status(State(admin): State<Admin>) -> Json<StatusDoc> {
    Json(StatusDoc::of(&admin))
}

/// The policies in force.
#[utoipa::path(get, path = "/api/policies", responses((status = 200, body = Vec<PolicyDoc>)))]
async fn policies(State(admin): State<Admin>) -> Json<Vec<PolicyDoc>> {
    Json(admin.operator.policies())
}

/// The policy that a request would match.
#[utoipa::path(get, path = "/api/match", params(Question),
    responses((status = 200, body = PolicyDoc)))]
async fn matching(State(admin): State<Admin>, question: InQuery<Question>) -> Answer<PolicyDoc> {
    Ok(Json(admin.operator.matching(&question?.0)?))
}

/// Everything that is kept of an identity.
#[utoipa::path(get, path = "/api/identities/{identity}", params(("identity" = String, Path)),
    responses((status = 200, body = Inspection)))]
async fn inspect(State(admin): State<Admin>, identity: InPath) -> Answer<Inspection> {
    let identity = admin.operator.identity(&identity?)?;
    Ok(Json(admin.operator.inspect(&identity).await?))
}

/// Why a request would be admitted or denied now. Consumes nothing.
#[utoipa::path(get, path = "/api/identities/{identity}/explain",
    params(("identity" = String, Path), Question),
    responses((status = 200, body = Explanation)))]
async fn explain(
    State(admin): State<Admin>,
    identity: InPath,
    question: InQuery<Question>,
) -> Answer<Explanation> {
    let identity = admin.operator.identity(&identity?)?;
    Ok(Json(admin.operator.explain(&identity, &question?.0).await?))
}

/// Empties windows, and ends the block and the strikes.
#[utoipa::path(post, path = "/api/identities/{identity}/reset",
    params(("identity" = String, Path)), request_body = Reset,
    responses((status = 200, body = Done)))]
async fn reset(State(admin): State<Admin>, identity: InPath, wish: InBody<Reset>) -> Answer<Done> {
    let identity = admin.operator.identity(&identity?)?;
    admin.operator.reset(&identity, &wish?.0).await?;
    Ok(Json(Done { done: true }))
}

/// Every override in force.
#[utoipa::path(get, path = "/api/overrides", responses((status = 200, body = List<OverrideDoc>)))]
async fn overrides(State(admin): State<Admin>) -> Answer<List<OverrideDoc>> {
    Ok(Json(admin.operator.overrides().await?))
}

/// Gives an identity limits of its own.
#[utoipa::path(put, path = "/api/overrides/{identity}", params(("identity" = String, Path)),
    request_body = NewOverride, responses((status = 200, body = OverrideDoc)))]
async fn set_override(
    State(admin): State<Admin>,
    identity: InPath,
    wish: InBody<NewOverride>,
) -> Answer<OverrideDoc> {
    let identity = admin.operator.identity(&identity?)?;
    Ok(Json(admin.operator.set_override(&identity, &wish?.0).await?))
}

/// Takes an override back.
#[utoipa::path(delete, path = "/api/overrides/{identity}",
    params(("identity" = String, Path), Reset),
    responses((status = 200, body = Done), (status = 404, body = Problem)))]
async fn delete_override(
    State(admin): State<Admin>,
    identity: InPath,
    wish: InQuery<Reset>,
) -> Answer<Done> {
    let identity = admin.operator.identity(&identity?)?;
    admin.operator.delete_override(&identity, &wish?.0).await?;
    Ok(Json(Done { done: true }))
}

/// Every block in force.
#[utoipa::path(get, path = "/api/blocks", responses((status = 200, body = List<BlockDoc>)))]
async fn blocks(State(admin): State<Admin>) -> Answer<List<BlockDoc>> {
    Ok(Json(admin.operator.blocks().await?))
}

/// Blocks an identity.
#[utoipa::path(put, path = "/api/blocks/{identity}", params(("identity" = String, Path)),
    request_body = NewBlock, responses((status = 200, body = BlockDoc)))]
async fn block(
    State(admin): State<Admin>,
    identity: InPath,
    wish: InBody<NewBlock>,
) -> Answer<BlockDoc> {
    let identity = admin.operator.identity(&identity?)?;
    Ok(Json(admin.operator.block(&identity, &wish?.0).await?))
}

/// Ends a block.
#[utoipa::path(delete, path = "/api/blocks/{identity}",
    params(("identity" = String, Path), Because),
    responses((status = 200, body = Done), (status = 404, body = Problem)))]
async fn unblock(
    State(admin): State<Admin>,
    identity: InPath,
    wish: InQuery<Because>,
) -> Answer<Done> {
    let identity = admin.operator.identity(&identity?)?;
    admin.operator.unblock(&identity, &wish?.0).await?;
    Ok(Json(Done { done: true }))
}

/// What is known of every API key.
#[utoipa::path(get, path = "/api/keys", params(Of),
    responses((status = 200, body = List<KeyDoc>)))]
async fn keys(State(admin): State<Admin>, of: InQuery<Of>) -> Answer<List<KeyDoc>> {
    Ok(Json(admin.operator.keys(of?.user.as_deref()).await?))
}

/// Creates an API key, which is shown this once.
#[utoipa::path(post, path = "/api/keys", request_body = NewKey,
    responses((status = 200, body = CreatedKey)))]
async fn create_key(State(admin): State<Admin>, wish: InBody<NewKey>) -> Answer<CreatedKey> {
    Ok(Json(admin.operator.create_key(&wish?.0).await?))
}

/// Revokes an API key by its digest.
#[utoipa::path(delete, path = "/api/keys/{digest}", params(("digest" = String, Path), Because),
    responses((status = 200, body = Done), (status = 404, body = Problem)))]
async fn revoke_key(
    State(admin): State<Admin>,
    digest: InPath,
    wish: InQuery<Because>,
) -> Answer<Done> {
    admin.operator.revoke_key(&digest?, &wish?.0).await?;
    Ok(Json(Done { done: true }))
}

/// Who was denied most in the last five to ten minutes.
#[utoipa::path(get, path = "/api/top", params(Max),
    responses((status = 200, body = List<DeniedDoc>)))]
async fn top(State(admin): State<Admin>, max: InQuery<Max>) -> Answer<List<DeniedDoc>> {
    Ok(Json(admin.operator.top(max?.max).await?))
}

/// What the fleet has decided in the last quarter of an hour.
#[utoipa::path(get, path = "/api/traffic", responses((status = 200, body = TrafficDoc)))]
async fn traffic(State(admin): State<Admin>) -> Answer<TrafficDoc> {
    Ok(Json(admin.operator.traffic().await?))
}

/// The mode of everything.
#[utoipa::path(get, path = "/api/mode", responses((status = 200, body = ModeDoc)))]
async fn mode(State(admin): State<Admin>) -> Answer<ModeDoc> {
    Ok(Json(admin.operator.mode().await?))
}

/// Sets the mode of the whole fleet.
#[utoipa::path(put, path = "/api/mode", request_body = NewMode,
    responses((status = 200, body = ModeDoc)))]
async fn set_mode(State(admin): State<Admin>, wish: InBody<NewMode>) -> Answer<ModeDoc> {
    Ok(Json(admin.operator.set_mode(&wish?.0).await?))
}

/// The last changes that operators made, newest first.
#[utoipa::path(get, path = "/api/audit", params(Max),
    responses((status = 200, body = List<ChangeDoc>)))]
async fn audit(State(admin): State<Admin>, max: InQuery<Max>) -> Answer<List<ChangeDoc>> {
    Ok(Json(admin.operator.changes(max?.max).await?))
}

/// What is wrong with this Redis or this configuration. Writes to scratch keys, and deletes them.
#[utoipa::path(post, path = "/api/doctor", responses((status = 200, body = Vec<Finding>)))]
async fn doctor(State(admin): State<Admin>) -> Json<Vec<Finding>> {
    Json(admin.operator.doctor().await)
}
