//! The HTTP requests: how many came to each route, and how they were answered.

use std::{
    collections::HashMap,
    sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering},
    },
};

use http::StatusCode;

/// How a request was answered, in the order of the counters.
const CLASSES: [&str; 6] = ["1xx", "2xx", "3xx", "4xx", "5xx", "aborted"];
const ABORTED: usize = CLASSES.len() - 1;

/// The refusals that are counted by their kind as well.
const REFUSALS: [(StatusCode, &str); 4] = [
    (StatusCode::UNAUTHORIZED, "unauthenticated"),
    (StatusCode::FORBIDDEN, "forbidden"),
    (StatusCode::TOO_MANY_REQUESTS, "rate_limited"),
    (StatusCode::SERVICE_UNAVAILABLE, "unavailable"),
];

/// The route of custom routes, all of them together: what they are called is not ours to know.
const CUSTOM: &str = "custom";
/// The route of whatever is no route.
const OTHER: &str = "other";

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// It was answered with this status.
    Answered(StatusCode),
    /// The client went away before it was answered.
    Aborted,
}

/// What is counted of the requests of one gateway.
#[derive(Debug)]
pub struct RequestSeries {
    lookup: matchit::Router<Known>,
    mounts: Vec<String>,
    by_name: HashMap<String, usize>,
    /// What the routes are called; the last two are custom routes and what is no route.
    routes: Vec<String>,
    /// A row for each route, in it a place for each mount and one for none. Those that nobody came to take no room.
    cells: Vec<OnceLock<Box<[AtomicU64; CLASSES.len()]>>>,
    refusals: [AtomicU64; REFUSALS.len()],
}

/// What is known about a path that the router knows.
#[derive(Clone, Copy, Debug)]
struct Known {
    route: usize,
    /// The mount, where the path itself names one.
    mount: Option<usize>,
}

/// Where a request is counted.
#[derive(Clone, Copy, Debug)]
pub struct Place(Option<(usize, Option<usize>)>);

impl RequestSeries {
    /// Nothing counted yet of these paths, as axum writes them, and these mounts.
    #[must_use]
    pub fn new<'a>(paths: impl IntoIterator<Item = &'a str>, mounts: Vec<String>) -> Self {
        let by_name: HashMap<_, _> = mounts.iter().enumerate().map(|(at, name)| (name.clone(), at)).collect();
        let mut routes: Vec<String> = Vec::new();
        let mut lookup = matchit::Router::new();
        for path in paths {
            let (template, mount) = template(path, &by_name);
            let route = routes.iter().position(|known| *known == template).unwrap_or_else(|| {
                routes.push(template);
                routes.len() - 1
            });
            // The router took the path, and it reads paths by the same crate.
            let _ = lookup.insert(path, Known { route, mount });
        }
        routes.extend([CUSTOM.to_owned(), OTHER.to_owned()]);
        let cells = (0..routes.len() * (mounts.len() + 1)).map(|_| OnceLock::new()).collect();
        Self { lookup, mounts, by_name, routes, cells, refusals: Default::default() }
    }

    /// Where a request to this path is counted.
    #[must_use]
    pub fn place(&self, path: &str) -> Place {
        let found = self.lookup.at(path).ok().map(|found| {
            let named = || self.by_name.get(found.params.get("mount")?).copied();
            (found.value.route, found.value.mount.or_else(named))
        });
        Place(found)
    }

    /// What the route at a place is called, and its mount.
    #[must_use]
    pub fn names(&self, place: Place, is_custom: bool) -> (&str, Option<&str>) {
        let (route, mount) = self.at(place, is_custom);
        (&self.routes[route], mount.map(|mount| &*self.mounts[mount]))
    }

    /// Counts a request. `is_custom` says whether a custom route answered it, where it is to no route of ours.
    pub fn count(&self, place: Place, is_custom: bool, ended: Ended) {
        let (route, mount) = self.at(place, is_custom);
        let class = match ended {
            Ended::Answered(status) => (usize::from(status.as_u16()) / 100).clamp(1, 5) - 1,
            Ended::Aborted => ABORTED,
        };
        let cell = route * (self.mounts.len() + 1) + mount.unwrap_or(self.mounts.len());
        self.cells[cell].get_or_init(Box::default)[class].fetch_add(1, Ordering::Relaxed);
        if class == 3 || class == 4 {
            self.refused(ended);
        }
    }

    fn at(&self, Place(found): Place, is_custom: bool) -> (usize, Option<usize>) {
        let last = self.routes.len() - 1;
        found.unwrap_or((if is_custom { last - 1 } else { last }, None))
    }

    fn refused(&self, ended: Ended) {
        let kind = REFUSALS.iter().position(|(status, _)| ended == Ended::Answered(*status));
        if let Some(kind) = kind {
            self.refusals[kind].fetch_add(1, Ordering::Relaxed);
        }
    }

    /// What was counted: route, mount, class, count.
    pub(super) fn show(&self) -> impl Iterator<Item = (&str, Option<&str>, &'static str, u64)> {
        let width = self.mounts.len() + 1;
        self.cells.iter().enumerate().filter_map(|(at, cell)| Some((at, cell.get()?))).flat_map(move |(at, cell)| {
            let (route, mount) = (&*self.routes[at / width], self.mounts.get(at % width).map(|mount| &**mount));
            let counts = cell.iter().map(|count| count.load(Ordering::Relaxed));
            let counted = CLASSES.into_iter().zip(counts).filter(|(_, count)| *count > 0);
            counted.map(move |(class, count)| (route, mount, class, count))
        })
    }

    /// The refusals that were counted.
    pub(super) fn refusals(&self) -> impl Iterator<Item = (&'static str, u64)> {
        REFUSALS.iter().zip(&self.refusals).map(|((_, name), count)| (*name, count.load(Ordering::Relaxed)))
    }
}

/// What a path is called, with and without a slash at its end, and the mount that it names: `/mcp/docs` is the path of `docs`
/// among those called `/mcp/{mount}`. Assets have one name together, as theirs change with what is in them.
fn template(path: &str, mounts: &HashMap<String, usize>) -> (String, Option<usize>) {
    let path = if path.len() > 1 { path.trim_end_matches('/') } else { path };
    if path.starts_with("/assets/") {
        return ("/assets/{file}".to_owned(), None);
    }
    let mut found = None;
    let mut before = "";
    let segments: Vec<_> = path
        .split('/')
        .map(|segment| {
            let follows = matches!(std::mem::replace(&mut before, segment), "mcp" | "mounts");
            match mounts.get(segment).filter(|_| follows && found.is_none()) {
                Some(mount) => {
                    found = Some(*mount);
                    "{mount}"
                }
                None => segment,
            }
        })
        .collect();
    (segments.join("/"), found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_counted_by_its_template_and_its_mount() {
        let paths = ["/", "/mcp/docs", "/mcp/docs/", "/mcp/{*path}", "/api/mounts/{mount}/tools", "/healthz"];
        let series = RequestSeries::new(paths, vec!["docs".to_owned(), "time".to_owned()]);
        for (path, is_custom, route, mount) in [
            ("/", false, "/", None),
            ("/mcp/docs", false, "/mcp/{mount}", Some("docs")),
            ("/mcp/docs/", false, "/mcp/{mount}", Some("docs")),
            ("/mcp/none", false, "/mcp/{*path}", None),
            ("/api/mounts/time/tools", false, "/api/mounts/{mount}/tools", Some("time")),
            ("/api/mounts/none/tools", false, "/api/mounts/{mount}/tools", None),
            ("/api/invoices", true, "custom", None),
            ("/wp-admin", false, "other", None),
        ] {
            let place = series.place(path);
            assert_eq!(series.names(place, is_custom), (route, mount), "{path}");
            series.count(place, is_custom, Ended::Answered(StatusCode::OK));
            let counted = series.show().any(|(r, m, class, n)| (r, m, class) == (route, mount, "2xx") && n > 0);
            assert!(counted, "{path}");
        }
        series.count(series.place("/"), false, Ended::Aborted);
        series.count(series.place("/"), false, Ended::Answered(StatusCode::UNAUTHORIZED));
        let of_root: Vec<_> = series.show().filter(|(route, ..)| *route == "/").map(|(.., c, n)| (c, n)).collect();
        assert_eq!(of_root, [("2xx", 1), ("4xx", 1), ("aborted", 1)]);
        assert!(series.refusals().any(|refusal| refusal == ("unauthenticated", 1)));
    }
}
