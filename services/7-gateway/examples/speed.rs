//! What a listing costs the read model, and what a search over all of them takes.
//!
//! `cargo run --release -p gateway --example speed -- 100000 1000000` loads that many synthetic listings, one file for
//! each number, in calls of about 4 MB as the runtime makes them.
#![allow(clippy::indexing_slicing, reason = "tables of its own, indexed within their length")]
#![allow(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a measurement prints, and takes the machine's time"
)]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use dataflow::View;
use dataflow::batch::{Batch, BatchBuilder, Meta, NewRecord};
use dataflow::contract::Delivery;
use gateway::{Display, FeedDisplay, Gateway, ListingView};
use messages::topics::{LISTING_CURRENT, LISTING_EVENTS};

/// Listings in one call.
const CALL: u64 = 3000;
const PARTITIONS: u64 = 8;

fn main() {
    let counts: Vec<u64> = std::env::args().skip(1).filter_map(|n| n.parse().ok()).collect();
    for count in if counts.is_empty() { vec![100_000] } else { counts } {
        load(count);
    }
}

fn load(count: u64) {
    let folder = tempfile::tempdir().expect("a folder for temporary files");
    let file = folder.path().join("listings.sqlite");
    let display = Display { others: FeedDisplay::open_data(), ..Display::default() };
    let mut view = ListingView::open(&file, display.clone()).expect("a new file opens");
    view.reset(1).expect("a new file can be reset");
    let (mut cpu, mut wall) = (0.0, 0.0);
    let mut next = 0;
    while next < count {
        let to = count.min(next + CALL);
        let deliveries = deliveries(next, to);
        let (cpu_before, started) = (cpu_seconds(), Instant::now());
        view.apply(&deliveries, 1).expect("applied");
        cpu += cpu_seconds() - cpu_before;
        wall += started.elapsed().as_secs_f64();
        next = to;
    }
    let started = Instant::now();
    drop(view);
    let closed = started.elapsed().as_secs_f64();
    let started = Instant::now();
    let view = ListingView::open(&file, display).expect("opens again");
    let opened = started.elapsed().as_secs_f64();
    let bytes = std::fs::metadata(&file).map_or(0, |m| m.len());
    #[allow(clippy::cast_precision_loss, reason = "a figure for people")]
    let each = |total: f64| total / count as f64;
    println!(
        "{count} listings: {:.1} us CPU, {:.1} us wall each; {:.0} bytes each; close {closed:.2} s, open {opened:.2} s",
        each(cpu * 1e6),
        each(wall * 1e6),
        each(bytes as f64),
    );
    searches(&view);
}

/// Times a few requests over a real connection, each some times; prints the fastest.
fn searches(view: &ListingView) {
    let gateway = Gateway::new(view.model(), Arc::new(|_| Err("not here".to_owned())));
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("bound");
    listener.set_nonblocking(true).expect("a plain socket");
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let server = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async move {
            let listener = tokio::net::TcpListener::from_std(listener)?;
            gateway::serve(listener, gateway, async move { drop(stopped.await) }).await
        })
    });
    for path in [
        "/listings",
        "/listings?sort=-price&status=Active&beds_min=3&price_max=800000",
        "/listings?box=-118.2,28.4,-117.9,28.8",
        "/listings?q=street+12&city=Town+7",
        "/listings?q=street+12",
        "/map?zoom=4",
        "/map?zoom=6&status=Active&price_max=600000",
        "/map?zoom=12&box=-118.2,28.4,-117.9,28.8",
        "/stats",
    ] {
        let fastest = (0..5).map(|_| request(address, path)).min().unwrap_or_default();
        println!("  {:8.2} ms  {path}", fastest.as_secs_f64() * 1e3);
    }
    drop(stop);
    server.join().expect("no panic").expect("it stops in order");
}

fn request(address: SocketAddr, path: &str) -> Duration {
    let started = Instant::now();
    let mut stream = TcpStream::connect(address).expect("the server listens");
    let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("read");
    assert!(answer.starts_with("HTTP/1.1 200"), "{path}: {answer}");
    started.elapsed()
}

/// User and system time of this process.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/schedstat").unwrap_or_default();
    stat.split(' ').next().and_then(|ns| ns.parse::<f64>().ok()).unwrap_or(0.0) / 1e9
}

fn deliveries(from: u64, to: u64) -> Vec<Delivery> {
    let mut deliveries = Vec::new();
    for partition in 0..PARTITIONS {
        let (mut current, mut events) = (BatchBuilder::default(), BatchBuilder::default());
        for n in (from..to).filter(|n| n % PARTITIONS == partition) {
            let key = format!("synthetic:{}", key(n));
            let listing = listing(n);
            let value = format!(
                r#"{{"ListingKey":"{key}","version":1,"deleted":false,"stamp":{{"sourceTimestamp":"2022-01-01T00:00:00.000Z","asOf":"2022-01-01T00:00:00.000Z","seq":{n},"revision":1,"hash":"0123456789abcdef","pack":"synthetic"}},"listing":{listing},"notes":[],"lastChange":{{"type":"added"}}}}"#
            );
            let event = format!(
                r#"{{"type":"added","version":1,"asOf":"2022-01-01T00:00:00.000Z","after":{listing}}}"#
            );
            let meta = Meta {
                id: n.into(),
                trace: 0,
                kind: "listing.current",
                source: "synthetic",
                time_ms: 1_640_995_200_000 + i64::try_from(n / 100).unwrap_or(0),
                schema: 1,
                origin: n,
            };
            for (builder, value) in [(&mut current, value), (&mut events, event)] {
                let value = Some(value.as_bytes());
                builder.push(NewRecord { key: key.as_bytes(), value, meta, headers: &[] });
            }
        }
        for (topic, builder) in [(LISTING_CURRENT, current), (LISTING_EVENTS, events)] {
            let base = from / PARTITIONS;
            let batch = Batch::decode(Arc::new(builder.finish()), base, 0).expect("just built");
            deliveries.push(Delivery {
                topic: topic.into(),
                partition: u16::try_from(partition).unwrap_or(0),
                batch: Arc::new(batch),
                from: base,
            });
        }
    }
    deliveries
}

/// Keys in no order, as feeds send them.
fn key(n: u64) -> u64 {
    n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 24
}

/// About 1.2 KB and 40 fields; places spread over fifty towns.
fn listing(n: u64) -> String {
    let mixed = n.wrapping_mul(0xd134_2543_de82_ef95);
    let pick = |shift: u32, of: u64| (mixed >> shift) % of;
    let town = (n / 2000) % 50;
    let words = [
        "bright",
        "quiet",
        "renovated",
        "corner",
        "garden",
        "view",
        "new roof",
        "close to schools",
        "large",
        "open plan",
    ];
    let remarks: Vec<_> = (0..28).map(|at| one_of(&words, mixed >> at)).collect();
    let (lat, lon) = (26.0 + town as f64 * 0.45, -124.0 + town as f64);
    let jitter = |shift: u32| pick(shift, 10_000) as f64 / 50_000.0;
    format!(
        r#"{{"AboveGradeFinishedArea":{area},"Appliances":["Dishwasher","Dryer"],"ArchitecturalStyle":["Bungalow"],"AttachedGarageYN":true,"Basement":["Full"],"BathroomsFull":2,"BathroomsHalf":1,"BathroomsTotalInteger":{baths},"BedroomsTotal":{beds},"City":"Town {town}","ConstructionMaterials":["Wood Frame"],"Country":"US","CountyOrParish":"County {town}","Currency":"USD","ElementarySchool":"Maple","Flooring":["Carpet","Tile"],"GarageSpaces":2,"Heating":["Forced Air"],"InternetAddressDisplayYN":true,"InternetEntireListingDisplayYN":true,"Latitude":{lat:.6},"ListAgentFullName":"Agent {agent}","ListOfficeName":"Office {office}","ListPrice":{price},"ListingContractDate":"2022-01-01","LivingArea":{area},"LivingAreaUnits":"Square Feet","Longitude":{lon:.6},"LotSizeArea":{lot},"LotSizeUnits":"Square Feet","ModificationTimestamp":"2022-01-01T00:00:00.000Z","PhotosCount":{photos},"PostalCode":"{zip:05}","PropertySubType":"Single Family Residence","PropertyType":"Residential","PublicRemarks":"{remarks}","StandardStatus":"{status}","StateOrProvince":"WA","StreetName":"Street {street}","StreetNumber":"{number}","StreetSuffix":"Avenue","TaxAssessedValue":{assessed},"UnparsedAddress":"{number} Street {street} Avenue","YearBuilt":{year}}}"#,
        area = 600 + pick(3, 3000),
        baths = 1 + pick(7, 4),
        beds = 1 + pick(9, 6),
        lat = lat + jitter(11),
        agent = pick(13, 5000),
        office = pick(15, 800),
        price = 90_000 + pick(17, 1_500_000),
        lon = lon + jitter(19),
        lot = 2000 + pick(21, 20_000),
        photos = pick(23, 40),
        zip = 10_000 + town * 17 + pick(25, 12),
        remarks = remarks.join(", "),
        status = one_of(&["Active", "Active", "Active", "Pending", "Closed"], mixed >> 27),
        street = pick(29, 400),
        number = 1 + pick(31, 9900),
        assessed = 80_000 + pick(33, 1_200_000),
        year = 1900 + pick(35, 122),
    )
}

fn one_of<'a>(words: &[&'a str], n: u64) -> &'a str {
    words.iter().cycle().nth(usize::try_from(n % 64).unwrap_or(0)).unwrap_or(&"")
}
