//! The OpenAPI 3.1 document of the HTTP interface, made from the tables that requests are read with.

mod schemas;

use serde_json::{Map, Value, json};

use crate::changes::LISTINGS_MAX;
use crate::changes::request::{self, DEVICE};
use crate::map::ZOOM_MAX;
use crate::query::{self, FILTERS};
use crate::search::Sort;

/// One address and method.
struct Route {
    path: &'static str,
    method: &'static str,
    about: &'static str,
    parameters: Vec<Value>,
    /// Name of the schema of the request's body.
    body: Option<&'static str>,
    /// Status and type of a good answer, with the schema's name where there is one.
    answer: (&'static str, &'static str, Option<&'static str>),
    /// Headers of a good answer.
    headers: Value,
    /// Statuses of refusals.
    refusals: &'static [&'static str],
    /// Whether a token is asked for, where there are any.
    guarded: bool,
}

impl Route {
    fn get(path: &'static str, about: &'static str, schema: &'static str) -> Self {
        Self {
            path,
            method: "get",
            about,
            parameters: Vec::new(),
            body: None,
            answer: ("200", "application/json", Some(schema)),
            headers: json!({}),
            refusals: &["503"],
            guarded: false,
        }
    }

    fn post(
        path: &'static str,
        about: &'static str,
        body: &'static str,
        schema: &'static str,
    ) -> Self {
        Self {
            method: "post",
            body: Some(body),
            refusals: &["400", "401", "403", "413", "415", "503"],
            guarded: true,
            ..Self::get(path, about, schema)
        }
    }

    fn of(self, kind: &'static str) -> Self {
        Self { answer: (self.answer.0, kind, None), ..self }
    }

    fn with(self, parameters: Vec<Value>) -> Self {
        Self { parameters, ..self }
    }

    fn refusing(self, refusals: &'static [&'static str]) -> Self {
        Self { refusals, ..self }
    }

    fn guarded(self) -> Self {
        Self { guarded: true, ..self }
    }

    /// The answer carries the position that it is at least as new as.
    fn positioned(self) -> Self {
        let about =
            "The answer is at least as new as this position: `/changes?from=` goes on from it.";
        let headers =
            json!({"Conveyance-Position": {"description": about, "schema": {"type": "string"}}});
        Self { headers, ..self }
    }

    fn write(&self) -> Value {
        let (status, kind, schema) = self.answer;
        let schema = schema.map_or(json!({"type": "string"}), schema_ref);
        let content: Map<_, _> =
            [(kind.to_owned(), json!({"schema": schema}))].into_iter().collect();
        let mut responses = Map::new();
        responses.insert(
            status.to_owned(),
            json!({"description": "As asked for.", "headers": self.headers, "content": content}),
        );
        for status in self.refusals {
            responses.insert((*status).to_owned(), refusal(status));
        }
        let mut operation =
            json!({"summary": self.about, "parameters": self.parameters, "responses": responses});
        if let Some(operation) = operation.as_object_mut() {
            if let Some(body) = self.body {
                let content = json!({"application/json": {"schema": schema_ref(body)}});
                operation.insert(
                    "requestBody".to_owned(),
                    json!({"required": true, "content": content}),
                );
            }
            if self.guarded {
                operation.insert("security".to_owned(), json!([{"token": []}, {}]));
            }
        }
        operation
    }
}

fn schema_ref(name: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{name}")})
}

fn refusal(status: &str) -> Value {
    let about = match status {
        "400" => "Something in the request is wrong; `message` says what would be right.",
        "401" => "A token is needed, or this one is not known.",
        "403" => "Not allowed: by this token, from this address, or from another site's page.",
        "404" => "There is no such thing to show.",
        "410" => {
            "It was there and is gone; for changes: a gap, go on from `position` after fetching again."
        }
        "413" => "The body is too long.",
        "415" => "The body must be JSON, and say so.",
        _ => "Too busy: try again as `Retry-After` says; a command with the same id.",
    };
    json!({"description": about, "content": {"application/json": {"schema": schema_ref("Error")}}})
}

fn parameter(place: &str, name: &str, about: &str, schema: &Value) -> Value {
    json!({"name": name, "in": place, "description": about, "required": place == "path", "schema": schema})
}

fn text(name: &str, about: &str) -> Value {
    parameter("query", name, about, &json!({"type": "string"}))
}

fn whole(name: &str, about: &str, (default, most): (usize, usize)) -> Value {
    let schema = json!({"type": "integer", "minimum": 1, "maximum": most, "default": default});
    parameter("query", name, about, &schema)
}

fn filters(more: Vec<Value>) -> Vec<Value> {
    let filters = FILTERS.iter().map(|(name, about)| {
        let several = ["country", "state", "city", "status", "type", "feed"].contains(name);
        let about =
            if several { format!("{about}; several with commas") } else { (*about).to_owned() };
        text(name, &about)
    });
    filters.chain(more).collect()
}

fn key() -> Value {
    parameter("path", "key", "FEED:KEY, as /listings gives it", &json!({"type": "string"}))
}

fn changes() -> Vec<Value> {
    let devices = format!(
        "adds what becomes of the commands of this device: the {} to {} characters before the last point of its command ids",
        DEVICE.start(),
        DEVICE.end()
    );
    filters(vec![
        text(
            "listing",
            &format!(
                "keys, at most {LISTINGS_MAX}, with commas: these too, whatever the filters say; alone, these only"
            ),
        ),
        text("device", &devices),
        parameter("query", "listings", "`none`: results alone", &json!({"const": "none"})),
        text("from", "a position to go on from, where no Last-Event-ID can be sent"),
        text(
            "since",
            "a position: answers with a page of changes after it, as JSON, and no stream",
        ),
        whole("limit", "most events of a page", (request::LIMIT, request::LIMIT_MAX)),
        parameter(
            "header",
            "Last-Event-ID",
            "the id of the last event that was seen: a position",
            &json!({"type": "string"}),
        ),
    ])
}

fn sorts() -> Value {
    let names = Sort::ALL.map(|(_, name)| name);
    parameter("query", "sort", "order of the list", &json!({"enum": names, "default": "changed"}))
}

fn reading() -> Vec<Route> {
    let page = whole("limit", "listings of a page", (query::LIMIT, query::LIMIT_MAX));
    let after = text("after", "`next` of the page before");
    let zoom = json!({"type": "number", "minimum": 0, "maximum": ZOOM_MAX, "default": 4});
    let zoom = parameter("query", "zoom", "zoom of the map", &zoom);
    let one: &[&str] = &["404", "410", "503"];
    vec![
        Route::get("/listings", "Listings that match, page by page.", "Listings")
            .with(filters(vec![sorts(), page, after]))
            .refusing(&["400", "503"])
            .positioned(),
        Route::get("/map", "Pins where few match, clusters where many do.", "Map")
            .with(filters(vec![zoom, sorts()]))
            .refusing(&["400", "503"])
            .positioned(),
        Route::get("/listings/{key}", "One listing: every field that may be shown.", "Detail")
            .with(vec![key()])
            .refusing(one)
            .positioned(),
        Route::get("/listings/{key}/history", "What changed in it.", "History").with(vec![key()]).refusing(one),
        Route::get("/stats", "Totals.", "Object"),
        Route::get("/changes", "Changes as they happen (server-sent events: live, resumed or gap first, then change, gone, result, position, and gap where all must be fetched again); with `since`, as a page.", "Changes")
            .with(changes())
            .refusing(&["400", "410", "503"])
            .of("text/event-stream"),
        Route::get("/me", "What the page may offer to whoever looks at it.", "Me"),
        Route::get("/livez", "Whether the process answers.", "Object").of("text/plain"),
        Route::get("/readyz", "Whether the read model has caught up.", "Object").of("text/plain"),
    ]
}

fn operating() -> Vec<Route> {
    let guarded: &[&str] = &["400", "401", "403", "503"];
    let limit = whole("limit", "most letters", (20, 1_000));
    vec![
        Route {
            answer: ("202", "application/json", Some("Taken")),
            ..Route::post(
                "/commands",
                "Edit, withdraw or add a listing. 202 once it is durable; what becomes of it comes on `/changes?device=`.",
                "Command",
                "Taken",
            )
        },
        Route::get(
            "/listings/{key}/explain",
            "Where each value comes from: raw, mapped, tracked.",
            "Object",
        )
        .with(vec![key()])
        .refusing(&["401", "403", "404", "503"])
        .guarded(),
        Route::get(
            "/flow/state",
            "The flow as it is now: services, topics, lag, conditions.",
            "Object",
        )
        .refusing(&["404"]),
        Route::get("/metrics", "Figures for Prometheus.", "Object")
            .of("text/plain")
            .refusing(&["401", "403"])
            .guarded(),
        Route::get("/dead-letters", "Messages that could not be used.", "Object")
            .with(vec![text("service", "only of this service"), limit])
            .refusing(guarded)
            .guarded(),
        Route::post(
            "/dead-letters/redrive",
            "Sends dead letters back to the service that refused them.",
            "Redrive",
            "Object",
        ),
    ]
}

/// The document, for a program of that version.
#[must_use]
pub fn openapi(version: &str) -> Value {
    let mut paths: Map<String, Value> = Map::new();
    for route in reading().into_iter().chain(operating()) {
        let path = paths.entry(route.path).or_insert_with(|| json!({}));
        if let Some(path) = path.as_object_mut() {
            path.insert(route.method.to_owned(), route.write());
        }
    }
    // A page of changes is the same address with another answer.
    if let Some(content) =
        paths.get_mut("/changes").and_then(|p| p.pointer_mut("/get/responses/200/content"))
        && let Some(content) = content.as_object_mut()
    {
        content.insert("application/json".to_owned(), json!({"schema": schema_ref("Changes")}));
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Conveyance",
            "version": version,
            "description": "Listings of homes: search, history, changes as they happen, and commands. Fields have RESO Data Dictionary 2.0 names; what leaves is an allow-list.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": paths,
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer", "description": "Where the operator configured tokens; without them, who asks on the machine itself."}},
            "schemas": schemas::all(),
        },
    })
}
