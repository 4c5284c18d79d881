//! The messages of `envoy.service.ratelimit.v3`, as far as they are used: each field has the number
//! that Envoy's own definition gives it, and a field that is not here is skipped in reading.
//!
//! The value of an entry is what a client has sent, which may be no UTF-8. Envoy passes it on as it
//! is, and types generated from its definition refuse the message as a whole: where Envoy lets pass
//! what it gets no answer for, that is a way around every limit. Read as `bytes`, which are the same
//! on the wire, such a request is decided as any other.

use prost::{Enumeration, Message};

/// What Envoy asks.
#[derive(Clone, PartialEq, Message)]
pub struct RateLimitRequest {
    /// Which of the operator's set-ups asks. Takes no part.
    #[prost(string, tag = "1")]
    pub domain: String,
    /// What to decide, each for itself.
    #[prost(message, repeated, tag = "2")]
    pub descriptors: Vec<Descriptor>,
    /// The cost of each of them; 0 is what the policy says.
    #[prost(uint32, tag = "3")]
    pub hits_addend: u32,
}

/// `envoy.extensions.common.ratelimit.v3.RateLimitDescriptor`.
#[derive(Clone, PartialEq, Message)]
pub struct Descriptor {
    /// What is known of the request.
    #[prost(message, repeated, tag = "1")]
    pub entries: Vec<Entry>,
    /// A limit that Envoy would like in place of the configured one.
    #[prost(message, optional, tag = "2")]
    pub limit: Option<LimitOverride>,
    /// The cost of this one, before that of the request.
    #[prost(message, optional, tag = "3")]
    pub hits_addend: Option<UInt64Value>,
    /// Whether the cost is to be given back.
    #[prost(bool, tag = "4")]
    pub is_negative_hits: bool,
}

/// One thing that is known of the request.
#[derive(Clone, PartialEq, Message)]
pub struct Entry {
    /// Its name.
    #[prost(string, tag = "1")]
    pub key: String,
    /// Its value.
    #[prost(bytes = "vec", tag = "2")]
    pub value: Vec<u8>,
}

/// `RateLimitDescriptor.RateLimitOverride`.
#[derive(Clone, PartialEq, Message)]
pub struct LimitOverride {
    /// Requests a unit.
    #[prost(uint32, tag = "1")]
    pub requests_per_unit: u32,
}

/// `google.protobuf.UInt64Value`.
#[derive(Clone, Copy, PartialEq, Message)]
pub struct UInt64Value {
    /// The number.
    #[prost(uint64, tag = "1")]
    pub value: u64,
}

/// What Envoy is told.
#[derive(Clone, PartialEq, Message)]
pub struct RateLimitResponse {
    /// Whether the request goes on.
    #[prost(enumeration = "Code", tag = "1")]
    pub overall_code: i32,
    /// One for each descriptor, in order.
    #[prost(message, repeated, tag = "2")]
    pub statuses: Vec<DescriptorStatus>,
    /// Header fields for the client.
    #[prost(message, repeated, tag = "3")]
    pub response_headers_to_add: Vec<HeaderValue>,
    /// The body of a refusal.
    #[prost(bytes = "vec", tag = "5")]
    pub raw_body: Vec<u8>,
}

/// What became of one descriptor.
#[derive(Clone, PartialEq, Message)]
pub struct DescriptorStatus {
    /// Whether it would let the request go on; [`Code::Unknown`] without a decision.
    #[prost(enumeration = "Code", tag = "1")]
    pub code: i32,
    /// The limit of the window that the client is told about.
    #[prost(message, optional, tag = "2")]
    pub current_limit: Option<RateLimit>,
    /// What is left of it.
    #[prost(uint32, tag = "3")]
    pub limit_remaining: u32,
    /// Until it gets better.
    #[prost(message, optional, tag = "4")]
    pub duration_until_reset: Option<Duration>,
}

/// `RateLimitResponse.RateLimit`.
#[derive(Clone, PartialEq, Message)]
pub struct RateLimit {
    /// Units in each window.
    #[prost(uint32, tag = "1")]
    pub requests_per_unit: u32,
    /// How long a window is.
    #[prost(enumeration = "Unit", tag = "2")]
    pub unit: i32,
    /// The name of the policy.
    #[prost(string, tag = "3")]
    pub name: String,
}

/// `envoy.config.core.v3.HeaderValue`.
#[derive(Clone, PartialEq, Message)]
pub struct HeaderValue {
    /// The name of a field.
    #[prost(string, tag = "1")]
    pub key: String,
    /// Its value.
    #[prost(string, tag = "2")]
    pub value: String,
}

/// `google.protobuf.Duration`.
#[derive(Clone, Copy, PartialEq, Message)]
pub struct Duration {
    /// Whole seconds.
    #[prost(int64, tag = "1")]
    pub seconds: i64,
    /// The rest.
    #[prost(int32, tag = "2")]
    pub nanos: i32,
}

/// `RateLimitResponse.Code`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enumeration)]
#[repr(i32)]
pub enum Code {
    /// No decision could be had.
    Unknown = 0,
    /// Under the limit.
    Ok = 1,
    /// Over it.
    OverLimit = 2,
}

/// `RateLimitResponse.RateLimit.Unit`, of which two occur.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enumeration)]
#[repr(i32)]
pub enum Unit {
    /// None.
    Unknown = 0,
    /// A second.
    Second = 1,
    /// A minute.
    Minute = 2,
}
