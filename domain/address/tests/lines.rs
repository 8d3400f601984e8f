//! Lines and what becomes of them.

use address::{Address, Country, PostalCode, StateOrProvince, parse_full, standardize};

/// The fields in one line: number|prefix|name|suffix|modifier|direction|unit|info.
fn street(address: &Address) -> String {
    let text = |field: &Option<String>| field.clone().unwrap_or_default();
    [
        text(&address.street_number),
        address.street_dir_prefix.unwrap_or("").to_owned(),
        text(&address.street_name),
        address.street_suffix.unwrap_or("").to_owned(),
        address.street_suffix_modifier.unwrap_or("").to_owned(),
        address.street_dir_suffix.unwrap_or("").to_owned(),
        text(&address.unit_number),
        text(&address.street_additional_info),
    ]
    .join("|")
}

fn check(country: Country, table: &[(&str, &str, &str)]) {
    for (line, fields, tidy) in table {
        let found = standardize(line, country);
        assert_eq!(street(&found), *fields, "{line}");
        assert_eq!(found.unparsed_address, *tidy, "{line}");
    }
}

#[test]
fn united_states() {
    check(
        Country::Us,
        &[
            ("123 main street", "123||Main|St||||", "123 Main St"),
            ("3600 West 5th Ave", "3600|W|5th|Ave||||", "3600 W 5th Ave"),
            ("10 STRATFORD AVENUE, A", "10||Stratford|Ave|||A|", "10 Stratford Ave #A"),
            ("1000 CLOVE ROAD, 2A", "1000||Clove|Rd|||2A|", "1000 Clove Rd #2A"),
            ("10 BAY STREET LANDING, 1D", "10||Bay Street|Lndg|||1D|", "10 Bay Street Lndg #1D"),
            ("N/A BLOOMINGDALE ROAD", "||Bloomingdale|Rd||||", "Bloomingdale Rd"),
            ("101-103 ST PAULS AVENUE", "101-103||St Pauls|Ave||||", "101-103 St Pauls Ave"),
            ("1321/2 ROE STREET", "132 1/2||Roe|St||||", "132 1/2 Roe St"),
            ("535 1/2 Fisgard Street", "535 1/2||Fisgard|St||||", "535 1/2 Fisgard St"),
            (
                "11719 B JEFFERSON AVE STE 103",
                "11719B||Jefferson|Ave|||103|",
                "11719B Jefferson Ave Ste 103",
            ),
            ("100 D St NW", "100||D|St||NW||", "100 D St NW"),
            ("9912 S. Avenue H", "9912|S|Avenue H|||||", "9912 S Avenue H"),
            ("4390 Highway 33", "4390||Highway 33|||||", "4390 Highway 33"),
            ("4390 Hwy No. 33 S", "4390||Highway 33|||S||", "4390 Highway 33 S"),
            (
                "3665 Anderson County Rd 312",
                "3665||Anderson County Road 312|||||",
                "3665 Anderson County Road 312",
            ),
            ("173 IL Rte. 2", "173||IL Route 2|||||", "173 IL Route 2"),
            ("133 COUNTY ROAD KK", "133||County Road KK|||||", "133 County Road KK"),
            ("219 South Dearborn Second Floor", "219|S|Dearborn||||Fl 2|", "219 S Dearborn Fl 2"),
            ("1 Main St Apt #5", "1||Main|St|||5|", "1 Main St Apt 5"),
            ("1 Main St Bldg 4 Unit 12", "1||Main|St|||12|Bldg 4", "1 Main St Unit 12, Bldg 4"),
            ("1 Main St Fl 2 Apt 5", "1||Main|St|||5|Fl 2", "1 Main St Apt 5, Fl 2"),
            ("1 Main St Rear", "1||Main|St|||Rear|", "1 Main St Rear"),
            ("12 Main St Ext", "12||Main|St|Ext|||", "12 Main St Ext"),
            ("100 N St", "100||N|St||||", "100 N St"),
            ("500 South St", "500||South|St||||", "500 South St"),
            ("100 Peachtree St N. E.", "100||Peachtree|St||NE||", "100 Peachtree St NE"),
            (
                "8128 S. DR MARTIN LUTHER KING JR Drive",
                "8128|S|Dr Martin Luther King Jr|Dr||||",
                "8128 S Dr Martin Luther King Jr Dr",
            ),
            ("PO BOX 123", "|||||||PO Box 123", "PO Box 123"),
            ("RR 2 BOX 152", "|||||||RR 2 Box 152", "RR 2 Box 152"),
            ("Apt 5, 12 Main St", "12||Main|St|||5|", "12 Main St Apt 5"),
            ("N6W23001 BLUEMOUND RD", "N6W23001||Bluemound|Rd||||", "N6W23001 Bluemound Rd"),
            ("1 O'HARA LN", "1||O'Hara|Ln||||", "1 O'Hara Ln"),
            ("17 VERA STREET, 17", "17||Vera|St|||17|", "17 Vera St #17"),
            ("Broadway", "||Broadway|||||", "Broadway"),
            ("", "|||||||", ""),
            ("   ", "|||||||", ""),
        ],
    );
}

#[test]
fn canada() {
    check(
        Country::Ca,
        &[
            ("1636 WESTMOUNT BV NW", "1636||Westmount|Blvd||NW||", "1636 Westmount Blvd NW"),
            ("425 12 ST NW", "425||12|St||NW||", "425 12 St NW"),
            ("43 ST NW", "||43|St||NW||", "43 St NW"),
            ("B 1408 43 ST SE", "1408||43|St||SE|B|", "B-1408 43 St SE"),
            ("4D 1420 43 ST SE", "1420||43|St||SE|4D|", "4D-1420 43 St SE"),
            ("2240A 43 ST SE", "2240A||43|St||SE||", "2240A 43 St SE"),
            ("101-1234 Main St", "1234||Main|St|||101|", "101-1234 Main St"),
            ("#101 - 1234 Main St", "1234||Main|St|||101|", "101-1234 Main St"),
            ("Unit 101, 1234 Main St", "1234||Main|St|||101|", "101-1234 Main St"),
            ("1234 Main St Unit 101", "1234||Main|St|||101|", "101-1234 Main St"),
            (
                "170 - 22470 Dewdney Trunk Rd",
                "22470||Dewdney Trunk|Rd|||170|",
                "170-22470 Dewdney Trunk Rd",
            ),
            ("105 150 21ST ST", "150||21st|St|||105|", "105-150 21st St"),
            ("105 150 ST CLAIR AVE W", "150||St Clair|Ave||W|105|", "105-150 St Clair Ave W"),
            ("A 309 10557 150TH ST", "10557||150th|St|||A309|", "A309-10557 150th St"),
            (
                "123 RUE SAINTE-CATHERINE O",
                "123||Sainte-Catherine|Rue||W||",
                "123 Rue Sainte-Catherine O",
            ),
            (
                "123 rue Sainte-Catherine Ouest, app. 4",
                "123||Sainte-Catherine|Rue||W|4|",
                "4-123 Rue Sainte-Catherine O",
            ),
            (
                "1200 boul. René-Lévesque Est",
                "1200||René-Lévesque|Boul||E||",
                "1200 Boul René-Lévesque E",
            ),
            (
                "12 chemin de la Côte-des-Neiges",
                "12||De la Côte-des-Neiges|Ch||||",
                "12 Ch De la Côte-des-Neiges",
            ),
            ("55 Avenue Road", "55||Avenue|Rd||||", "55 Avenue Rd"),
            ("1200 av McGill College", "1200||McGill College|Ave||||", "1200 Ave McGill College"),
            ("10 3e Avenue", "10||3e|Ave||||", "10 3e Ave"),
            ("456 Gorge Rd E", "456||Gorge|Rd||E||", "456 Gorge Rd E"),
            (
                "10008 COLDSTREAM CREEK ROAD ROAD",
                "10008||Coldstream Creek|Rd||||",
                "10008 Coldstream Creek Rd",
            ),
            ("P2-1855 NELSON ST", "1855||Nelson|St|||P2|", "P2-1855 Nelson St"),
            ("2nd FLR 1175 Douglas St", "1175||Douglas|St|||Fl 2|", "1175 Douglas St Fl 2"),
            ("C.P. 123", "|||||||PO Box 123", "PO Box 123"),
        ],
    );
}

/// Number|name|suffix|unit|city|state|postal code|country.
fn place(address: &Address) -> String {
    let text = |field: &Option<String>| field.clone().unwrap_or_default();
    [
        text(&address.street_number),
        text(&address.street_name),
        address.street_suffix.unwrap_or("").to_owned(),
        text(&address.unit_number),
        text(&address.city),
        address.state_or_province.map_or("", StateOrProvince::code).to_owned(),
        address.postal_code.map(|code| code.to_string()).unwrap_or_default(),
        address.country.map_or("", Country::code).to_owned(),
    ]
    .join("|")
}

#[test]
fn whole_addresses() {
    for (text, hint, expected) in [
        ("101-1234 Main St, Calgary, AB T2P 1A1", None, "1234|Main|St|101|Calgary|AB|T2P 1A1|CA"),
        ("525 Superior St Victoria BC", None, "525|Superior|St||Victoria|BC||CA"),
        ("456 Gorge Rd E Victoria BC", None, "456|Gorge|Rd||Victoria|BC||CA"),
        (
            "1135 JEFFERSON AVE WEST VANCOUVER, BC",
            None,
            "1135|Jefferson|Ave||West Vancouver|BC||CA",
        ),
        (
            "1111 Broadway, Suite 1515, Oakland, CA 94607",
            None,
            "1111|Broadway||1515|Oakland|CA|94607|US",
        ),
        (
            "261 anderson rd n rock hill sc 29730-3316",
            None,
            "261|Anderson|Rd||Rock Hill|SC|29730-3316|US",
        ),
        (
            "11260 Roger Bacon Drive, Ste 300 Reston, VA 20190",
            None,
            "11260|Roger Bacon|Dr|300|Reston|VA|20190|US",
        ),
        (
            "60 ORVILLE DR FLOWERY BRANCH GA 30542-5314",
            None,
            "60|Orville|Dr||Flowery Branch|GA|30542-5314|US",
        ),
        ("10 Main St, St. John's, Newfoundland and Labrador", None, "10|Main|St||St John's|NF||CA"),
        (
            "123 rue Principale, Gatineau (Québec) J8X 1A1 Canada",
            None,
            "123|Principale|Rue||Gatineau|QC|J8X 1A1|CA",
        ),
        (
            "100 Mt St Helens Way, Castle Rock WA 98611",
            None,
            "100|Mt St Helens|Way||Castle Rock|WA|98611|US",
        ),
        (
            "1317 LINDBERGH BLVD ST. LOUIS MO 63132",
            None,
            "1317|Lindbergh|Blvd||St Louis|MO|63132|US",
        ),
        ("123 Main Ct", None, "123|Main|Ct|||||"),
        ("123 Main St Hartford CT", None, "123|Main|St||Hartford|CT||US"),
        ("123 Main St NE", None, "123|Main|St|||||"),
        ("12 Elm St, New York, New York 10001, USA", None, "12|Elm|St||New York|NY|10001|US"),
        ("12 Elm St, Victoria", Some(Country::Ca), "12|Elm|St||Victoria|||CA"),
        ("1772 CARIBOO HWY, 100 MILE HOUSE BC", None, "1772|Cariboo|Hwy||100 Mile House|BC||CA"),
        ("9917 ASHWOOD DR RICHMOND BC V6Y", None, "9917|Ashwood|Dr||Richmond|BC|V6Y|CA"),
        ("Victoria, BC", None, "||||Victoria|BC||CA"),
        ("10011 SIMKIN PL, SIDNEY, BC, BC", None, "10011|Simkin|Pl||Sidney|BC||CA"),
    ] {
        assert_eq!(place(&parse_full(text, hint)), expected, "{text}");
    }
}

#[test]
fn a_line_that_is_too_long_is_kept_and_not_parsed() {
    let long = format!("12 Main St{}", " x".repeat(400));
    let found = standardize(&long, Country::Us);
    assert_eq!(found, Address { unparsed_address: long, ..Address::default() });
    let many = "1 ".repeat(100);
    assert_eq!(standardize(&many, Country::Us).unparsed_address, many.trim());
}

#[test]
fn columns_beside_the_line_fill_what_it_does_not_say() {
    let code = PostalCode::parse("10301", Country::Us).unwrap();
    let found = standardize("12 Elm St", Country::Us).with_place(
        Some("STATEN ISLAND"),
        StateOrProvince::parse("NY"),
        Some(code),
    );
    assert_eq!(place(&found), "12|Elm|St||Staten Island|NY|10301|US");
    let kept =
        parse_full("12 Elm St, Victoria, BC", None).with_place(Some("Elsewhere"), None, None);
    assert_eq!(place(&kept), "12|Elm|St||Victoria|BC||CA");
}
