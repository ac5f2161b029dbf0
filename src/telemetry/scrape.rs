//! The metrics in words: OpenMetrics text.

use std::{collections::HashMap, fmt, sync::Arc};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeLabelSet, NoLabelSet, text},
    metrics::MetricType,
    registry::{Registry, Unit},
};

use crate::hub::{Counts, Health, Holding};

use super::Metrics;

/// The media type of what [`Metrics::scrape`] writes.
pub const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What is looked up rather than counted, and who is told.
#[derive(Clone, Debug)]
pub struct Gauges {
    /// The mounts that may be told of.
    pub mounts: Vec<MountGauges>,
    /// Whether everything may be told, what is of no mount included.
    pub is_whole: bool,
    /// Calls that wait for the answers of modern clients.
    pub parked: usize,
    /// Subscriptions of modern clients.
    pub subscriptions: usize,
}

/// What is looked up about a mount.
#[derive(Clone, Debug)]
pub struct MountGauges {
    /// Its name.
    pub name: String,
    /// Whether it can be used.
    pub health: Health,
    /// Sessions of legacy clients.
    pub sessions: usize,
    /// What it holds beside the calls that run.
    pub holding: Holding,
    /// What is counted at it below its calls, where anything is.
    pub counts: Option<Arc<Counts>>,
}

/// One of the things that a mount holds.
type Of = fn(&Holding) -> usize;

/// One scrape, for one principal.
#[derive(Debug)]
struct Scrape {
    metrics: Arc<Metrics>,
    gauges: Gauges,
}

impl Metrics {
    /// Everything that may be told, as OpenMetrics text. Where that is not all, it is the series of the mounts that are given,
    /// and none that sum up over others.
    ///
    /// # Errors
    /// Never, as far as is known: a text grows as long as there is memory.
    pub fn scrape(self: &Arc<Self>, gauges: Gauges) -> Result<String, fmt::Error> {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(Scrape { metrics: self.clone(), gauges }));
        let mut out = String::with_capacity(16 * 1024);
        text::encode(&mut out, &registry)?;
        Ok(out)
    }
}

impl Collector for Scrape {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        self.process(&mut encoder)?;
        self.mounts(&mut encoder)?;
        self.calls(&mut encoder)?;
        self.below_calls(&mut encoder)?;
        self.requests(&mut encoder)?;
        if self.gauges.is_whole { self.gateway(&mut encoder) } else { Ok(()) }
    }
}

impl Scrape {
    fn sees(&self, mount: Option<&str>) -> bool {
        match mount {
            Some(name) => self.gauges.mounts.iter().any(|mount| mount.name == name),
            None => self.gauges.is_whole,
        }
    }

    fn process(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let help = "The gateway's version.";
        encoder
            .encode_descriptor("rialto_build", help, None, MetricType::Info)?
            .encode_info(&[("version", env!("CARGO_PKG_VERSION"))])?;
        let help = "When the gateway was put together, which for the program is when it started, since 1970.";
        encoder
            .encode_descriptor("process_start_time", help, Some(&Unit::Seconds), MetricType::Gauge)?
            .encode_gauge(&self.metrics.started.as_secs_f64())
    }

    fn mounts(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let seen = &self.gauges.mounts;
        let help =
            "Whether the mount is in this state (1) or not (0): up, down, or unknown, when nobody has tried it yet.";
        gauges(
            encoder,
            "rialto_mount_health",
            help,
            seen.iter().flat_map(|mount| {
                let state = match mount.health {
                    Health::Up => "up",
                    Health::Down(_) => "down",
                    Health::Unknown => "unknown",
                };
                let value = move |of: &str| usize::from(of == state);
                ["up", "down", "unknown"].map(|of| ([("mount", &*mount.name), ("state", of)], value(of)))
            }),
        )?;
        let help = "Sessions of clients that speak a revision before 2026-07-28.";
        gauges(encoder, "rialto_sessions", help, seen.iter().map(|mount| ([("mount", &*mount.name)], mount.sessions)))?;
        let held: [(_, _, Of); 4] = [
            (
                "rialto_upstream_sessions",
                "Sessions with servers: in use, kept for the next call, or being opened.",
                |held| held.sessions,
            ),
            (
                "rialto_listeners",
                "Clients that are told of changes: sessions of the legacy era, and subscriptions of the modern one.",
                |held| held.listeners,
            ),
            (
                "rialto_upstream_subscriptions",
                "Resources that are subscribed to at servers of the legacy era, those of the last half minute included.",
                |held| held.resources,
            ),
            ("rialto_tasks", "Tasks that run, or ended and can still be asked for.", |held| held.tasks),
        ];
        for (name, help, count) in held {
            gauges(encoder, name, help, seen.iter().map(|mount| ([("mount", &*mount.name)], count(&mount.holding))))?;
        }
        Ok(())
    }

    /// What went on between clients and servers in the course of calls and outside them.
    fn below_calls(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let seen = || self.gauges.mounts.iter().filter_map(|mount| Some((&*mount.name, mount.counts.as_deref()?)));
        let help = "Questions of servers that ended, by how they did.";
        let ended = seen().flat_map(|(mount, counts)| {
            let shown = counts.questions().show();
            shown
                .map(move |(question, end, count)| ([("mount", mount), ("question", question), ("ending", end)], count))
        });
        counters(encoder, "rialto_questions", help, ended)?;
        let help = "What servers did against the protocol and what was put up with, by what it was.";
        let odd = seen().flat_map(|(mount, counts)| {
            counts.oddities().show().map(move |(kind, count)| ([("mount", mount), ("kind", kind)], count))
        });
        counters(encoder, "rialto_upstream_oddities", help, odd)?;
        let help = "What could not be carried between a client and a server as it was, by what it was.";
        let lost = seen().flat_map(|(mount, counts)| {
            counts.losses().show().map(move |(kind, count)| ([("mount", mount), ("kind", kind)], count))
        });
        counters(encoder, "rialto_bridging_losses", help, lost)
    }

    fn calls(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let seen: Vec<_> = self.metrics.calls.iter().filter(|series| self.sees(Some(series.mount()))).collect();
        let help = "Calls that run, those for which a person is asked included.";
        gauges(encoder, "rialto_calls_in_flight", help, seen.iter().map(|s| ([("mount", s.mount())], s.in_flight())))?;
        let help = "Calls that run and wait for the answer of a client.";
        gauges(encoder, "rialto_calls_asking", help, seen.iter().map(|s| ([("mount", s.mount())], s.asking())))?;

        let help = "Calls that ended, by how they did.";
        let mut family = encoder.encode_descriptor("rialto_calls", help, None, MetricType::Counter)?;
        for series in &seen {
            for (method, of_method) in series.methods() {
                for (outcome, count) in of_method.endings() {
                    let labels = [("mount", series.mount()), ("method", method), ("outcome", outcome)];
                    family.encode_family(&labels)?.encode_counter::<NoLabelSet, _, u64>(&count, None)?;
                }
            }
        }
        let help = "How long calls took from their arrival at the mount to their end, the time of questions included.";
        let name = "rialto_call_duration";
        let mut family = encoder.encode_descriptor(name, help, Some(&Unit::Seconds), MetricType::Histogram)?;
        for series in &seen {
            for (method, of_method) in series.methods() {
                let shown = of_method.duration.show();
                let labels = [("mount", series.mount()), ("method", method)];
                let mut metric = family.encode_family(&labels)?;
                metric.encode_histogram::<NoLabelSet>(
                    shown.sum,
                    shown.count,
                    &shown.buckets,
                    None::<&HashMap<_, _>>,
                )?;
            }
        }
        Ok(())
    }

    fn requests(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let help = "HTTP requests by route and class of status; aborted when the client left before it was answered.";
        let mut family = encoder.encode_descriptor("rialto_http_requests", help, None, MetricType::Counter)?;
        for (route, mount, status, count) in self.metrics.requests.show().filter(|(_, mount, ..)| self.sees(*mount)) {
            let labels = [("route", route), ("mount", mount.unwrap_or_default()), ("status", status)];
            family.encode_family(&labels)?.encode_counter::<NoLabelSet, _, u64>(&count, None)?;
        }
        Ok(())
    }

    /// What is of no mount.
    fn gateway(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let help = "HTTP requests that were refused, by why.";
        let mut family = encoder.encode_descriptor("rialto_http_refusals", help, None, MetricType::Counter)?;
        for (reason, count) in self.metrics.requests.refusals() {
            family.encode_family(&[("reason", reason)])?.encode_counter::<NoLabelSet, _, u64>(&count, None)?;
        }
        let help = "Calls that are kept while clients of 2026-07-28 answer their questions.";
        gauge(encoder, "rialto_parked_calls", help, self.gauges.parked)?;
        let help = "Subscriptions of clients of 2026-07-28.";
        gauge(encoder, "rialto_subscriptions", help, self.gauges.subscriptions)
    }
}

/// Writes a gauge that stands alone.
fn gauge(encoder: &mut DescriptorEncoder<'_>, name: &str, help: &str, value: usize) -> fmt::Result {
    let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
    family.encode_gauge(&i64::try_from(value).unwrap_or(i64::MAX))
}

/// Writes a family of gauges.
fn gauges<L: EncodeLabelSet>(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    values: impl IntoIterator<Item = (L, usize)>,
) -> fmt::Result {
    let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
    for (labels, value) in values {
        family.encode_family(&labels)?.encode_gauge(&i64::try_from(value).unwrap_or(i64::MAX))?;
    }
    Ok(())
}

/// Writes a family of counters.
fn counters<L: EncodeLabelSet>(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    values: impl IntoIterator<Item = (L, u64)>,
) -> fmt::Result {
    let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
    for (labels, value) in values {
        family.encode_family(&labels)?.encode_counter::<NoLabelSet, _, u64>(&value, None)?;
    }
    Ok(())
}
